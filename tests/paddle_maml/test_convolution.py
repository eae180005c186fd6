"""The channels-last convolution against Paddle's own."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from derivatives import assert_twice_differentiable, tensor
from paddle.nn import functional as F
from paddle_maml import twice_differentiable
from paddle_maml.operators import once_differentiable

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 7, 6, 3))
FILTERS = RNG.normal(size=(4, 3, 3, 2))
SETTINGS = {
    "plain": {},
    "stride": {"stride": 2, "padding": 1},
    "uneven stride": {"stride": [2, 1]},
    "uneven padding": {"padding": [0, 1, 2, 0]},
    "same": {"padding": "SAME", "stride": 2},
    "valid": {"padding": "VALID"},
    "dilation": {"dilation": 2, "padding": 2},
}


def convolve(x, w, layout="NHWC", **setting):
    return F.conv2d(x, w, data_format=layout, **setting)


@pytest.mark.parametrize("context", [once_differentiable, twice_differentiable])
@pytest.mark.parametrize("name", SETTINGS)
def test_value_and_gradient_are_paddles(name, context):
    results = []
    for mine in (True, False):
        x, w = tensor(IMAGES), tensor(FILTERS)
        if mine:
            with context():
                y = convolve(x, w, **SETTINGS[name])
        else:
            first = x.transpose([0, 3, 1, 2])
            y = convolve(first, w, "NCHW", **SETTINGS[name]).transpose([0, 2, 3, 1])
        results.append([y, *paddle.grad((y * y).sum(), [x, w])])
    for mine, native in zip(*results):
        np.testing.assert_allclose(mine.numpy(), native.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", SETTINGS)
def test_second_derivative(name):
    with twice_differentiable():
        for point, function in (
            (IMAGES, lambda x: convolve(x, paddle.to_tensor(FILTERS), **SETTINGS[name])),
            (FILTERS, lambda w: convolve(paddle.to_tensor(IMAGES), w, **SETTINGS[name])),
        ):
            assert_twice_differentiable(lambda v, f=function: paddle.tanh(f(v)).sum(), point)
