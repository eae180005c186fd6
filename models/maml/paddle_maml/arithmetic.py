"""Arithmetic on two tensors, and choosing between them, that can be differentiated twice."""

from __future__ import annotations

import paddle

from .activations import reciprocal
from .gradients import elementwise, piecewise_linear
from .native import native
from .packing import tied


def power(x, y):
    """x ** y; the derivative in y is 0 where x is 0, as Paddle's."""

    def derivatives(x, y):
        log = native.log(native.where(x > 0, x, paddle.ones_like(x)))
        return y * power(x, y - 1), power(x, y) * log

    return elementwise(native.elementwise_pow, derivatives, x, y)


def atan2(x, y):
    def derivatives(x, y):
        scale = reciprocal(x * x + y * y)
        return y * scale, -x * scale

    return elementwise(native.atan2, derivatives, x, y)


def remainder(x, y):
    return elementwise(
        native.remainder,
        lambda x, y: (paddle.ones_like(x), -native.floor(native.divide(x, y)).detach()),
        x,
        y,
    )


def lerp(x, y, weight):
    return x + weight * (y - x)


def divide(x, y):
    """x / y; x crashes paddlepaddle 2.6 in the second gradient where it is not differentiated."""
    return native.divide(tied(x, y), y)


def where(condition, x, y):
    shape = paddle.broadcast_shape(condition.shape, x.shape)
    condition = condition.expand(paddle.broadcast_shape(shape, y.shape))
    return piecewise_linear(lambda x, y: native.where(condition, x, y), x, y)


def _piecewise_linear(name):
    return lambda x, y: piecewise_linear(getattr(native, name), x, y)


OPERATORS = {
    "atan2": atan2,
    "elementwise_pow": power,
    "fmax": _piecewise_linear("fmax"),
    "fmin": _piecewise_linear("fmin"),
    "lerp": lerp,
    "remainder": remainder,
}
if paddle.__version__.startswith("2."):
    OPERATORS.update(
        divide=divide,
        maximum=_piecewise_linear("maximum"),
        minimum=_piecewise_linear("minimum"),
        where=where,
    )


def _method(name, function, is_followed):
    """An operator of Tensor's, by `function` where autograd follows what `is_followed` says."""
    native = getattr(paddle.Tensor, name)
    swapped = name.startswith("__r")

    def method(tensor, other):
        mixed = isinstance(other, paddle.Tensor) and other.dtype != tensor.dtype
        if mixed or not is_followed(tensor, other):
            return native(tensor, other)
        if not isinstance(other, paddle.Tensor):
            other = paddle.full_like(tensor, other).detach()
        return function(other, tensor) if swapped else function(tensor, other)

    return paddle.Tensor, name, method


def _either(x, y):
    """Of a tensor and a tensor: a number as exponent has an operator of its own."""
    return isinstance(y, paddle.Tensor) and not (x.stop_gradient and y.stop_gradient)


def _second(x, y):
    return isinstance(y, paddle.Tensor) and not y.stop_gradient


def _first(x, y):
    return not x.stop_gradient


METHODS = [_method("__pow__", power, _either), _method("__rpow__", power, _first)]
if paddle.__version__.startswith("2."):
    METHODS.append(_method("__truediv__", divide, _second))
    METHODS.append(_method("__rtruediv__", divide, _first))
