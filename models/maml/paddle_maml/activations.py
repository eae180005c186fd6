"""Activations and other functions of single numbers that can be differentiated twice."""

from __future__ import annotations

import math

import paddle

from .gradients import elementwise, piecewise_linear
from .native import attribute, native


def _smooth(name, derivative):
    """Paddle's operator `name` with its derivative, a function of x and of the other arguments."""
    function = getattr(native, name)

    def replacement(x, *setting):
        return elementwise(lambda x: function(x, *setting), lambda x: [derivative(x, *setting)], x)

    return replacement


def _piecewise_linear(name):
    function = getattr(native, name)
    return lambda x, *setting: piecewise_linear(lambda x: function(x, *setting), x)


exp = _smooth("exp", lambda x: exp(x))
erf = _smooth("erf", lambda x: 2 / math.sqrt(math.pi) * exp(-x * x))
tan = _smooth("tan", lambda x: 1 + native.square(tan(x)))
sinh = _smooth("sinh", lambda x: cosh(x))
cosh = _smooth("cosh", lambda x: sinh(x))
reciprocal = _smooth("reciprocal", lambda x: -native.square(reciprocal(x)))
log_sigmoid = _smooth("logsigmoid", lambda x: native.sigmoid(-x))
erfinv = _smooth("erfinv", lambda x: math.sqrt(math.pi) / 2 * exp(native.square(erfinv(x))))
selu = _smooth("selu", lambda x, *setting: _selu_derivative(x, *setting))
polygamma = _smooth("polygamma", lambda x, n: polygamma(x, n + 1))


def gelu(x, approximate=False, *_):
    """x times the normal distribution function, or its tanh approximation."""
    if approximate:
        return 0.5 * x * (1 + paddle.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def _selu_derivative(x, scale, alpha):
    """scale; below zero scale alpha exp(x), which is selu(x) + scale alpha."""
    scale, alpha = attribute(scale), attribute(alpha)
    positive = (x.detach() > 0).astype(x.dtype)
    return positive * scale + (1 - positive) * (selu(x, scale, alpha) + scale * alpha)


def swish(x):
    """x sigmoid(x)."""
    return x * native.sigmoid(x)


def mish(x, threshold):
    """x tanh(softplus(x))."""
    return x * paddle.tanh(paddle.nn.functional.softplus(x, threshold=threshold))


def hardswish(x):
    """x clip(x + 3, 0, 6) / 6."""
    return x * paddle.clip(x + 3, 0, 6) / 6


def prelu(x, weight, data_format, mode):
    """x, below zero times the weight: one, one per channel, or one per entry of an example."""
    if mode == "channel":
        shape = [1] * x.ndim
        shape[1 if data_format[1] == "C" else -1] = -1
        weight = weight.reshape(shape)
    elif mode == "element":
        weight = weight.reshape([1, *x.shape[1:]])
    return x * _slope(x, weight)


def _slope(x, below):
    """1 where x is positive, `below` elsewhere: at 0, too, as in Paddle."""
    positive = (x.detach() > 0).astype(x.dtype)
    return positive + (1 - positive) * below


def swiglu(x, y=None):
    """swish(x) y; without y the halves of x."""
    if y is None:
        x, y = paddle.split(x, 2, -1)
    return native.silu(x) * y


def logit(x, epsilon):
    """log(x / (1 - x)), with x between epsilon and 1 - epsilon."""
    x = paddle.clip(x, epsilon, 1 - epsilon) if epsilon else x
    return native.log(x) - native.log(1 - x)


def rrelu(x, *setting):
    """x, below zero times a random slope."""
    with paddle.no_grad():
        slope = -native.rrelu(-paddle.ones_like(x), *setting)
    return x * _slope(x, slope)


def dropout(x, *setting):
    """What Paddle's dropout makes of ones, times `x`: linear in `x`.

    paddlepaddle 2.6 returns its mask too.
    """
    with paddle.no_grad():
        factor = native.dropout(paddle.ones_like(x), *setting)
    return (x * factor[0], *factor[1:]) if isinstance(factor, tuple) else x * factor


def dropped_out(x, rate):
    """`x` with entries left out at random and the others scaled up, as in training."""
    y = dropout(x, None, rate, False, "upscale_in_train", 0, False)
    return y[0] if isinstance(y, tuple) else y


OPERATORS = {
    "exp": exp,
    "erf": erf,
    "tan": tan,
    "sinh": sinh,
    "cosh": cosh,
    "reciprocal": reciprocal,
    "logsigmoid": log_sigmoid,
    "erfinv": erfinv,
    "polygamma": polygamma,
    "gelu": gelu,
    "selu": selu,
    "swish": swish,
    "mish": mish,
    "hardswish": hardswish,
    "dropout": dropout,
    "prelu": prelu,
    "rrelu": rrelu,
    "swiglu": swiglu,
    "logit": logit,
    "expm1": _smooth("expm1", lambda x: exp(x)),
    "log1p": _smooth("log1p", lambda x: reciprocal(1 + x)),
    "log2": _smooth("log2", lambda x: reciprocal(x) / math.log(2)),
    "log10": _smooth("log10", lambda x: reciprocal(x) / math.log(10)),
    "asin": _smooth("asin", lambda x: native.rsqrt(1 - x * x)),
    "acos": _smooth("acos", lambda x: -native.rsqrt(1 - x * x)),
    "atan": _smooth("atan", lambda x: reciprocal(1 + x * x)),
    "asinh": _smooth("asinh", lambda x: native.rsqrt(1 + x * x)),
    "acosh": _smooth("acosh", lambda x: native.rsqrt(x * x - 1)),
    "atanh": _smooth("atanh", lambda x: reciprocal(1 - x * x)),
    "lgamma": _smooth("lgamma", lambda x: OPERATORS["digamma"](x)),
    "digamma": _smooth("digamma", lambda x: polygamma(x, 1)),
    "softsign": _smooth("softsign", lambda x: native.square(reciprocal(1 + native.abs(x)))),
    "tanh_shrink": _smooth("tanh_shrink", lambda x: native.square(native.tanh(x))),
    "stanh": _smooth("stanh", lambda x, a, b: a * b * (1 - native.square(native.tanh(a * x)))),
    **{
        name: _piecewise_linear(name)
        for name in (
            "hardshrink",
            "hardsigmoid",
            "hardtanh",
            "ceil",
            "floor",
            "relu6",
            "round",
            "sign",
            "softshrink",
            "thresholded_relu",
            "trunc",
        )
    },
}
