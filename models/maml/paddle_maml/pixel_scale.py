"""What a network takes for a pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PixelScale(NamedTuple):
    """The numbers that stand for the darkest and the brightest pixel; in between it is linear.

    Examples
    --------
    >>> INK.values(np.array([0, 51, 255], np.uint8)).tolist()
    [1.0, 0.800000011920929, 0.0]
    >>> INK.pixels(INK.values(np.array([0, 51, 255], np.uint8))).tolist()
    [0, 51, 255]
    """

    black: float
    white: float

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Turn uint8 pixels into float32 values."""
        values = pixels.astype(np.float32)
        values /= 255
        values *= self.white - self.black
        values += self.black
        return values

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Turn values back into uint8 pixels."""
        brightness = (values - self.black) / (self.white - self.black)
        return np.rint(255 * brightness).astype(np.uint8)


INK = PixelScale(black=1.0, white=0.0)  # drawings: ink 1, paper 0
LIGHT = PixelScale(black=0.0, white=1.0)  # photographs
