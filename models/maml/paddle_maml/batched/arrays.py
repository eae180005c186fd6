"""The products that the stages are made of; arrays are (task, row, column)."""

from __future__ import annotations

from functools import lru_cache

import paddle
from paddle import _C_ops
from paddle.nn.functional import relu

from ..precision import exact_matmul


def product(a, b, transpose_a=False, transpose_b=False):
    """Matrix product task by task, in the precision that is active."""
    return _C_ops.matmul(a, b, transpose_a, transpose_b)


def combined(weights, x, transpose=False):
    """Sums of rows with constant weights: a product too, but never in low precision."""
    return exact_matmul(weights, x, transpose)


def total(x):
    """Sum over rows: (task, 1, column).

    A product with ones, since Paddle's reductions over other axes than the last are many times
    slower on the CPU.
    """
    return combined(_ones((x.shape[0], 1, x.shape[1]), x.dtype, str(x.place)), x)


def spread(v, rows):
    """(task, 1, column) repeated over rows; a product for the same reason, as for broadcasting."""
    return combined(_ones((v.shape[0], rows, 1), v.dtype, str(v.place)), v)


def positive(x):
    """1 where x > 0 and 0 where it is 0, for x >= 0; differences below 1e-38 count as none.

    Paddle's sign and comparisons are ten times slower on the CPU.
    """
    return 1 - zero(x)


def zero(x):
    """1 where x is 0 and 0 where it is more, for x >= 0."""
    return relu(paddle.scale(x, -1e38, 1.0))


@lru_cache(maxsize=256)
def _ones(shape, dtype, place):
    return paddle.ones(shape, dtype)
