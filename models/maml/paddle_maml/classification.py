"""The softmax family from operations that can be differentiated twice."""

from __future__ import annotations

import paddle

from .activations import exp
from .gradients import with_gradient
from .native import native


def log_sum_exp(x, axis, keepdim=False):
    """log(sum(exp(x))) over `axis` (an int or a list of ints), safe from overflow."""
    highest = _constant_max(x, axis)
    total = native.log(exp(x - highest).sum(axis, keepdim=True)) + highest
    return total if keepdim else total.squeeze(axis)


def log_softmax(x, axis=-1):
    """x - log(sum(exp(x)))."""
    shifted = x - _constant_max(x, axis)
    return shifted - native.log(exp(shifted).sum(axis, keepdim=True))


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x))."""
    weights = exp(x - _constant_max(x, axis))
    return weights / weights.sum(axis, keepdim=True)


def cross_entropy(logits, label, soft_label, use_softmax, ignore_index, axis):
    """-sum(p log softmax(logits)) over `axis`, kept as length 1; zero where label is ignored.

    `label` holds class numbers with a length-1 `axis`, or probabilities if `soft_label`. Without
    `use_softmax` the logits are probabilities already. A logit of -inf masks its class.
    """
    log_probability = log_softmax(logits, axis) if use_softmax else native.log(logits)
    if soft_label:
        return -(label * log_probability).sum(axis, keepdim=True)
    kept = label != ignore_index
    classes = paddle.arange(logits.shape[axis], dtype=label.dtype)
    shape = [1] * logits.ndim
    shape[axis] = -1
    chosen = paddle.logical_and(label == classes.reshape(shape), kept)
    return -masked(log_probability, chosen).sum(axis, keepdim=True)


def masked(x, mask):
    """`x` where `mask` and 0 elsewhere, even for what is infinite there."""
    of = lambda x: native.where(mask, x, paddle.zeros_like(x))  # noqa: E731
    return with_gradient(of, lambda g, x: [masked(g, mask)], x)


def gumbel_softmax(x, temperature, hard, axis):
    """Softmax of (x + Gumbel noise) / temperature; `hard` values are 0 or 1, with its gradient."""
    with paddle.no_grad():
        noise = -native.log(-native.log(paddle.uniform(x.shape, x.dtype, 1e-20, 1.0)))
    soft = softmax((x + noise) / temperature, axis)
    if not hard:
        return soft
    with paddle.no_grad():
        highest = (soft == native.max(soft, [axis], True)).astype(x.dtype)
    return highest - soft.detach() + soft


def _constant_max(x, axis):
    """The maximum over `axis` as a constant: subtracting it changes no value and no derivative."""
    with paddle.no_grad():
        return native.max(x.detach(), axis, True)
