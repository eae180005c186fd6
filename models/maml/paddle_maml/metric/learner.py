"""A metric method with the support set of one task."""

from __future__ import annotations

import copy

import paddle
from paddle import nn

from ..batch_statistics import in_evaluation
from ..channels_first import compute_channels_first
from ..task_classifier import TaskClassifier


class MetricLearner(TaskClassifier):
    """A classifier for the classes of one task: `learner(x)` -> logits, without gradient.

    Parameters
    ----------
    method : MetricMethod
    support : Tensor (example, width)
        Features.
    members : Tensor (example, way)
        1 where an example is of a class, else 0.
    """

    def __init__(self, method: nn.Layer, support, members):
        self.layer = Classifier(method, support, members)

    def __call__(self, x):
        with paddle.no_grad(), in_evaluation(self.layer):
            return self.layer(x)

    @property
    def dtype(self):
        return self.layer.support.dtype

    def standalone(self, support_x=None) -> nn.Layer:
        """The classifier as a layer of its own, in evaluation mode, to save or to export.

        `support_x` is without effect: batch norm has its statistics from training.
        """
        layer = copy.deepcopy(self.layer)
        layer.eval()
        compute_channels_first(layer)
        return layer


class Classifier(nn.Layer):
    """An embedding, a comparison and the features to compare with: (example, ...) -> logits."""

    def __init__(self, method: nn.Layer, support, members):
        super().__init__()
        self.method = method
        self.register_buffer("support", support)
        self.register_buffer("members", members)

    def forward(self, x):
        return self.method.logits(self.method.embedding(x), self.support, self.members)
