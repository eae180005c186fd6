"""The softmax family from operations that can be differentiated twice."""

from __future__ import annotations

import paddle
from paddle import _C_ops

_native_max = _C_ops.max


def log_sum_exp(x, axis, keepdim=False):
    """log(sum(exp(x))) over `axis` (an int or a list of ints), safe from overflow."""
    highest = _constant_max(x, axis)
    total = paddle.log(paddle.exp(x - highest).sum(axis, keepdim=True)) + highest
    return total if keepdim else total.squeeze(axis)


def log_softmax(x, axis=-1):
    """x - log(sum(exp(x)))."""
    shifted = x - _constant_max(x, axis)
    return shifted - paddle.log(paddle.exp(shifted).sum(axis, keepdim=True))


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x))."""
    weights = paddle.exp(x - _constant_max(x, axis))
    return weights / weights.sum(axis, keepdim=True)


def cross_entropy(logits, label, soft_label, ignore_index, axis):
    """-sum(p log softmax(logits)) over `axis`, kept as length 1; zero where label is ignored.

    `label` holds class numbers with a length-1 `axis`, or probabilities if `soft_label`.
    """
    log_probability = log_softmax(logits, axis)
    if soft_label:
        return -(label * log_probability).sum(axis, keepdim=True)
    kept = label != ignore_index
    classes = paddle.arange(logits.shape[axis], dtype=label.dtype)
    shape = [1] * logits.ndim
    shape[axis] = -1
    chosen = paddle.logical_and(label == classes.reshape(shape), kept).astype(logits.dtype)
    return -(chosen * log_probability).sum(axis, keepdim=True)


def _constant_max(x, axis):
    """The maximum over `axis` as a constant: subtracting it changes no value and no derivative."""
    with paddle.no_grad():
        return _native_max(x.detach(), axis, True)
