"""Max-pooling over signals, images and volumes that can be differentiated twice."""

from __future__ import annotations

import math

import paddle

from .native import native
from .selection import Index, Pick


def max_pool(x, kernel, stride, padding, adaptive=False, ceil_mode=False):
    """Max-pool `x` (N, C, H, W) or (N, C, D, H, W); returns (values, index within an image).

    Which pixel of a window is largest is piecewise constant, so pooling is a gather: linear in x,
    with a scatter as its gradient and a gather again as its second.
    """
    kernels = native.max_pool2d_with_index, native.max_pool3d_with_index
    setting = kernel, stride, list(padding), False, adaptive
    with paddle.no_grad():
        pooled, index = kernels[x.ndim - 4](x, *setting, *([ceil_mode] if _TAKES_CEIL_MODE else []))
    images, channels, *size = x.shape
    rows = x.reshape([images * channels, math.prod(size)])
    flat = Index(index.reshape([images * channels, -1]), rows.shape[1])
    return Pick.apply(rows, flat).reshape(pooled.shape), index


_TAKES_CEIL_MODE = not paddle.__version__.startswith("2.")


def ceil_padding(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """How far past `after` the last, partial window of ceil mode reaches."""
    covered = size + before + after - kernel
    return -covered % stride
