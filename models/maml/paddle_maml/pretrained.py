"""Baselines on a network that was trained to tell all training classes apart.

They are those of Ravi and Larochelle (2017), "Optimization as a model for few-shot learning",
section 5.1, which the MAML paper compares with as well.
"""

from __future__ import annotations

import copy
from typing import Callable

import paddle
from paddle import nn
from paddle.nn import functional

from .batch_statistics import use_running_statistics
from .learner import Learner
from .maml import MAML
from .metric.comparison import differences, highest
from .metric.method import MetricMethod, embedded


class FineTune(nn.Layer):
    """Train a classifier of all training classes, then fine-tune it to the support set of a task.

    Adapting puts a new linear head on a copy of the pretrained embedding and takes gradient steps
    on the support set with all its parameters, those of the embedding included. The head starts at
    zero, so that no class is ahead, and the first step moves nothing but the head. Batch norm keeps
    to the running statistics of the training: what is said of a query depends on no other query.

    Parameters
    ----------
    embedding : paddle.nn.Layer
        (example, ...) -> features (example, width).
    width : int
        Length of the features.
    classes : int
        Training classes.
    inner_lr : float
        Step size on the support set, for the mean cross-entropy.
    inner_steps : int
        Steps that `adapt` takes unless told otherwise.
    inner_clip : ClipByValue or ClipByNorm, optional
        As of `MAML`.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import FineTune
    >>> fine_tune = FineTune(paddle.nn.Linear(3, 8), width=8, classes=100, inner_lr=0.1)
    >>> x, y = paddle.randn([4, 2, 3]), paddle.to_tensor([[0, 1]] * 4)  # 4 tasks of 2 examples
    >>> loss, _ = fine_tune(x, y, x, y, classes=paddle.randint(0, 100, [4, 2]))
    >>> loss.backward()
    >>> list(fine_tune.adapt(x[0], y[0], steps=5)(x[0]).shape)
    [2, 2]
    """

    def __init__(
        self,
        embedding: nn.Layer,
        width: int,
        classes: int,
        inner_lr: float,
        inner_steps: int = 10,
        inner_clip: Callable | None = None,
    ):
        super().__init__()
        self.embedding, self.head = embedding, nn.Linear(width, classes)
        self.inner_lr, self.inner_steps, self.inner_clip = inner_lr, inner_steps, inner_clip

    def forward(self, support_x, support_y, query_x, query_y, classes):
        """The loss of the pretraining; see `pretraining`."""
        sets = support_x, support_y, query_x, query_y
        return pretraining(self.embedding, self.head, *sets, classes)

    def adapt(self, support_x, support_y, steps: int | None = None) -> Learner:
        """As `MAML.adapt`."""
        return self._maml(support_y).adapt(support_x, support_y, steps)

    def path(self, support_x, support_y, steps: int | None = None) -> list[Learner]:
        """As `MAML.path`."""
        return self._maml(support_y).path(support_x, support_y, steps)

    def path_logits(self, support_x, support_y, query_x, steps: int | None = None):
        """As `MAML.path_logits`."""
        return self._maml(support_y).path_logits(support_x, support_y, query_x, steps)

    def _maml(self, support_y):
        """MAML's inner loop on a copy of the embedding with a new head."""
        zero = nn.initializer.Constant(0.0)
        width, way = self.head.weight.shape[0], int(support_y.max()) + 1
        head = nn.Linear(width, way, weight_attr=zero, bias_attr=zero)
        net = nn.Sequential(copy.deepcopy(self.embedding), head.to(dtype=self.head.weight.dtype))
        net.eval()
        use_running_statistics(net)  # MAML itself goes by the batch at hand
        return MAML(net, self.inner_lr, self.inner_steps, order=1, inner_clip=self.inner_clip)


class NearestNeighbor(MetricMethod):
    """Train a classifier of all training classes, then take the nearest support example's class.

    Nearest by the Euclidean distance of the pretrained features; the logits are minus its square,
    to the nearest example of each class.

    Parameters
    ----------
    embedding : paddle.nn.Layer
        (example, ...) -> features (example, width).
    width : int
        Length of the features.
    classes : int
        Training classes.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import NearestNeighbor
    >>> nearest = NearestNeighbor(paddle.nn.Identity(), width=2, classes=100)
    >>> support_x = paddle.to_tensor([[0.0, 0.0], [0.0, 3.0]])
    >>> classify = nearest.adapt(support_x, paddle.to_tensor([0, 1]))
    >>> classify(paddle.to_tensor([[0.0, 1.0]])).tolist()
    [[-1.0, -4.0]]
    """

    def __init__(self, embedding: nn.Layer, width: int, classes: int):
        super().__init__(embedding)
        self.head = nn.Linear(width, classes)

    def logits(self, query, support, members):
        return highest(-differences(query, support).square().sum(-1), members)

    def forward(self, support_x, support_y, query_x, query_y, classes):
        """The loss of the pretraining; see `pretraining`."""
        sets = support_x, support_y, query_x, query_y
        return pretraining(self.embedding, self.head, *sets, classes)


def pretraining(embedding, head, support_x, support_y, query_x, query_y, classes):
    """Tell all training classes apart, on all images of a batch of tasks.

    Parameters
    ----------
    embedding, head : paddle.nn.Layer
        (example, ...) -> features -> logits of the training classes.
    support_x, query_x : Tensor (task, example, ...)
    support_y, query_y : Tensor (task, example), int64
        Labels within the task.
    classes : Tensor (task, way), int64
        The number of each label's class among all training classes.

    Returns
    -------
    loss : Tensor, 0-D
        Cross-entropy over all training classes, mean over support and query examples.
    logits : Tensor (task, query, way)
        Of the queries, for the classes of their own task, without gradient.
    """
    logits = head(paddle.concat(embedded(embedding, support_x, query_x), axis=1))
    labels = paddle.concat([support_y, query_y], axis=1)
    loss = functional.cross_entropy(logits, paddle.take_along_axis(classes, labels, axis=1))
    logits = logits[:, support_y.shape[1] :].detach()
    own = classes.unsqueeze(1).expand([-1, logits.shape[1], -1])
    return loss, paddle.take_along_axis(logits, own, axis=2)
