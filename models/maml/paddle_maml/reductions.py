"""Products and norms over axes that can be differentiated twice."""

from __future__ import annotations

import math

import paddle

from .activations import reciprocal
from .classification import log_sum_exp, masked
from .linear_maps import concat
from .native import native
from .selection import axes_of, extreme


def product(x, axis=None, keepdim=False, reduce_all=False):
    """By halves, so that a zero is no exception."""
    axes = axes_of(x, None if reduce_all else axis)
    for a in axes:
        while x.shape[a] > 1:
            half, odd = divmod(x.shape[a], 2)
            first, second, *rest = paddle.split(x, [half, half] + [1] * odd, a)
            x = concat([first * second, *rest], a)
    return x if keepdim or not axes else x.squeeze(axes)


def cumulative_product(x, axis, *_):
    parts = paddle.split(x, x.shape[axis], axis)
    for i in range(1, len(parts)):
        parts[i] = parts[i - 1] * parts[i]
    return concat(parts, axis)


def cumulative_log_sum_exp(x, axis, flatten, *_):
    """log(cumsum(exp(x))), each from the entries up to its own, safe from overflow."""
    axis, x = (0, x.reshape([-1])) if flatten else (axis % x.ndim, x)
    order = [a for a in range(x.ndim) if a != axis] + [axis]
    rows = x.transpose(order).unsqueeze(-2)
    later = paddle.triu(paddle.full([x.shape[axis]] * 2, -math.inf, x.dtype), 1)
    return log_sum_exp(rows + later, -1).transpose([order.index(a) for a in range(x.ndim)])


def p_norm(x, porder, axis=-1, epsilon=0.0, keepdim=False, asvector=False):
    """(sum |x|^p)^(1/p); where everything is 0, so is the gradient."""
    axes = axes_of(x, None if asvector else axis)
    if porder == 0:
        return native.p_norm(x.detach(), porder, axis, epsilon, keepdim, asvector)
    if porder == math.inf:
        return shared_extreme(native.abs(x), axes, keepdim, native.amax)
    if porder == -math.inf:
        return shared_extreme(native.abs(x), axes, keepdim, native.amin)
    if porder == 1:
        return native.abs(x).sum(axes, keepdim=keepdim)
    powers = x * x if porder == 2 else native.pow(native.abs(x), porder)
    return _root(powers.sum(axes, keepdim=keepdim), porder)


def _root(x, degree):
    positive = (x.detach() > 0).astype(x.dtype)
    y = x * positive + (1 - positive)
    return (native.sqrt(y) if degree == 2 else native.pow(y, 1 / degree)) * positive


def normalised(x, axis, epsilon, _is_test):
    """x over its length along `axis`, and that length."""
    length = native.sqrt((x * x).sum(axis, keepdim=True) + epsilon)
    return x * reciprocal(length), length


def shared_extreme(x, axis, keepdim, arg):
    """The extreme over `axis`; equal entries share its gradient evenly, as in Paddle.

    `arg` is Paddle's own amax or amin.
    """
    axes = axes_of(x, axis)
    with paddle.no_grad():
        chosen = x == arg(x, axes, True)
        share = reciprocal(chosen.astype(x.dtype).sum(axes, keepdim=True))
    return (masked(x, chosen) * share).sum(axes, keepdim=keepdim)


def lp_pool2d(x, kernel, *setting):
    """(sum |x|^p)^(1/p) over windows, of a p that makes |x|^p and x^p the same."""
    *setting, degree = setting
    setting[3], setting[5] = False, "avg"  # padding counts, as zeros
    mean = native.pool2d(native.pow(x, degree), kernel, *setting)
    return _root(mean * math.prod(kernel), degree)


def maxout(x, groups, axis):
    """The largest of each `groups` neighbouring channels."""
    axis %= x.ndim
    grouped = x.reshape([*x.shape[:axis], -1, groups, *x.shape[axis + 1 :]])
    return extreme(grouped, axis + 1, False, paddle.argmax)


OPERATORS = {
    "amax": lambda x, axis=None, keepdim=False: shared_extreme(x, axis, keepdim, native.amax),
    "amin": lambda x, axis=None, keepdim=False: shared_extreme(x, axis, keepdim, native.amin),
    "cumprod": cumulative_product,
    "dist": lambda x, y, p: p_norm(x - y, p, asvector=True),
    "frobenius_norm": lambda x, axis, keepdim, reduce_all: p_norm(
        x, 2, axis, keepdim=keepdim, asvector=reduce_all
    ),
    "logcumsumexp": cumulative_log_sum_exp,
    "maxout": maxout,
    "norm": normalised,
    "p_norm": p_norm,
    "prod": product,
    **({"lp_pool2d": lp_pool2d} if hasattr(native, "lp_pool2d") else {}),
}
