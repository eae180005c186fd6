"""What the methods have in common that compare queries with a support set in an embedding."""

from __future__ import annotations

import copy

import paddle
from paddle import nn

from ..batch_statistics import in_evaluation
from .comparison import members
from .learner import MetricLearner


class MetricMethod(nn.Layer):
    """Classify queries by where an embedding puts them among the support examples.

    A subclass says by `logits` how. It is used like `paddle_maml.MAML`, but adapting takes no
    gradient step: the support set is embedded and kept.

    Batch norm is the ordinary one. In training it normalises all examples of all tasks together and
    keeps running statistics; whatever `adapt`, `path` and `path_logits` return goes by those, so
    that what is said of a query depends on no other query. With `paddle.DataParallel` every process
    normalises its own tasks.

    Parameters
    ----------
    embedding : paddle.nn.Layer
        (example, ...) -> features (example, width).

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml.metric import MetricMethod
    >>> class InnerProduct(MetricMethod):
    ...     def logits(self, query, support, members):
    ...         return query.matmul(support, transpose_y=True).matmul(members)
    >>> method = InnerProduct(paddle.nn.Identity())
    >>> support_x = paddle.to_tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> classify = method.adapt(support_x, paddle.to_tensor([0, 1]))
    >>> classify(paddle.to_tensor([[3.0, 1.0]])).tolist()
    [[3.0, 2.0]]
    """

    def __init__(self, embedding: nn.Layer):
        super().__init__()
        self.embedding = embedding

    def logits(self, query, support, members):
        """The comparison itself.

        Parameters
        ----------
        query : Tensor (..., query, width)
        support : Tensor (..., example, width)
            Features.
        members : Tensor (..., example, way)
            1 where a support example is of a class, else 0.

        Returns
        -------
        Tensor (..., query, way)
        """
        raise NotImplementedError

    def forward(self, support_x, support_y, query_x, query_y):
        """The loss of a batch of tasks on their queries.

        Parameters
        ----------
        support_x, query_x : Tensor (task, example, ...)
            What `embedding` takes, with a leading task axis.
        support_y, query_y : Tensor (task, example), int64

        Returns
        -------
        loss : Tensor, 0-D
            Cross-entropy, mean over queries and tasks.
        logits : Tensor (task, query, way)
            Without gradient.
        """
        support, query = embedded(self.embedding, support_x, query_x)
        logits = self.logits(query, support, members(support_y, support.dtype))
        return nn.functional.cross_entropy(logits, query_y), logits.detach()

    def adapt(self, support_x, support_y, steps: int | None = None) -> MetricLearner:
        """A classifier for the classes of one task; it stays as it is if the method is trained on.

        Parameters
        ----------
        support_x : Tensor (example, ...)
        support_y : Tensor (example,), int64
            From 0 on; no number may be left out.
        steps : int, optional
            Without effect: there are none to take.

        Returns
        -------
        MetricLearner
            `learner(query_x)` -> logits.
        """
        return copy.deepcopy(self)._compared(support_x, support_y)

    def path(self, support_x, support_y, steps: int | None = None) -> list[MetricLearner]:
        """What `adapt` returns, alone in a list: `MAML.path` without a step."""
        return [self.adapt(support_x, support_y)]

    def path_logits(self, support_x, support_y, query_x, steps: int | None = None):
        """What `adapt` makes of the queries of a batch of tasks: (1, task, query, way)."""
        tasks = zip(support_x, support_y, query_x)  # one by one, which bounds the memory
        return paddle.stack([self._compared(x, y)(query) for x, y, query in tasks]).unsqueeze(0)

    def _compared(self, support_x, support_y):
        """What `adapt` returns, but by this very embedding."""
        with paddle.no_grad(), in_evaluation(self):
            support = self.embedding(support_x)
        return MetricLearner(self, support, members(support_y, support.dtype))


def embedded(embedding: nn.Layer, support_x, query_x):
    """Features of support and query examples (task, example, width), in one pass of all."""
    x = paddle.concat([support_x, query_x], axis=1)
    features = embedding(x.flatten(0, 1)).reshape([*x.shape[:2], -1])
    shots = support_x.shape[1]
    return features[:, :shots], features[:, shots:]
