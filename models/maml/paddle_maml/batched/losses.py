"""Losses of many tasks at once: the mean over the examples of each task, and its derivatives."""

from __future__ import annotations

from paddle.nn import functional


class CrossEntropy:
    """Of logits z (task, example, way) and labels (task, example)."""

    def target(self, y, way, dtype):
        return functional.one_hot(y, way).astype(dtype)

    def forward(self, z, target):
        """The losses (task,), and the gradient (p - target) / examples."""
        p = functional.softmax(z, -1)
        loss = -(functional.log_softmax(z, -1) * target).sum(-1).mean(-1)
        return loss, (p - target) * (1 / z.shape[1]), p

    def curvature(self, p, dz):
        """The derivative of the gradient along dz: p (dz - <p, dz>) / examples."""
        along = p * dz
        return (along - p * along.sum(-1, keepdim=True)) * (1 / p.shape[1])


class SquaredError:
    """Of predictions and targets (task, example, output)."""

    def target(self, y, outputs, dtype):
        return y.astype(dtype)

    def forward(self, z, target):
        error = z - target
        count = error.shape[1] * error.shape[2]
        return (error * error).mean([1, 2]), error * (2 / count), count

    def curvature(self, count, dz):
        return dz * (2 / count)


LOSSES = {functional.cross_entropy: CrossEntropy(), functional.mse_loss: SquaredError()}
