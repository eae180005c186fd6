"""Turned and mirrored images, against numpy's own turning."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle_maml.turns import turned


@pytest.mark.parametrize("turn", range(8))
def test_images_are_turned_by_quarters_and_mirrored_from_four_on(turn):
    images = np.random.default_rng(0).normal(size=(2, 3, 1, 4, 4)).astype("float32")
    upright = np.flip(images, -1) if turn >= 4 else images
    expected = np.rot90(upright, turn % 4, (-2, -1))
    np.testing.assert_array_equal(turned(images, turn), expected)
    np.testing.assert_array_equal(turned(paddle.to_tensor(images), turn).numpy(), expected)


def test_the_eight_are_different():
    image = np.arange(4).reshape(2, 2)
    assert len({turned(image, turn).tobytes() for turn in range(8)}) == 8
