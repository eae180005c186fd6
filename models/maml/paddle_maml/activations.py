"""Activations from operations that can be differentiated twice."""

from __future__ import annotations

import math

import paddle
from paddle import _C_ops
from paddle.autograd import PyLayer

_native_exp, _native_erf = _C_ops.exp, _C_ops.erf


class Exp(PyLayer):
    """exp, whose gradient paddlepaddle 2.6 cannot differentiate."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return _native_exp(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensor()
        return g * Exp.apply(x)


class Erf(PyLayer):
    """The error function; its gradient is 2 / sqrt(pi) exp(-x^2)."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return _native_erf(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensor()
        return g * Exp.apply(-x * x) * (2 / math.sqrt(math.pi))


def gelu(x, approximate=False):
    """x times the normal distribution function, or its tanh approximation."""
    if approximate:
        return 0.5 * x * (1 + paddle.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + Erf.apply(x / math.sqrt(2)))


def swish(x):
    """x sigmoid(x)."""
    return x * paddle.nn.functional.sigmoid(x)


def mish(x, threshold):
    """x tanh(softplus(x))."""
    return x * paddle.tanh(paddle.nn.functional.softplus(x, threshold=threshold))


def hardswish(x):
    """x clip(x + 3, 0, 6) / 6."""
    return x * paddle.clip(x + 3, 0, 6) / 6


def dropout(x, native, *setting):
    """What Paddle's dropout makes of ones, times `x`: linear in `x`.

    paddlepaddle 2.6 returns its mask too.
    """
    with paddle.no_grad():
        factor = native(paddle.ones_like(x), *setting)
    return (x * factor[0], *factor[1:]) if isinstance(factor, tuple) else x * factor
