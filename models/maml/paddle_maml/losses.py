"""Losses that can be differentiated twice, beside the cross-entropy of classes."""

from __future__ import annotations

import paddle

from .activations import exp, log_sigmoid, reciprocal
from .gradients import elementwise
from .linear_maps import take_along_axis
from .native import attribute, native


def nll_loss(x, label, weight, ignore_index, reduction):
    """-weight[label] x[label] over axis 1, and the sum of the weights that counted."""
    label = label.reshape([x.shape[0], 1, *x.shape[2:]])
    kept = label != ignore_index
    label = label * kept.astype(label.dtype)
    counted = kept.astype(x.dtype)
    if weight is not None:
        counted = counted * paddle.gather(weight, label.reshape([-1])).reshape(label.shape)
    loss, total = -counted * take_along_axis(x, label, 1), counted.sum()
    if reduction == "none":
        return loss.squeeze(1), total
    return (loss.sum() * reciprocal(total) if reduction == "mean" else loss.sum()), total


def binary_cross_entropy(p, label):
    """-(label log p + (1 - label) log(1 - p)); Paddle's logarithms end at -100."""

    def derivatives(p, label):
        variance = paddle.clip(p * (1 - p), min=1e-12)
        odds = paddle.clip(native.log(1 - p), min=-100) - paddle.clip(native.log(p), min=-100)
        return (p - label) * reciprocal(variance), odds

    return elementwise(native.bce_loss, derivatives, p, label)


def binary_cross_entropy_with_logits(x, label, weight, normalize, ignore_index):
    """-(q label log s(x) + (1 - label) log s(-x)), 0 where the label is ignored.

    Paddle hands over `weight` = 1 + (q - 1) label with the weight q of positive examples. Its own
    derivative at x = 0 is off by one.
    """
    kept = (label.detach() != ignore_index).astype(x.dtype)
    positive = label if weight is None else weight - (1 - label)
    loss = -(positive * log_sigmoid(x) + (1 - label) * log_sigmoid(-x)) * kept
    return loss * reciprocal(kept.sum()) if normalize else loss


def huber_loss(x, label, delta):
    """c (r - c / 2) with the residual r = label - x, and c the same clipped to delta."""
    residual = label - x
    delta = attribute(delta)
    clipped = paddle.clip(residual, -delta, delta)
    return clipped * (residual - 0.5 * clipped)


def kl_divergence(x, label, reduction, log_target=False):
    """label (log label - x), 0 where the label is not positive; `x` is the log of probabilities."""
    if log_target:
        loss = exp(label) * (label - x)
    else:
        positive = (label.detach() > 0).astype(x.dtype)
        log = native.log(label * positive + (1 - positive))
        loss = label * positive * (log - x)
    if reduction == "none":
        return loss
    total = loss.sum()
    count = {"sum": 1, "batchmean": x.shape[0] if x.ndim else 1, "mean": x.size}[reduction]
    return total * (1 / count)


def log_loss(p, label, epsilon):
    """-label log(p + epsilon) - (1 - label) log(1 - p + epsilon)."""
    return -label * native.log(p + epsilon) - (1 - label) * native.log(1 - p + epsilon)


OPERATORS = {
    "bce_loss": binary_cross_entropy,
    "huber_loss": huber_loss,
    "kldiv_loss": kl_divergence,
    "log_loss": log_loss,
    "nll_loss": nll_loss,
    "sigmoid_cross_entropy_with_logits": binary_cross_entropy_with_logits,
}
