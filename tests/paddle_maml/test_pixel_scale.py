"""Pixels as numbers, and back."""

from __future__ import annotations

import numpy as np
import pytest
from paddle_maml.pixel_scale import INK, LIGHT, PixelScale

PIXELS = np.arange(256, dtype=np.uint8)


def test_ink_is_one_and_light_is_one():
    assert np.array_equal(INK.values(PIXELS), 1 - PIXELS.astype(np.float32) / 255)
    assert np.array_equal(LIGHT.values(PIXELS), PIXELS.astype(np.float32) / 255)


@pytest.mark.parametrize("scale", [INK, LIGHT, PixelScale(-1.0, 1.0), PixelScale(0.0, 255.0)])
def test_every_pixel_comes_back(scale):
    values = scale.values(PIXELS)
    assert values.dtype == np.float32
    assert (values[0], values[-1]) == scale
    assert np.array_equal(scale.pixels(values), PIXELS)
