"""Convolution of channels-last images as one matrix product over all images.

Paddle's CPU kernel multiplies image by image, which leaves small images at a fraction of the
processor's speed, and in NCHW order whatever the layout. With channels last, a patch is made of
whole rows of channels, so that collecting all patches is a table look-up at the speed of memory.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import paddle
from paddle.autograd import PyLayer

from .native import native


def convolve(x, filters, stride, padding, dilation, twice):
    """Convolve `x` (N, H, W, C) with `filters` (O, C, kh, kw); returns (N, h, w, O).

    `padding` is (top, bottom, left, right). With `twice` the result can be differentiated twice.
    """
    images, height, width, channels = x.shape
    kernel = filters.shape[2:]
    h, w = _output_size((height, width), kernel, stride, padding, dilation)
    table = _patch_table(
        images, height, width, *kernel, *stride, *padding, *dilation, str(paddle.get_device())
    )
    look_up = _LookUp.apply if twice else _native_look_up
    patches = look_up(x.reshape([-1, channels]), table).reshape([images * h * w, -1])
    matrix = filters.transpose([2, 3, 1, 0]).reshape([-1, filters.shape[0]])
    return paddle.matmul(patches, matrix).reshape([images, h, w, -1])


def embedding(ids, weight, padding_idx):
    """Rows of `weight` (rows, C) by number; `padding_idx` stands for zeros without gradient."""
    found = _LookUp.apply(weight, _Table(ids.reshape([-1]), padded=False))
    if padding_idx != -1:
        found = found * (ids.reshape([-1, 1]) != padding_idx).astype(weight.dtype)
    return found.reshape([*ids.shape, -1])


class _Table:
    """Row numbers; wrapped, since PyLayer takes every bare tensor for an input.

    `padded`: one row past the last stands for zeros.
    """

    def __init__(self, rows, padded=True):
        self.rows, self.padded = rows, padded


class _LookUp(PyLayer):
    """(rows, C) -> (looked up, C): the rows that a table names. Its adjoint is `_AddUp`."""

    @staticmethod
    def forward(ctx, x, table):
        ctx.table, ctx.height = table, x.shape[0]
        return _native_look_up(x, table)

    @staticmethod
    def backward(ctx, g):
        return _AddUp.apply(g, ctx.table, ctx.height)


class _AddUp(PyLayer):
    """(looked up, C) -> (rows, C): each row the sum of where it went. Its adjoint is `_LookUp`."""

    @staticmethod
    def forward(ctx, g, table, height):
        ctx.table = table
        zeros = paddle.zeros([height + 1, g.shape[1]], g.dtype)
        return paddle.scatter(zeros, table.rows, g, overwrite=False)[:-1]

    @staticmethod
    def backward(ctx, g):
        return _LookUp.apply(g, ctx.table)


def _native_look_up(x, table):
    padded = paddle.concat([x, paddle.zeros([1, x.shape[1]], x.dtype)]) if table.padded else x
    # gather does the same as embedding, but its gradient is three times slower on the CPU.
    return native.embedding(table.rows, padded, -1, False)


def _output_size(size, kernel, stride, padding, dilation):
    return [
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, d, before, after in zip(
            size, kernel, stride, dilation, padding[0::2], padding[1::2]
        )
    ]


@lru_cache(maxsize=256)
def _patch_table(images, height, width, kh, kw, sh, sw, top, bottom, left, right, dh, dw, device):
    padding = (top, bottom, left, right)
    rows = patch_rows(images, (height, width), (kh, kw), (sh, sw), padding, (dh, dw))
    return _Table(paddle.to_tensor(rows.ravel(), "int64"))


def patch_rows(images, size, kernel, stride, padding, dilation=(1, 1)) -> np.ndarray:
    """For each patch and tap the row of that pixel, or one past the last row: padding.

    int64, (image, output line, output column, tap), for channels-last images as rows of pixels.
    """
    height, width = size
    h, w = _output_size(size, kernel, stride, padding, dilation)
    y = np.arange(h)[:, None] * stride[0] - padding[0] + np.arange(kernel[0]) * dilation[0]
    x = np.arange(w)[:, None] * stride[1] - padding[2] + np.arange(kernel[1]) * dilation[1]
    inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[None, :, None]
    pixel = y[:, None, :, None] * width + x[None, :, None]  # (h, w, kh, kw)
    image = np.arange(images)[:, None, None, None, None] * height * width
    rows = np.where(inside, image + pixel, images * height * width)
    return rows.reshape(images, h, w, kernel[0] * kernel[1])
