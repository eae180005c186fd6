"""Gradients cut before an inner step follows them.

Both cut the gradients of many tasks, task by task, and both are differentiated by the second order:
their derivatives are symmetric matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import paddle


@dataclass(frozen=True)
class ClipByValue:
    """Every number of an inner gradient is cut to +-limit, as `paddle.nn.ClipGradByValue` does it.

    Parameters
    ----------
    limit : float
        Above 0.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML, ClipByValue
    >>> maml = MAML(paddle.nn.Linear(1, 1), inner_lr=0.1, inner_clip=ClipByValue(10.0))
    """

    limit: float

    def __call__(self, gradients: list) -> list:
        """Those of the parameters of a net, each (task, ...), in the same shapes."""
        return [paddle.clip(g, -self.limit, self.limit) for g in gradients]

    def slope(self, gradients: list, v: list) -> list:
        """The derivative at `gradients` times `v`: what was cut does not change."""
        return [u * (g.abs() < self.limit).astype(u.dtype) for g, u in zip(gradients, v)]


@dataclass(frozen=True)
class ClipByNorm:
    r"""An inner gradient g is shortened to the Euclidean norm `limit` if it is longer:

    .. math:: y = s g, \quad s = \min(1, c / \|g\|), \qquad
        dy = s (dg - g \langle g, dg \rangle / \|g\|^2) \text{ where } \|g\| > c

    The norm is that of all adapted parameters of a task together, as of
    `paddle.nn.ClipGradByGlobalNorm`.

    Parameters
    ----------
    limit : float
        c, above 0.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML, ClipByNorm
    >>> line = paddle.nn.Linear(1, 1, bias_attr=False)
    >>> line.weight.set_value(paddle.zeros([1, 1]))
    >>> square = paddle.nn.functional.mse_loss
    >>> maml = MAML(line, inner_lr=0.5, loss=square, inner_clip=ClipByNorm(1.0))
    >>> maml.adapt(paddle.ones([1, 1]), paddle.full([1, 1], 100.0)).parameters[0].item()
    0.5
    """

    limit: float

    def __call__(self, gradients: list) -> list:
        """Those of the parameters of a net, each (task, ...), in the same shapes."""
        scale = paddle.rsqrt(self._excess(gradients))
        return [g * _of_tasks(scale, g) for g in gradients]

    def slope(self, gradients: list, v: list) -> list:
        """The derivative at `gradients` times `v`: nothing in the direction that was shortened."""
        excess = self._excess(gradients)
        cut, square = (excess > 1).astype(excess.dtype), excess * self.limit**2
        along, scale = cut * _inner(gradients, v) / square, paddle.rsqrt(excess)
        return [(u - g * _of_tasks(along, g)) * _of_tasks(scale, u) for g, u in zip(gradients, v)]

    def _excess(self, gradients):
        """|g|^2 / c^2, or 1 if that is more; the root of |g|^2 itself has no derivative at 0."""
        return paddle.clip(_inner(gradients, gradients) / self.limit**2, min=1.0)


def _inner(a: list, b: list):
    """Of each task, the inner product of two lists of arrays: (task,)."""
    return sum((p * q).reshape([p.shape[0], -1]).sum(-1) for p, q in zip(a, b))


def _of_tasks(values, like):
    return values.reshape([-1] + [1] * (like.ndim - 1))
