"""Training images, changed at random in ways that leave their class as it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Augmentation(NamedTuple):
    """What is done to each image, by random numbers of its own.

    Parameters
    ----------
    flip : bool
        Whether half of the images are mirrored, left to right.
    padding : int
        By how many pixels an image is shifted at most, in each direction: a crop at random of the
        image with that many pixels around it, which repeat its border.
    brightness : float
        All pixels are multiplied by a number from 1 - brightness to 1 + brightness.
    contrast : float
        Their distance from the mean of the image likewise.

    Examples
    --------
    >>> images = np.arange(12, dtype=np.uint8).reshape(1, 1, 3, 4)[..., :3]
    >>> Augmentation(padding=1)(images, np.random.default_rng(0)).shape
    (1, 1, 3, 3)
    """

    flip: bool = False
    padding: int = 0
    brightness: float = 0.0
    contrast: float = 0.0

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change uint8 images (count, channels, side, side); returns as many of the same form."""
        count = len(images)
        if self.flip:
            images = flipped(images, rng.random(count) < 0.5)
        if self.padding:
            places = rng.integers(2 * self.padding, size=(count, 2), endpoint=True)
            images = cropped(images, self.padding, places)
        if self.brightness or self.contrast:
            factors = 1 + np.multiply(
                (self.brightness, self.contrast), rng.uniform(-1, 1, (count, 2))
            )
            images = lit(images, *factors.T)
        return images


def flipped(images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Mirror the images for which `which`, bool (count,), is true."""
    return np.where(_each(which), images[..., ::-1], images)


def cropped(images: np.ndarray, padding: int, places: np.ndarray) -> np.ndarray:
    """Crop each image, padded by its border, to its size; `places` (count, 2) are row and column.

    A place of (`padding`, `padding`) is the image itself.
    """
    around = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    windows = sliding_window_view(np.pad(images, around, "edge"), images.shape[2:], (2, 3))
    return windows[np.arange(len(images)), :, places[:, 0], places[:, 1]]


def lit(images: np.ndarray, brightness: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Scale each image's distance from its mean by `contrast`, then all of it by `brightness`."""
    mean = images.mean((1, 2, 3), dtype=np.float32)
    scale, shift = brightness * contrast, brightness * (1 - contrast) * mean
    values = images * _each(scale.astype(np.float32)) + _each(shift.astype(np.float32))
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _each(numbers):
    """One number per image, to meet its pixels."""
    return numbers[:, None, None, None]
