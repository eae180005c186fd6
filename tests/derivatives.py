"""Derivatives by finite differences, the yardstick of the tests."""

from __future__ import annotations

import numpy as np
import paddle


def tensor(array):
    """A float64 leaf that autograd follows."""
    return paddle.to_tensor(np.asarray(array, np.float64), stop_gradient=False)


def gradient(function, point: np.ndarray) -> np.ndarray:
    """The gradient that Paddle computes of a scalar `function` at `point`."""
    x = tensor(point)
    return paddle.grad(function(x), [x])[0].numpy()


def second_derivative(function, point: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Hessian times `direction`, by differentiating Paddle's gradient."""
    x = tensor(point)
    (g,) = paddle.grad(function(x), [x], create_graph=True)
    return paddle.grad((g * tensor(direction).detach()).sum(), [x])[0].numpy()


def slope(function, point: np.ndarray, direction: np.ndarray, step: float = 1e-5):
    """The derivative of an array-valued `function` along `direction`, by central difference."""
    return (function(point + step * direction) - function(point - step * direction)) / (2 * step)


def assert_twice_differentiable(function, point: np.ndarray, seed: int = 0, rtol: float = 1e-6):
    """Hold Paddle's first and second derivatives of a scalar `function` to finite differences."""
    direction = np.random.default_rng(seed).normal(size=point.shape)
    value = lambda p: np.array(float(function(tensor(p))))  # noqa: E731
    along = (gradient(function, point) * direction).sum()
    np.testing.assert_allclose(along, slope(value, point, direction), rtol=rtol, atol=1e-8)
    expected = slope(lambda p: gradient(function, p), point, direction)
    found = second_derivative(function, point, direction)
    assert np.abs(expected).max() > 1e-3, "the function is too flat to test its curvature"
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
