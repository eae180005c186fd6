"""Choosing entries by their order: linear in what is chosen, wherever that does not change."""

from __future__ import annotations

import math

import paddle
from paddle.autograd import PyLayer

from .linear_maps import take_along_axis
from .native import native


class Index:
    """An index into rows; wrapped, since PyLayer takes every bare tensor for an input."""

    def __init__(self, tensor: paddle.Tensor, positions: int):
        self.tensor, self.positions = tensor, positions


class Pick(PyLayer):
    """(rows, positions) -> (rows, picked), the entries at an index. Its adjoint is `_Place`."""

    @staticmethod
    def forward(ctx, x, index):
        ctx.index = index
        return native.take_along_axis(x, index.tensor, 1)

    @staticmethod
    def backward(ctx, g):
        return _Place.apply(g, ctx.index)


class _Place(PyLayer):
    """(rows, picked) -> (rows, positions): adds each entry at its index. Its adjoint: `Pick`."""

    @staticmethod
    def forward(ctx, g, index):
        ctx.index = index
        zeros = paddle.zeros([g.shape[0], index.positions], g.dtype)
        return native.put_along_axis(zeros, index.tensor, g, 1, "add", True)

    @staticmethod
    def backward(ctx, g):
        return Pick.apply(g, ctx.index)


def extreme(x, axis, keepdim, arg):
    """The largest or smallest entry over `axis` (None, [], an int or a list of ints).

    `arg` is paddle.argmax or paddle.argmin; of equal entries the first gets the gradient.
    """
    axes = axes_of(x, axis)
    others = [a for a in range(x.ndim) if a not in axes]
    moved = x.transpose([*others, *axes])
    rows = moved.reshape([-1, x.size // max(1, math.prod(x.shape[a] for a in others))])
    with paddle.no_grad():
        index = arg(rows, 1, keepdim=True)
    picked = Pick.apply(rows, Index(index, rows.shape[1]))
    kept = [1 if a in axes else n for a, n in enumerate(x.shape)]
    return picked.reshape(kept if keepdim else [x.shape[a] for a in others])


def axes_of(x, axis) -> list[int]:
    """The axes that Paddle's `axis` names, in order: None and [] are all of them."""
    if axis is None or axis == []:
        return list(range(x.ndim))
    return sorted(a % x.ndim for a in ([axis] if isinstance(axis, int) else axis))


def _ordered(name, axis_at):
    """Paddle's operator `name`, which returns values and their places along an axis."""
    function = getattr(native, name)

    def replacement(x, *setting):
        with paddle.no_grad():
            values, places = function(x, *setting)
        axis = setting[axis_at] % x.ndim
        if values.ndim == x.ndim:
            return take_along_axis(x, places, axis), places
        chosen = take_along_axis(x, places.unsqueeze(axis), axis)
        return chosen.squeeze(axis), places

    return replacement


def median(x, axis, keepdim, mode):
    """The middle entry, or the mean of both in the middle; `mode` min takes the lower one."""
    with paddle.no_grad():
        places = native.median(x, axis, keepdim, mode)[1]
    axes = axes_of(x, axis)
    others = [a for a in range(x.ndim) if a not in axes]
    rows = x.transpose([*others, *axes]).reshape([*(x.shape[a] for a in others), -1])
    with paddle.no_grad():
        order = native.argsort(rows, -1, False, False)[1]
    last = rows.shape[-1] - 1
    middle = [last // 2] if mode == "min" else [last // 2, last - last // 2]
    chosen = take_along_axis(rows, order[..., middle], len(others)).mean(-1)
    kept = [1 if a in axes else n for a, n in enumerate(x.shape)]
    return chosen.reshape(kept if keepdim else [x.shape[a] for a in others]), places


OPERATORS = {
    # In 2.6.2 every one of several equal maxima gets the whole gradient.
    "max": lambda x, axis=None, keepdim=False: extreme(x, axis, keepdim, paddle.argmax),
    "min": lambda x, axis=None, keepdim=False: extreme(x, axis, keepdim, paddle.argmin),
    "argsort": _ordered("argsort", 0),
    "cummax": _ordered("cummax", 0),
    "cummin": _ordered("cummin", 0),
    "kthvalue": _ordered("kthvalue", 1),
    "mode": _ordered("mode", 0),
    "topk": _ordered("topk", 1),
    **({"median": median} if hasattr(native, "median") else {}),
}
