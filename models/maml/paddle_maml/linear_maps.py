"""Operators that only move, repeat or add up entries, and products, by `multilinear`."""

from __future__ import annotations

import paddle
from paddle import _legacy_C_ops

from .gradients import broadcast, with_gradient
from .impossible import NotTwiceDifferentiable
from .multilinear import multilinear, sum_of_linear
from .native import attribute, native
from .packing import tied


def _linear_in(name, count=1):
    """Paddle's operator `name`, linear in each of its first `count` arguments."""
    function = getattr(native, name)

    def replacement(*arguments, **named):
        return multilinear(
            lambda *inputs: function(*inputs, *arguments[count:], **named), *arguments[:count]
        )

    return replacement


def _sum_of_linear(name, places):
    """Paddle's operator `name`, linear in the arguments at `places` taken together."""
    function = getattr(native, name)

    def replacement(*arguments, **named):
        def of(*inputs):
            filled = list(arguments)
            for place, x in zip(places, inputs):
                filled[place] = x
            return function(*filled, **named)

        return sum_of_linear(of, *(arguments[place] for place in places))

    return replacement


def flatten(x, start_axis, stop_axis):
    rank = x.ndim
    if rank == 0:
        return x.reshape([1])
    start, stop = start_axis % rank, stop_axis % rank
    return x.reshape([*x.shape[:start], -1, *x.shape[stop + 1 :]])


def concat(tensors, axis=0):
    """Paddle's, which fails in its second gradient where a member is a constant."""
    return native.concat([tied(x, *tensors) if x.stop_gradient else x for x in tensors], axis)


def stack(tensors, axis=0):
    axis %= tensors[0].ndim + 1
    return concat([x.unsqueeze(axis) for x in tensors], axis)


def meshgrid(tensors):
    shape = [x.size for x in tensors]
    return [
        x.reshape([-1 if place == axis else 1 for place in range(len(shape))]).expand(shape)
        for axis, x in enumerate(tensors)
    ]


def grid_sample(x, grid, *setting):
    """Linear in `x`."""
    if paddle.is_grad_enabled() and not grid.stop_gradient:
        raise NotTwiceDifferentiable({"grid_sample": "keep the grid a constant"})
    return multilinear(lambda x: native.grid_sample(x, grid, *setting), x)


def diag(x, offset=0, padding_value=0.0):
    y = multilinear(lambda x: native.diag(x, offset, 0.0), x)
    if x.ndim > 1 or not padding_value:
        return y
    with paddle.no_grad():
        return y + native.diag(paddle.zeros_like(x), offset, padding_value)


def diag_embed(x, offset=0, dim1=-2, dim2=-1):
    """Paddle's has no gradient at all."""
    rank, size = x.ndim + 1, x.shape[-1] + abs(offset)
    rows = paddle.nn.functional.one_hot(paddle.arange(x.shape[-1]) + max(offset, 0), size)
    columns = x.unsqueeze(-1) * rows.astype(x.dtype)  # each entry in its column
    before = paddle.nn.functional.one_hot(paddle.arange(x.shape[-1]) + max(-offset, 0), size)
    square = paddle.matmul(before.astype(x.dtype), columns, transpose_x=True)
    others = [a for a in range(rank) if a not in (dim1 % rank, dim2 % rank)]
    order = [*others, dim1 % rank, dim2 % rank]
    return square.transpose([order.index(a) for a in range(rank)])


def _moved(name):
    """Paddle's operator `name`, which only moves entries, by what it does to their numbers.

    Its own gradient is wrong where it takes an entry twice.
    """
    function = getattr(native, name)

    def replacement(x, *setting):
        places = function(paddle.arange(x.size, dtype="int64").reshape(x.shape), *setting)
        entries = gather(x.reshape([-1]), places.reshape([-1]), 0)
        return entries.reshape(places.shape)

    return replacement


def gather(x, index, axis=0):
    """Rows by number; along other axes paddlepaddle 2.6 loses gradients of what it takes twice."""
    axis = int(axis) % x.ndim
    if axis == 0:
        return multilinear(lambda x: native.gather(x, index, 0), x)
    order = [axis, *(a for a in range(x.ndim) if a != axis)]
    rows = gather(x.transpose(order), index)
    return rows if index.ndim == 0 else rows.transpose([order.index(a) for a in range(x.ndim)])


def pixel_unshuffle(x, factor, layout="NCHW"):
    """Squares of pixels become channels."""
    if layout != "NCHW":
        front = pixel_unshuffle(x.transpose([0, 3, 1, 2]), factor)
        return front.transpose([0, 2, 3, 1])
    images, channels, height, width = x.shape
    h, w = height // factor, width // factor
    squares = x.reshape([images, channels, h, factor, w, factor]).transpose([0, 1, 3, 5, 2, 4])
    return squares.reshape([images, channels * factor**2, h, w])


def _pixel_unshuffle_of_paddle_2(x, _factor, factor, _layout, layout):
    return pixel_unshuffle(x, factor, layout)


def einsum(operands, equation):
    """Paddle's operator returns its intermediate results, too."""
    y = multilinear(lambda *operands: native.einsum(list(operands), equation)[0], *operands)
    return y, [], []


def bilinear(x, y, weight, bias):
    z = multilinear(lambda x, y, weight: native.bilinear(x, y, weight, None), x, y, weight)
    return z if bias is None else z + bias


def multi_dot(matrices):
    first, *others = matrices
    for matrix in others:
        first = paddle.matmul(first, matrix)
    return first


def addmm(b, x, y, beta=1.0, alpha=1.0):
    return beta * b + alpha * paddle.matmul(x, y)


def label_smooth(label, prior, epsilon):
    """Of each row's total 1 epsilon goes to the prior distribution, which is even if not given."""
    kept = attribute(1 - attribute(epsilon))
    of = lambda label: native.label_smooth(label, prior, epsilon)  # noqa: E731
    return with_gradient(of, lambda g, label: [kept * g], label)


def get_item(x, index):
    """x[index], for which Paddle makes operators of its own: strided slices, gather_nd."""
    parts = index if isinstance(index, tuple) else (index,)
    if all(i is None or isinstance(i, (int, type(...))) or _without_step(i) for i in parts):
        return _native_get_item(x, index)
    return multilinear(lambda x: _native_get_item(x, index), x)


def _without_step(part):
    return isinstance(part, slice) and part.step in (None, 1)


tril, triu = _linear_in("tril"), _linear_in("triu")
take_along_axis = _linear_in("take_along_axis")
_native_get_item = paddle.Tensor.__getitem__
_INTERPOLATIONS = "linear_interp", "bilinear_interp", "trilinear_interp", "bicubic_interp"
_LINEAR = (
    *("channel_shuffle", "crop", "cumsum", "diagonal", "fold"),
    *("gather_nd", "index_sample", "index_select", "masked_select", "nearest_interp"),
    *("pixel_shuffle", "pool3d", "repeat_interleave", "roll", "strided_slice"),
    *("temporal_shift", "trace", "unfold"),
    *("affine_grid", "unpool", "unpool3d", *_INTERPOLATIONS),
)
_BILINEAR = (
    *("conv2d_transpose", "conv3d_transpose", "cross", "depthwise_conv2d"),
    *("depthwise_conv2d_transpose", "kron"),
)
OPERATORS = {
    **{name: _linear_in(name) for name in _LINEAR},
    **{name: _linear_in(name, 2) for name in _BILINEAR},
    "index_put": _sum_of_linear("index_put", (0, 2)),
    "index_add": _sum_of_linear("index_add", (0, 2)),
    "put_along_axis": _sum_of_linear("put_along_axis", (0, 2)),
    "scatter": _sum_of_linear("scatter", (0, 2)),
    "scatter_nd_add": _sum_of_linear("scatter_nd_add", (0, 2)),
    "as_strided": _moved("as_strided"),
    "tensor_unfold": _moved("tensor_unfold"),
    "gather": gather,
    "addmm": addmm,
    "baddbmm": addmm,
    "bilinear": bilinear,
    "bmm": lambda x, y: paddle.matmul(x, y),
    "broadcast_tensors": broadcast,
    "concat": concat,
    "diag": diag,
    "diag_embed": diag_embed,
    "dot": lambda x, y: (x * y).sum(-1),
    "einsum": einsum,
    "flatten": flatten,
    "grid_sample": grid_sample,
    "label_smooth": label_smooth,
    "meshgrid": meshgrid,
    "pixel_unshuffle": pixel_unshuffle,
    "multi_dot": multi_dot,
    "mv": lambda x, y: (x * y).sum(-1),
    "stack": stack,
    "take_along_axis": take_along_axis,
    "tril": tril,
    "triu": triu,
}
METHODS = [(paddle.Tensor, "__getitem__", get_item)]
if paddle.__version__.startswith("2."):
    METHODS.append((_legacy_C_ops, "pixel_unshuffle", _pixel_unshuffle_of_paddle_2))
