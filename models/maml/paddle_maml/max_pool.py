"""Max-pooling over images that can be differentiated twice."""

from __future__ import annotations

import math

import paddle
from paddle import _C_ops
from paddle.autograd import PyLayer

_native_pool_with_index = _C_ops.max_pool2d_with_index


class _Index:
    """An index into rows; wrapped, since PyLayer takes every bare tensor for an input."""

    def __init__(self, tensor: paddle.Tensor, positions: int):
        self.tensor, self.positions = tensor, positions


class _Pick(PyLayer):
    """(rows, positions) -> (rows, picked), the entries at an index. Its adjoint is `_Place`."""

    @staticmethod
    def forward(ctx, x, index):
        ctx.index = index
        return paddle.take_along_axis(x, index.tensor, 1)

    @staticmethod
    def backward(ctx, g):
        return _Place.apply(g, ctx.index)


class _Place(PyLayer):
    """(rows, picked) -> (rows, positions): adds each entry at its index. Its adjoint: `_Pick`."""

    @staticmethod
    def forward(ctx, g, index):
        ctx.index = index
        zeros = paddle.zeros([g.shape[0], index.positions], g.dtype)
        return paddle.put_along_axis(zeros, index.tensor, g, 1, reduce="add")

    @staticmethod
    def backward(ctx, g):
        return _Pick.apply(g, ctx.index)


def max_pool2d(x, kernel, stride, padding=(0, 0), adaptive=False):
    """Max-pool `x` (N, C, H, W) without partial windows; returns (values, index within H * W).

    Which pixel of a window is largest is piecewise constant, so pooling is a gather: linear in x,
    with a scatter as its gradient and a gather again as its second.
    """
    with paddle.no_grad():
        pooled, index = _native_pool_with_index(
            x, kernel, stride, list(padding), False, adaptive, *_CEIL_MODE
        )
    images, channels, height, width = x.shape
    rows = x.reshape([images * channels, height * width])
    flat = _Index(index.reshape([images * channels, -1]), height * width)
    return _Pick.apply(rows, flat).reshape(pooled.shape), index


def extreme(x, axis, keepdim, arg):
    """The largest or smallest entry over `axis` (None, [], an int or a list of ints).

    `arg` is paddle.argmax or paddle.argmin; of equal entries the first gets the gradient.
    """
    axes = range(x.ndim) if axis in (None, []) else [axis] if isinstance(axis, int) else axis
    axes = sorted(a % x.ndim for a in axes)
    others = [a for a in range(x.ndim) if a not in axes]
    moved = x.transpose([*others, *axes])
    rows = moved.reshape([-1, x.size // max(1, math.prod(x.shape[a] for a in others))])
    with paddle.no_grad():
        index = arg(rows, 1, keepdim=True)
    picked = _Pick.apply(rows, _Index(index, rows.shape[1]))
    kept = [1 if a in axes else n for a, n in enumerate(x.shape)]
    return picked.reshape(kept if keepdim else [x.shape[a] for a in others])


# paddlepaddle 3 added an argument to the kernel.
_CEIL_MODE = () if paddle.__version__.startswith("2.") else (False,)


def ceil_padding(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """How far past `after` the last, partial window of ceil mode reaches."""
    covered = size + before + after - kernel
    return -covered % stride
