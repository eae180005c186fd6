"""What is done to training images at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddle_maml.augmentation import Augmentation, cropped, flipped, lit

augmentations = st.builds(
    Augmentation, st.booleans(), st.integers(0, 5), st.floats(0, 1), st.floats(0, 1)
)
seeds = st.integers(0, 2**32)


@st.composite
def stacks(draw):
    shape = draw(st.integers(0, 4)), draw(st.sampled_from([1, 3])), *[draw(st.integers(6, 9))] * 2
    return np.random.default_rng(draw(seeds)).integers(0, 256, shape, np.uint8)


@given(augmentations, stacks(), seeds)
def test_form_and_type_stay_and_the_same_numbers_do_the_same(augmentation, images, seed):
    before = images.copy()
    once, again = (augmentation(images, np.random.default_rng(seed)) for _ in range(2))
    assert once.shape == images.shape and once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert np.array_equal(images, before)


@given(stacks(), seeds)
def test_none_of_them_changes_no_image_and_takes_no_random_numbers(images, seed):
    rng = np.random.default_rng(seed)
    assert Augmentation()(images, rng) is images
    assert rng.random() == np.random.default_rng(seed).random()


@given(stacks(), seeds)
def test_a_flip_is_an_involution_of_those_that_are_flipped(images, seed):
    which = np.random.default_rng(seed).random(len(images)) < 0.5
    turned = flipped(images, which)
    assert np.array_equal(flipped(turned, which), images)
    assert np.array_equal(turned[~which], images[~which])
    assert np.array_equal(turned[which], np.flip(images[which], -1))


@given(stacks(), st.integers(1, 5), seeds)
def test_a_crop_is_a_part_of_the_padded_image(images, padding, seed):
    places = np.random.default_rng(seed).integers(2 * padding + 1, size=(len(images), 2))
    side = images.shape[-1]
    for image, crop, (y, x) in zip(images, cropped(images, padding, places), places):
        padded = np.pad(image, [(0, 0), (padding, padding), (padding, padding)], "edge")
        assert np.array_equal(crop, padded[:, y : y + side, x : x + side])
    middle = np.full((len(images), 2), padding)
    assert np.array_equal(cropped(images, padding, middle), images)


@given(stacks(), st.floats(0, 2), st.floats(0, 2))
def test_light_by_its_formula(images, brightness, contrast):
    pixels = images.astype(np.float64)
    mean = pixels.mean((1, 2, 3), keepdims=True) if len(images) else 0
    expected = (brightness * (mean + contrast * (pixels - mean))).clip(0, 255)
    factors = (np.full(len(images), factor) for factor in (brightness, contrast))
    assert np.abs(lit(images, *factors) - expected).max(initial=0) < 0.501


def test_each_image_has_random_numbers_of_its_own_over_the_whole_range():
    images = np.zeros((4000, 1, 7, 7), np.uint8)
    images[:, :, 3, 3] = 100
    shifted = Augmentation(padding=3)(images, np.random.default_rng(0))
    _, _, y, x = np.nonzero(shifted)
    assert len(y) == len(images)
    assert np.bincount(7 * y + x, minlength=49).min() > 40
    left = np.zeros_like(images)
    left[..., 0] = 1
    mirrored = Augmentation(flip=True)(left, np.random.default_rng(0))
    assert np.mean(mirrored[:, 0, 0, 0]) == pytest.approx(0.5, abs=0.03)
    grey = images * 0 + 100
    levels = Augmentation(brightness=0.5)(grey, np.random.default_rng(0))[:, 0, 0, 0]
    assert levels.min() == 50 and levels.max() == 150
    assert np.mean(levels) == pytest.approx(100, abs=2)
    flat = Augmentation(contrast=1.0)(grey, np.random.default_rng(0))
    assert (flat == 100).all()
