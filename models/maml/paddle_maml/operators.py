"""Paddle's operators as the inner loop needs them.

Every functional, layer and tensor method of Paddle reaches its kernel through an attribute of
`paddle._C_ops` that is looked up at the call, in 2.6 as in 3.3. Replacing attributes there for the
time of a `with` block reaches any `paddle.nn.Layer`, whatever names its author imported before.
"""

from __future__ import annotations

from functools import partial

import paddle
from paddle import _C_ops

from . import activations, classification
from .convolution import convolve, embedding
from .max_pool import ceil_padding, extreme, max_pool2d
from .normalisation import batch_norm, group_norm, layer_norm
from .precision import lowered
from .replacement import replaced

_native = {name: getattr(_C_ops, name) for name in ("batch_norm", "dropout", "pool2d")}
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

    Covers what Paddle lacks a double gradient for: the softmax family and `cross_entropy`,
    `flatten`, `max` and `min`, max-pooling over images, layer and group norm, `embedding`,
    `dropout`, gelu, swish, mish, hardswish and more; and batch norm, whose double gradient Paddle
    has but in seconds per call. Batch norm uses the batch at hand, as in `once_differentiable`.
    Values and first gradients are those of the operators replaced, but of equal maxima the first
    alone gets the gradient. Works on the whole process, not one thread.

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
    return replaced(_TWICE_DIFFERENTIABLE)


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
    x = _tied(x, filters) if twice else x
    return _native["conv2d"](x, filters, stride, padding, how, dilation, groups, layout)


def _conv3d_twice(x, filters, *setting):
    return _native["conv3d"](_tied(x, filters), filters, *setting)


def _tied(x, filters):
    """`x`, which autograd has to follow if it follows the filters.

    Paddle loses the filters' second gradient where the input of a convolution is a constant.
    """
    return x + 0 * filters.sum() if x.stop_gradient and not filters.stop_gradient else x


def _group_norm(x, weight, bias, epsilon, groups, layout):
    if layout == "NCHW":
        return group_norm(x, weight, bias, epsilon, groups)
    to_front = [0, x.ndim - 1, *range(1, x.ndim - 1)]
    to_back = [0, *range(2, x.ndim), 1]
    return group_norm(x.transpose(to_front), weight, bias, epsilon, groups).transpose(to_back)


def _flatten(x, start_axis, stop_axis):
    rank = x.ndim
    if rank == 0:
        return x.reshape([1])
    start, stop = start_axis % rank, stop_axis % rank
    return x.reshape([*x.shape[:start], -1, *x.shape[stop + 1 :]])


def _mean_all(x):
    return _C_ops.mean(x, None, False)


def _logsumexp(x, axis=None, keepdim=False, reduce_all=False):
    axes = list(range(x.ndim)) if reduce_all or axis in (None, []) else axis
    return classification.log_sum_exp(x, axes, keepdim)


def _cross_entropy_with_softmax(x, label, soft_label, use_softmax, _stable, ignore_index, axis):
    if not use_softmax:
        raise NotImplementedError(
            "cross_entropy(use_softmax=False) has no second gradient here: "
            "pass logits and leave use_softmax=True."
        )
    loss = classification.cross_entropy(x, label, soft_label, ignore_index, axis)
    return classification.softmax(x.detach(), axis), loss


def _pool2d(x, kernel, stride, padding, ceil_mode, exclusive, layout, kind, whole, adaptive, how):
    if kind != "max":
        return _native["pool2d"](
            x, kernel, stride, padding, ceil_mode, exclusive, layout, kind, whole, adaptive, how
        )
    if layout == "NHWC":
        front = x.transpose([0, 3, 1, 2])
        y = _pool2d(
            front, kernel, stride, padding, ceil_mode, exclusive, "NCHW", kind, whole, adaptive, how
        )
        return y.transpose([0, 2, 3, 1])
    if adaptive or whole:
        return max_pool2d(x, kernel if adaptive else x.shape[2:], [1, 1], adaptive=adaptive)[0]
    top, bottom, left, right = _explicit_padding(x.shape[2:], kernel, stride, padding, how)
    if ceil_mode:
        bottom += ceil_padding(x.shape[2], kernel[0], stride[0], top, bottom)
        right += ceil_padding(x.shape[3], kernel[1], stride[1], left, right)
    if (top, left) != (bottom, right):
        x = paddle.nn.functional.pad(x, [left, right, top, bottom], value=float("-inf"))
        top = left = 0
    return max_pool2d(x, kernel, stride, (top, left))[0]


def _explicit_padding(size, kernel, stride, padding, how):
    """Paddle's padding argument as (top, bottom, left, right)."""
    if how == "VALID":
        return 0, 0, 0, 0
    if how == "SAME":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride)]
        return total[0] // 2, -(-total[0] // 2), total[1] // 2, -(-total[1] // 2)
    if len(padding) == 2:
        return padding[0], padding[0], padding[1], padding[1]
    return tuple(padding)


def _max_pool2d_with_index(x, kernel, stride, padding, whole, adaptive, *ceil_mode):
    if any(ceil_mode):
        raise NotImplementedError(
            "max_pool2d(return_mask=True, ceil_mode=True) has no second gradient here: "
            "drop return_mask or ceil_mode."
        )
    if whole:
        kernel, stride, padding = x.shape[2:], [1, 1], [0, 0]
    return max_pool2d(x, kernel, stride, padding, adaptive)


# In 2.6.2 every one of several equal maxima gets the whole gradient.
_EXTREMES = {
    "max": lambda x, axis, keepdim: extreme(x, axis, keepdim, paddle.argmax),
    "min": lambda x, axis, keepdim: extreme(x, axis, keepdim, paddle.argmin),
}
_ONCE_DIFFERENTIABLE = {
    "batch_norm": _batch_norm_once,
    "conv2d": partial(_conv2d, twice=False),
    **_EXTREMES,
}
_TWICE_DIFFERENTIABLE = {
    **_EXTREMES,
    "batch_norm": _batch_norm_twice,
    "conv2d": partial(_conv2d, twice=True),
    "bmm": lambda x, y: paddle.matmul(x, y),
    "conv3d": _conv3d_twice,
    "dot": lambda x, y: (x * y).sum(-1),
    "dropout": lambda x, *setting: activations.dropout(x, _native["dropout"], *setting),
    "embedding": lambda ids, weight, padding_idx, _sparse: embedding(ids, weight, padding_idx),
    "gelu": activations.gelu,
    "group_norm": _group_norm,
    "hardswish": activations.hardswish,
    "layer_norm": layer_norm,
    "mish": activations.mish,
    "mv": lambda x, y: (x * y).sum(-1),
    "swish": activations.swish,
    "cross_entropy_with_softmax": _cross_entropy_with_softmax,
    "exp": activations.Exp.apply,
    "flatten": _flatten,
    "log_softmax": lambda x, axis, **_: classification.log_softmax(x, axis),
    "logsumexp": _logsumexp,
    "max_pool2d_with_index": _max_pool2d_with_index,
    "mean_all": _mean_all,
    "pool2d": _pool2d,
    "softmax": lambda x, axis, **_: classification.softmax(x, axis),
}
