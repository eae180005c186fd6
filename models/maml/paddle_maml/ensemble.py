"""Several meta-trained networks, or views of a task, that answer together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import paddle
from paddle import nn

from .turns import turned


def mean_probabilities(logits: paddle.Tensor) -> paddle.Tensor:
    """The logarithms of the mean of the probabilities that members give the classes.

    Parameters
    ----------
    logits : Tensor (member, ..., class)

    Returns
    -------
    Tensor (..., class)
        Logits, too: their softmax is that mean.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml.ensemble import mean_probabilities
    >>> odds = paddle.to_tensor([[[1.0, 3.0]], [[1.0, 1.0]]])  # 1/4 and 1/2 for the first class
    >>> mean_probabilities(odds.log()).exp().tolist()
    [[0.375, 0.625]]
    """
    log_probabilities = nn.functional.log_softmax(logits, -1)
    greatest = log_probabilities.max(0)  # Paddle's logsumexp takes no more than four axes
    return (log_probabilities - greatest).exp().mean(0).log() + greatest


class Ensemble(nn.Layer):
    """What several networks say of a task, each adapted to it for itself, made one answer.

    MAML++ is tested so, with the five epochs that are best in validation (Antoniou et al., 2019).

    Parameters
    ----------
    members : sequence of MAML, or of another algorithm
        For the same tasks.
    join : callable
        What makes outputs (member, step, task, query example, ...) one answer without the first
        axis: the mean of the probabilities, if not given.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML, Ensemble
    >>> ensemble = Ensemble([MAML(paddle.nn.Linear(3, 2), inner_lr=0.1) for _ in range(5)])
    >>> x, y = paddle.randn([4, 2, 3]), paddle.randint(0, 2, [4, 2])   # 4 tasks of 2 examples
    >>> list(ensemble.path_logits(x, y, x, steps=3).shape)
    [4, 4, 2, 2]
    """

    def __init__(self, members: Sequence[nn.Layer], join: Callable = mean_probabilities):
        super().__init__()
        self.members, self.join = nn.LayerList(members), join

    def path_logits(self, support_x, support_y, query_x, steps: int | None = None):
        """As `MAML.path_logits`: after as many steps of every member."""
        each = [m.path_logits(support_x, support_y, query_x, steps) for m in self.members]
        return self.join(paddle.stack(each))


class View(nn.Layer):
    """A network that sees all images of a task turned or mirrored alike.

    Where tasks are no harder turned, as characters' are not, one network is several members of an
    `Ensemble` so, whose mistakes differ.

    Parameters
    ----------
    model : MAML, or another algorithm
        Meta-trained on turned tasks.
    turn : int
        From 0 to 7, as in `paddle_maml.turns.turned`.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML, Ensemble, View
    >>> net = paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(9, 2))
    >>> maml = MAML(net, inner_lr=0.1)
    >>> ensemble = Ensemble([View(maml, turn) for turn in range(8)])
    >>> x, y = paddle.randn([4, 2, 1, 3, 3]), paddle.randint(0, 2, [4, 2])   # 4 tasks of 2 images
    >>> list(ensemble.path_logits(x, y, x, steps=1).shape)
    [2, 4, 2, 2]
    """

    def __init__(self, model: nn.Layer, turn: int):
        super().__init__()
        self.model, self.turn = model, turn

    def path_logits(self, support_x, support_y, query_x, steps: int | None = None):
        """As `MAML.path_logits`; images are (task, example, channel, side, side)."""
        support_x, query_x = turned(support_x, self.turn), turned(query_x, self.turn)
        return self.model.path_logits(support_x, support_y, query_x, steps)
