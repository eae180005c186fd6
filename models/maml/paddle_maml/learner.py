"""A network adapted to one task."""

from __future__ import annotations

import copy

import paddle

from .batch_statistics import fix_statistics, use_batch_at_hand
from .channels_first import compute_channels_first
from .functional import parameters_as, trainable
from .operators import once_differentiable
from .replacement import TURN
from .task_classifier import TaskClassifier


class Learner(TaskClassifier):
    """A network adapted to one task: `learner(x)` -> outputs, without gradient.

    Batch norm normalises `x` by its own statistics, so classify a task's queries together. What is
    not adapted, frozen parameters and training or evaluation mode (dropout), is the net's own.
    Learners of one net may be called from several threads, which then take turns.

    Parameters
    ----------
    net : paddle.nn.Layer
    parameters : list of Tensor
        The adapted values of the net's trainable parameters, in `net.parameters()` order.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML
    >>> maml = MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
    >>> learner = maml.adapt(paddle.eye(3), paddle.to_tensor([0, 0, 1]), steps=50)
    >>> learner(paddle.eye(3)).argmax(1).tolist()
    [0, 0, 1]
    """

    def __init__(self, net: paddle.nn.Layer, parameters: list[paddle.Tensor]):
        self.net = net
        self.parameters = parameters
        self._own = trainable(net)  # now, lest freezing the net later change what is replaced

    def __call__(self, x):
        replaced = parameters_as(self.net, self._own, self.parameters)
        with paddle.no_grad(), once_differentiable(), replaced:
            return self.net(x)

    @property
    def dtype(self):
        return self.parameters[0].dtype

    def first(self, classes: int) -> Learner:
        """The same, of the first outputs alone.

        For a task of fewer classes than the net tells apart: it is adapted to as if there were
        images of the others elsewhere, and a prediction chooses among those that there are.
        """
        learner = copy.copy(self)
        learner.net = FirstOutputs(self.net, classes)
        return learner

    def standalone(self, support_x=None) -> paddle.nn.Layer:
        """The adapted network as a layer of its own, in evaluation mode, to save or to export.

        Parameters
        ----------
        support_x : numpy.ndarray or Tensor (example, ...), optional
            Batch norm is fixed to the statistics that these have in the adapted network, so that
            an output depends on its input alone. Without, it normalises by the batch at hand, as
            the learner itself does. This is said of batch norm layers: what a net normalises by
            calling `paddle.nn.functional.batch_norm` itself goes by the statistics that it passes.

        Examples
        --------
        >>> import paddle
        >>> from paddle_maml import MAML
        >>> maml = MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
        >>> x, y = paddle.randn([4, 3]), paddle.to_tensor([0, 0, 1, 1])
        >>> learner = maml.adapt(x, y, steps=5)
        >>> bool(paddle.allclose(learner.standalone(x)(x), learner(x)))
        True
        """
        with TURN:
            net = copy.deepcopy(self.net)
            copied = dict(zip(map(id, self.net.parameters()), net.parameters()))
        for own, value in zip(self._own, self.parameters):
            copied[id(own)].set_value(value)
        net.eval()
        if support_x is None:
            use_batch_at_hand(net)
        else:
            fix_statistics(net, self._taken(support_x))
        compute_channels_first(net)
        return net


class FirstOutputs(paddle.nn.Layer):
    """A network without its last outputs."""

    def __init__(self, net: paddle.nn.Layer, outputs: int):
        super().__init__()
        self.net, self.outputs = net, outputs

    def forward(self, x):
        """(example, ...) -> (example, outputs)."""
        return self.net(x)[:, : self.outputs]
