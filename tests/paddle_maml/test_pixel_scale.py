"""Pixels as numbers, and back."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
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


numbers = st.floats(0, 1)
deviations = st.floats(0.01, 1)


@given(st.lists(st.tuples(numbers, deviations), min_size=1, max_size=3), st.integers(0, 2**32))
def test_normalising_is_its_formula_and_has_an_inverse(channels, seed):
    mean, std = zip(*channels)
    pixels = np.random.default_rng(seed).integers(0, 256, (2, len(mean), 4, 4), np.uint8)
    scale = PixelScale.normalising(mean, std)
    values = scale.values(pixels)
    mean, std = (np.reshape(numbers, (-1, 1, 1)) for numbers in (mean, std))
    expected = (pixels / 255 - mean) / std
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5 / std.min())
    assert np.array_equal(scale.pixels(values), pixels)


def test_of_images_normalised_by_their_own_the_mean_is_0_and_the_deviation_1():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), np.uint8)
    pixels[:, 1] //= 2
    brightness = pixels / 255
    mean, std = brightness.mean((0, 2, 3)), brightness.std((0, 2, 3))
    values = PixelScale.normalising(mean, std).values(pixels)
    np.testing.assert_allclose(values.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std((0, 2, 3)), 1, rtol=1e-5)


@pytest.mark.parametrize("scale", [INK, PixelScale.normalising([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])])
def test_a_description_in_yaml_gives_the_scale_back(scale):
    described = yaml.safe_load(yaml.safe_dump({"side": 28, **scale._asdict()}))
    assert PixelScale.described(described) == scale


@pytest.mark.parametrize(
    "image",
    [
        {"black": 1},
        {"black": [0, 0], "white": [1, 1], "channels": 3},
        {"black": [0, 0, 0], "white": 1, "channels": 3},
        {"black": float("nan"), "white": 1},
        {"black": 0, "white": 1e308},
        {"black": 0, "white": 10**400},
        {"black": "dark", "white": 1},
    ],
)
def test_a_description_without_a_scale_has_none(image):
    with pytest.raises((KeyError, OverflowError, TypeError, ValueError)):
        PixelScale.described(image)
