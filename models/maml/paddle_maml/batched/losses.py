"""Losses of many tasks at once: the mean over the examples of each task, and its derivatives."""

from __future__ import annotations

import paddle
from paddle.nn import functional

IGNORED = -100  # the label of an example that does not count, Paddle's `ignore_index`
# Paddle 3 divides by the number of all examples nevertheless, 2.6 by that of the others.
OVER_ALL = not paddle.__version__.startswith("2.")


class CrossEntropy:
    """Of logits z (task, example, way) and labels (task, example) or (task, example, 1)."""

    def target(self, y, shape, dtype):
        """The classes as shares of the loss, and the share of each example, 0 if it is ignored."""
        y = y.squeeze(-1) if y.ndim == 3 and y.shape[-1] == 1 else y
        _check("labels", y, shape[:2])
        counted = (y != IGNORED).astype(dtype).unsqueeze(-1)
        share = counted / (shape[1] if OVER_ALL else counted.sum(1, keepdim=True).clip(min=1))
        labels = paddle.where(y == IGNORED, paddle.zeros_like(y), y)
        return functional.one_hot(labels, shape[2]).astype(dtype) * share, share

    def forward(self, z, target):
        """The losses (task,), and the gradient p share - target."""
        target, share = target
        p = functional.softmax(z, -1)
        loss = -(functional.log_softmax(z, -1) * target).sum([1, 2])
        return loss, p * share - target, (p, share)

    def curvature(self, at, dz):
        """The derivative of the gradient along dz: p (dz - <p, dz>) share."""
        p, share = at
        along = p * dz
        return (along - p * along.sum(-1, keepdim=True)) * share


class SquaredError:
    """Of predictions and targets (task, example, output)."""

    def target(self, y, shape, dtype):
        _check("targets", y, shape)
        return y.astype(dtype)

    def forward(self, z, target):
        error = z - target
        count = error.shape[1] * error.shape[2]
        return (error * error).mean([1, 2]), error * (2 / count), count

    def curvature(self, count, dz):
        return dz * (2 / count)


def _check(name, y, shape):
    if list(y.shape) != list(shape):
        raise ValueError(f"the {name} have the shape {list(y.shape)}: give them {list(shape)}.")


LOSSES = (
    (functional.cross_entropy, CrossEntropy()),
    (functional.mse_loss, SquaredError()),
)
