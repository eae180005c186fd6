"""Batch norm by the batch at hand, in all layouts."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from derivatives import assert_twice_differentiable, tensor
from paddle.nn import functional as F
from paddle_maml import twice_differentiable
from paddle_maml.operators import once_differentiable

RNG = np.random.default_rng(0)
LAYOUTS = {
    "NC": (RNG.normal(size=(6, 3)), 1),
    "NCL": (RNG.normal(size=(4, 3, 5)), 1),
    "NLC": (RNG.normal(size=(4, 5, 3)), 2),
    "NCHW": (RNG.normal(size=(4, 3, 2, 5)), 1),
    "NHWC": (RNG.normal(size=(4, 2, 5, 3)), 3),
    "NCDHW": (RNG.normal(size=(2, 3, 2, 2, 3)), 1),
}
GAMMA, BETA = RNG.normal(1, 0.3, 3), RNG.normal(size=3)


def batch_norm(x, layout, gamma=GAMMA, beta=BETA):
    mean, variance = paddle.zeros([3], "float64"), paddle.ones([3], "float64")
    gamma, beta = (p if p is None else paddle.to_tensor(p) for p in (gamma, beta))
    return F.batch_norm(x, mean, variance, gamma, beta, training=False, data_format=layout)


def by_definition(x, axis):
    others = tuple(i for i in range(x.ndim) if i != axis)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    normal = (x - x.mean(others, keepdims=True)) / np.sqrt(x.var(others, keepdims=True) + 1e-5)
    return normal * GAMMA.reshape(shape) + BETA.reshape(shape)


@pytest.mark.parametrize("context", [once_differentiable, twice_differentiable])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_value(layout, context):
    x, axis = LAYOUTS[layout]
    with context():
        found = batch_norm(tensor(x), layout)
    np.testing.assert_allclose(found.numpy(), by_definition(x, axis), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("context", [once_differentiable, twice_differentiable])
@pytest.mark.parametrize(("shape", "layout"), [([1, 3], "NC"), ([1, 3, 1, 1], "NCHW")])
def test_a_single_value_is_its_own_mean(context, shape, layout):
    with context():
        found = batch_norm(tensor(np.full(shape, 3.0)), layout)
    np.testing.assert_allclose(found.numpy().ravel(), BETA, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_second_derivative_in_x(layout):
    x, _ = LAYOUTS[layout]
    with twice_differentiable():
        assert_twice_differentiable(lambda v: paddle.tanh(batch_norm(v, layout)).sum(), x)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_second_derivative_in_gamma_and_beta(layout):
    x = paddle.to_tensor(LAYOUTS[layout][0])

    def loss(affine):
        mean, variance = paddle.zeros([3], "float64"), paddle.ones([3], "float64")
        y = F.batch_norm(x * affine.sum(), mean, variance, affine[0], affine[1], data_format=layout)
        return paddle.tanh(y).sum()

    with twice_differentiable():
        assert_twice_differentiable(loss, np.stack([GAMMA, BETA]))


def test_without_gamma_and_beta():
    x, axis = LAYOUTS["NCHW"]
    with twice_differentiable():
        y = batch_norm(tensor(x), "NCHW", None, None).numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1, atol=1e-4)


def test_linear_loss_of_the_output():
    """An incoming gradient that is a constant: the case in which a second input would be pruned."""
    weights = paddle.to_tensor(RNG.normal(size=(4, 3, 2, 5)))
    with twice_differentiable():
        assert_twice_differentiable(
            lambda v: (batch_norm(v, "NCHW") * weights).sum(), LAYOUTS["NCHW"][0]
        )


@pytest.mark.parametrize(("shape", "axes"), [([3], 1), ([5, 3], 2)])
def test_layer_norm_by_definition(shape, axes):
    x, weight = RNG.normal(size=(4, 5, 3)), RNG.normal(1, 0.3, shape)
    over = tuple(range(3 - axes, 3))
    normal = x - x.mean(over, keepdims=True)
    normal /= np.sqrt((normal**2).mean(over, keepdims=True) + 1e-5)
    with twice_differentiable():
        y = F.layer_norm(tensor(x), shape, tensor(weight), tensor(weight))
    np.testing.assert_allclose(y.numpy(), normal * weight + weight, rtol=1e-10, atol=1e-12)
