"""Reptile (Nichol, Achiam and Schulman, 2018, arXiv:1803.02999)."""

from __future__ import annotations

import paddle

from .automatic import Automatic
from .errors import UserError
from .maml import MAML


class Reptile(MAML):
    r"""Move the parameters towards those that some gradient steps on each task lead to.

    A task's support and query examples are training examples alike; every inner step takes a part
    of them of its own, as many parts as there are steps. The gradient of the loss is

    .. math:: (\theta - \theta^K) / \alpha

    (section 2 of the paper), which is the sum of the gradients taken in the inner steps, so that
    any optimizer can follow it. The loss returned is that of the queries after the last step. There
    is no second order; adapting to new tasks is MAML's.

    Parameters are those of `MAML`, with 1 inner step or more; `order` is 1.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import Reptile
    >>> reptile = Reptile(paddle.nn.Linear(3, 2), inner_lr=0.1, inner_steps=2)
    >>> x, y = paddle.randn([4, 2, 3]), paddle.randint(0, 2, [4, 2])   # 4 tasks of 2 examples
    >>> loss, logits = reptile(x, y, x, y)
    >>> loss.backward()
    """

    def __init__(self, net: paddle.nn.Layer, inner_lr: float, inner_steps: int = 5, **named):
        super().__init__(net, inner_lr, inner_steps, order=1, **named)
        if inner_steps < 1:
            raise ValueError("Reptile without inner steps has nothing to follow: give 1 or more.")

    def check(self, *task, **named):
        """There is nothing to hold Reptile to.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError("Reptile follows the gradient of no meta-loss to check it by.")

    def _meta_gradient(
        self, network, theta, support_x, support_y, query_x, query_y, automatic=Automatic
    ):
        x, y = paddle.concat([support_x, query_x], 1), paddle.concat([support_y, query_y], 1)
        steps, inner_loop = self.inner_steps, self.inner_loop(self.inner_steps)
        if x.shape[1] < steps:
            raise UserError(
                f"{steps} inner steps of Reptile share the examples of a task, but there are "
                f"{x.shape[1]}: take fewer steps or more examples."
            )
        parts = [(x[:, k::steps], y[:, k::steps]) for k in range(steps)]
        if network:
            losses, logits, moved = network.displacement(parts, query_x, query_y, inner_loop)
            moved = [moved[id(p)] for p in theta]
        else:
            parts = [(x[0], y[0]) for x, y in parts]
            one_by_one = automatic(self.net, self.loss)
            *_, adapted = one_by_one.path(parts, inner_loop, order=0)
            loss, logits = one_by_one.query(adapted, query_x[0], query_y[0])
            losses, logits = loss.detach().reshape([1]), logits.detach().unsqueeze(0)
            moved = [q.detach() - p.detach() for p, q in zip(theta, adapted)]
        return losses, logits, [step * (-1 / self.inner_lr) for step in moved]
