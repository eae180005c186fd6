"""Paddle's operators as the inner loop needs them.

Every functional, layer and tensor method of Paddle reaches its kernel through an attribute of
`paddle._C_ops` that is looked up at the call, in 2.6 as in 3.3. Replacing attributes there for the
time of a `with` block reaches any `paddle.nn.Layer`, whatever names its author imported before.
"""

from __future__ import annotations

from functools import partial

import paddle
from paddle import _C_ops

from . import (
    activations,
    algebra,
    arithmetic,
    attention,
    classification,
    impossible,
    linear_maps,
    losses,
    recurrence,
    reductions,
    selection,
)
from .convolution import convolve, embedding
from .max_pool import ceil_padding, max_pool
from .normalisation import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from .packing import tied
from .precision import lowered
from .replacement import replaced

_native = {name: getattr(_C_ops, name) for name in ("batch_norm", "pool2d")}
_native.update(conv2d=lowered("conv2d"), conv3d=lowered("conv3d"))


def once_differentiable():
    """A context with Paddle's own operators, but batch norm uses the batch at hand.

    That is the transductive batch norm of Finn et al. (2017): training and evaluation mode do the
    same, a query batch is normalised by its own mean and variance, and the running statistics are
    neither read nor written. Convolutions of channels-last images take a faster route, and of equal
    maxima the first alone gets the gradient.
    """
    return replaced(_ONCE_DIFFERENTIABLE)


def twice_differentiable():
    """A context in which Paddle's operators can be differentiated twice, exactly.

    Covers what Paddle lacks a double gradient for, or crashes or is wrong at: losses, activations,
    reductions, slices, products, convolutions, pooling, normalisations, resampling, recurrent
    layers and attention; and batch norm, whose double gradient Paddle has but in seconds per call.
    Batch norm uses the batch at hand, as in `once_differentiable`. Values and first gradients are
    those of the operators replaced, but of equal maxima the first alone gets the gradient of `max`.
    Gradients may be taken inside the context or after it. Works on the whole process, not one
    thread.

    Raises
    ------
    NotImplementedError
        Inside the context, by the operators in `impossible.WAYS_OUT` for an input, and by
        `grid_sample` for a grid, that autograd follows; it says what to do instead.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import twice_differentiable
    >>> w = paddle.to_tensor([[1.0, 2.0]], stop_gradient=False)
    >>> with twice_differentiable():
    ...     loss = paddle.nn.functional.cross_entropy(w, paddle.to_tensor([0]))
    >>> (g,) = paddle.grad(loss, [w], create_graph=True)
    >>> (h,) = paddle.grad(g[0, 0], [w])
    >>> [round(v, 4) for v in h.flatten().tolist()]
    [0.1966, -0.1966]
    """
    return replaced(_TWICE_DIFFERENTIABLE, _METHODS)


def unbounded_cross_entropy():
    """A context in which cross-entropy has its value where logits lie far apart, too.

    That of Paddle's kernel ends at 64 for an example, while its gradient goes on.
    """
    name = "cross_entropy_with_softmax"
    return replaced({name: _TWICE_DIFFERENTIABLE[name]})


def _batch_norm_once(x, mean, variance, weight, bias, is_test, momentum, epsilon, layout, *_):
    if x.size == mean.size:  # where there is one value per channel, Paddle leaves it as it is
        return _batch_norm_twice(
            x, mean, variance, weight, bias, is_test, momentum, epsilon, layout
        )
    discarded = paddle.zeros_like(mean), paddle.ones_like(variance)
    rows = x.reshape([-1, x.shape[-1]]) if layout == "NHWC" else x
    y, *rest = _native["batch_norm"](
        rows, *discarded, weight, bias, False, momentum, epsilon, "NCHW", False, False
    )
    return y.reshape(x.shape), *rest


def _batch_norm_twice(x, mean, variance, weight, bias, is_test, momentum, epsilon, layout, *_):
    y = batch_norm(x, weight, bias, epsilon, layout == "NCHW")
    return y, mean, variance, None, None, None


def _conv2d(x, filters, stride, padding, how, dilation, groups, layout, twice):
    if layout == "NHWC" and groups == 1:
        reach = [d * (k - 1) + 1 for k, d in zip(filters.shape[2:], dilation)]
        padding = _explicit_padding(x.shape[1:3], reach, stride, padding, how)
        return convolve(x, filters, stride, padding, dilation, twice)
    x = tied(x, filters) if twice else x
    return _native["conv2d"](x, filters, stride, padding, how, dilation, groups, layout)


def _conv3d_twice(x, filters, *setting):
    return _native["conv3d"](tied(x, filters), filters, *setting)


def _group_norm(x, weight, bias, epsilon, groups, layout):
    if layout == "NCHW":
        return group_norm(x, weight, bias, epsilon, groups)
    to_front = [0, x.ndim - 1, *range(1, x.ndim - 1)]
    to_back = [0, *range(2, x.ndim), 1]
    return group_norm(x.transpose(to_front), weight, bias, epsilon, groups).transpose(to_back)


def _mean_all(x):
    return _C_ops.mean(x, None, False)


def _logsumexp(x, axis=None, keepdim=False, reduce_all=False):
    axes = list(range(x.ndim)) if reduce_all or axis in (None, []) else axis
    return classification.log_sum_exp(x, axes, keepdim)


def _cross_entropy_with_softmax(x, label, soft_label, use_softmax, _stable, ignore_index, axis):
    loss = classification.cross_entropy(x, label, soft_label, use_softmax, ignore_index, axis)
    return (classification.softmax(x.detach(), axis) if use_softmax else x), loss


def _pool(x, kernel, stride, padding, ceil_mode, exclusive, layout, kind, whole, adaptive, how):
    setting = kernel, stride, padding, ceil_mode, exclusive
    if kind != "max":
        average = _native["pool2d"] if x.ndim == 4 else linear_maps.OPERATORS["pool3d"]
        return average(x, *setting, layout, kind, whole, adaptive, how)
    if layout[1] != "C":
        last = x.ndim - 1
        front = x.transpose([0, last, *range(1, last)])
        y = _pool(front, *setting, layout[0] + "C" + layout[1:-1], kind, whole, adaptive, how)
        return y.transpose([0, *range(2, x.ndim), 1])
    size = x.shape[2:]
    if adaptive or whole:
        return max_pool(x, kernel if adaptive else size, [1] * len(size), adaptive=adaptive)[0]
    sides = list(_explicit_padding(size, kernel, stride, padding, how))
    before, after = sides[0::2], sides[1::2]
    if ceil_mode:
        reach = zip(size, kernel, stride, before, after)
        after = [end + ceil_padding(*axis, end) for *axis, end in reach]
    if before != after:
        pairs = [(start, end) for start, end in zip(before, after)]
        sides = [n for pair in reversed(pairs) for n in pair]  # the last axis comes first
        x = paddle.nn.functional.pad(x, sides, value=float("-inf"), data_format=layout)
        before = [0] * len(size)
    return max_pool(x, kernel, stride, before)[0]


def _explicit_padding(size, kernel, stride, padding, how):
    """Paddle's padding argument as (before, after) of each axis in turn."""
    if how == "VALID":
        return [0] * (2 * len(size))
    if how == "SAME":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride)]
        return [side for n in total for side in (n // 2, -(-n // 2))]
    if len(padding) == len(size):
        return [n for n in padding for _ in range(2)]
    return list(padding)


def _max_pool_with_index(x, kernel, stride, padding, whole, adaptive, *ceil_mode):
    if whole:
        kernel, stride, padding = x.shape[2:], [1] * (x.ndim - 2), [0] * (x.ndim - 2)
    return max_pool(x, kernel, stride, padding, adaptive, *ceil_mode)


_ONCE_DIFFERENTIABLE = {
    "batch_norm": _batch_norm_once,
    "conv2d": partial(_conv2d, twice=False),
    "max": selection.OPERATORS["max"],
    "min": selection.OPERATORS["min"],
}


def _as_named(function):
    """`function` for Paddle 3, which passes on what its callers name, also by PyTorch's names."""

    def call(*arguments, **named):
        named = {_NAMES.get(name, name): x for name, x in named.items() if name != "name"}
        if named.pop("out", None) is not None:
            raise NotImplementedError("out=... has no second gradient: use what is returned.")
        return function(*arguments, **named)

    return call


_NAMES = {"input": "x", "other": "y", "dim": "axis"}
_REPLACED = {
    **activations.OPERATORS,
    **algebra.OPERATORS,
    **arithmetic.OPERATORS,
    **attention.OPERATORS,
    **impossible.OPERATORS,
    **linear_maps.OPERATORS,
    **losses.OPERATORS,
    **recurrence.OPERATORS,
    **reductions.OPERATORS,
    **selection.OPERATORS,
    "batch_norm": _batch_norm_twice,
    "conv2d": partial(_conv2d, twice=True),
    "conv3d": _conv3d_twice,
    "cross_entropy_with_softmax": _cross_entropy_with_softmax,
    "embedding": lambda ids, weight, padding_idx, _sparse: embedding(ids, weight, padding_idx),
    "group_norm": _group_norm,
    "gumbel_softmax": classification.gumbel_softmax,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "log_softmax": lambda x, axis, **_: classification.log_softmax(x, axis),
    "logsumexp": _logsumexp,
    "max_pool2d_with_index": _max_pool_with_index,
    "max_pool3d_with_index": _max_pool_with_index,
    "mean_all": _mean_all,
    "pool2d": _pool,
    "pool3d": _pool,
    "rms_norm": rms_norm,
    "softmax": lambda x, axis, **_: classification.softmax(x, axis),
}
_TWICE_DIFFERENTIABLE = {
    name: _as_named(function) for name, function in _REPLACED.items() if hasattr(_C_ops, name)
}
# What Paddle does not look up there.
_METHODS = [*arithmetic.METHODS, *linear_maps.METHODS]
