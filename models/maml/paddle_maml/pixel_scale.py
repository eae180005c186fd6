"""What a network takes for a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class PixelScale(NamedTuple):
    """The numbers that stand for the darkest and the brightest pixel; in between it is linear.

    Both are one number, or a tuple of one per channel for images (..., channels, height, width).

    Examples
    --------
    >>> INK.values(np.array([0, 51, 255], np.uint8)).tolist()
    [1.0, 0.800000011920929, 0.0]
    >>> INK.pixels(INK.values(np.array([0, 51, 255], np.uint8))).tolist()
    [0, 51, 255]
    """

    black: float | tuple[float, ...]
    white: float | tuple[float, ...]

    @classmethod
    def normalising(cls, mean: Sequence[float], std: Sequence[float]) -> PixelScale:
        """The scale (brightness - mean) / std with a mean and standard deviation per channel.

        Brightness is 0 for black and 1 for white.

        Examples
        --------
        >>> PixelScale.normalising([0.5, 0.25], [0.5, 0.25])
        PixelScale(black=(-1.0, -1.0), white=(1.0, 3.0))
        """
        channels = [(float(m), float(s)) for m, s in zip(mean, std)]
        return cls(tuple(-m / s for m, s in channels), tuple((1 - m) / s for m, s in channels))

    @classmethod
    def described(cls, image: dict) -> PixelScale:
        """The scale that a description of images has, such as that in `infer_cfg.yml`.

        Raises
        ------
        KeyError, OverflowError, TypeError or ValueError
            If it has none.

        Examples
        --------
        >>> PixelScale.described({"side": 28, "black": 1, "white": 0})
        PixelScale(black=1.0, white=0.0)
        """
        ends = np.array([image["black"], image["white"]], float)
        channels = image.get("channels", ends.shape[-1])
        if ends.shape not in ((2,), (2, channels)) or not (np.abs(ends) <= 1e6).all():
            raise ValueError("no two numbers, nor two for each channel, which pixels could be")
        return cls(*(tuple(end) if ends.ndim > 1 else end for end in ends.tolist()))

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Turn uint8 pixels into float32 values."""
        values = pixels.astype(np.float32)
        values /= 255
        values *= self._range()
        values += _per_channel(self.black)
        return values

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Turn values back into uint8 pixels."""
        brightness = (values - _per_channel(self.black)) / self._range()
        return np.rint(255 * brightness).astype(np.uint8)

    def _range(self):
        return _per_channel(np.subtract(self.white, self.black))


def _per_channel(numbers):
    """float32, to meet the channels of images."""
    numbers = np.asarray(numbers, np.float32)
    return numbers[:, None, None] if numbers.ndim else numbers


INK = PixelScale(black=1.0, white=0.0)  # drawings: ink 1, paper 0
LIGHT = PixelScale(black=0.0, white=1.0)  # photographs
