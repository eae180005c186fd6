"""Batch norm outside an episode: by statistics fixed beforehand, or by the batch at hand."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import paddle
from paddle import nn
from paddle.nn.layer.norm import _BatchNormBase

from .operators import once_differentiable

BATCH_NORMS = (_BatchNormBase, nn.BatchNorm)


def fix_statistics(net: nn.Layer, x) -> None:
    """Set the running statistics of every batch norm of `net` to those that `x` has there.

    In evaluation mode `net` then normalises whatever it is given as it would normalise `x`. The
    variance is the biased one, as within a batch. A batch norm that `x` passes more than once gets
    the statistics of its last pass; one that `x` does not reach stays as it is.

    Parameters
    ----------
    net : paddle.nn.Layer
    x : Tensor (example, ...)
        What `net` takes: the support set of the task that it was adapted to.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml.batch_statistics import fix_statistics
    >>> norm, x = paddle.nn.BatchNorm1D(2), paddle.to_tensor([[1.0, 0.0], [3.0, 0.0]])
    >>> fix_statistics(norm, x)
    >>> _ = norm.eval()
    >>> norm(x[:1]).round(3).tolist()
    [[-1.0, 0.0]]
    """

    def record(layer, inputs):
        mean, variance = _statistics(inputs[0], _channels_last(layer))
        layer._mean.set_value(mean.flatten())
        layer._variance.set_value(variance.flatten())
        layer._use_global_stats = True  # a layer may have been told never to

    with ExitStack() as hooks, paddle.no_grad(), once_differentiable():
        for layer in net.sublayers(include_self=True):
            if isinstance(layer, BATCH_NORMS):
                hooks.callback(layer.register_forward_pre_hook(record).remove)
        net(x)


def use_batch_at_hand(net: nn.Layer) -> None:
    """Replace the batch norms below `net` by ones without running statistics, in any mode.

    `paddle.jit.save` always writes batch norm with its running statistics; these it writes as they
    are.
    """
    _replace(net, BatchAtHand)


def use_running_statistics(net: nn.Layer) -> None:
    """Replace the batch norms below `net` by ones that go by their running statistics, in any mode.

    Also where MAML would have them go by the batch at hand.
    """
    _replace(net, RunningStatistics)


def normalisation(net: nn.Layer) -> str:
    """By what the batch norms of `net`, in evaluation mode, normalise: in words, to be told."""
    layers = net.sublayers(include_self=True)
    if any(type(layer) is BatchAtHand for layer in layers):
        return "the batch at hand"
    norms = [layer for layer in layers if isinstance(layer, (*BATCH_NORMS, RunningStatistics))]
    if any(getattr(layer, "_use_global_stats", False) for layer in norms):
        return "fixed to the support images"
    return "the running statistics of the training" if norms else "none"


@contextmanager
def in_evaluation(net: nn.Layer):
    """Run `net` in evaluation mode; each layer has its own mode back when the block ends."""
    training = [layer for layer in net.sublayers(include_self=True) if layer.training]
    try:
        net.eval()
        yield net
    finally:
        for layer in training:
            layer.training = True


class BatchAtHand(nn.Layer):
    """A batch norm, with its scale, shift and epsilon, that knows the batch at hand alone."""

    def __init__(self, norm: nn.Layer):
        super().__init__()
        self.weight, self.bias, self.epsilon = norm.weight, norm.bias, norm._epsilon
        self.channels_last = _channels_last(norm)
        self.activation = getattr(norm, "_act", None)  # of the old paddle.nn.BatchNorm

    def forward(self, x):
        """(example, ...) -> the same shape."""
        mean, variance = self.statistics(x)
        y = (x - mean) * (variance + self.epsilon) ** -0.5  # old programs have no rsqrt
        shape = [1] * (x.ndim - 1) + [-1] if self.channels_last else [-1] + [1] * (x.ndim - 2)
        y = y if self.weight is None else y * self.weight.reshape(shape)
        y = y if self.bias is None else y + self.bias.reshape(shape)
        return getattr(nn.functional, self.activation)(y) if self.activation else y

    def statistics(self, x):
        """Mean and variance of each channel, to be broadcast with `x`."""
        return _statistics(x, self.channels_last)


class RunningStatistics(BatchAtHand):
    """A batch norm that knows its running statistics alone."""

    def __init__(self, norm: nn.Layer):
        super().__init__(norm)
        self.mean, self.variance = norm._mean, norm._variance

    def statistics(self, x):
        shape = [-1] if self.channels_last else [-1] + [1] * (x.ndim - 2)
        return self.mean.reshape(shape), self.variance.reshape(shape)


def _replace(net, kind):
    for parent in net.sublayers(include_self=True):
        # Not named_children(), which has a layer that stands in several places once.
        for name, layer in list(parent._sub_layers.items()):
            if isinstance(layer, BATCH_NORMS):
                setattr(parent, name, kind(layer))


def _channels_last(norm) -> bool:
    layout = getattr(norm, "_data_format", None) or norm._data_layout
    return layout.endswith("C")


def _statistics(x, channels_last):
    """Mean and biased variance of each channel, of the rank of `x`."""
    channel = x.ndim - 1 if channels_last else 1
    axes = [axis for axis in range(x.ndim) if axis != channel]
    mean = x.mean(axes, keepdim=True)
    return mean, ((x - mean) ** 2).mean(axes, keepdim=True)
