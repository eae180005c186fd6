"""A network made of known layers, for many tasks at once."""

from __future__ import annotations

import paddle
from paddle import nn

from ..functional import trainable
from .arrays import product
from .blocks import block
from .groups import Group, grouped
from .losses import LOSSES
from .patches import Rows
from .resources import cores, memory
from .stages import Block, Features, Linear, Relu


class Network:
    """The meta-gradient of a net for many tasks at once.

    Parameters
    ----------
    groups : list of Group
        The net's layers, stage by stage.
    theta : list of Tensor
        The net's trainable parameters.
    loss : CrossEntropy or SquaredError
    """

    def __init__(self, groups: list[Group], theta: list[paddle.Tensor], loss):
        self.groups, self.theta, self.loss = groups, theta, loss

    @classmethod
    def of(cls, net: nn.Layer, loss) -> Network | None:
        """For a net whose method `in_turn` lists the layers that it applies, if all are known.

        They apply to channels-first images or to rows of numbers, whatever order `forward` computes
        in.
        """
        groups = grouped(net.in_turn()) if hasattr(net, "in_turn") else None
        if groups is None or loss not in LOSSES:
            return None
        theta = trainable(net)
        found = [id(p) for group in groups for p in group.parameters]
        return cls(groups, theta, LOSSES[loss]) if sorted(found) == sorted(map(id, theta)) else None

    @paddle.no_grad()
    def meta_gradient(self, support_x, support_y, query_x, query_y, inner_lr, steps, order):
        """Lines 4 to 8 of Algorithm 1 for a batch of tasks.

        Parameters
        ----------
        support_x, support_y, query_x, query_y : Tensor (task, example, ...)
        inner_lr : float
        steps : int
        order : {2, 1, 0}
            0 leaves the gradient out.

        Returns
        -------
        losses : Tensor (task,)
            Of the queries, after adaptation.
        logits : Tensor (task, query example, ...)
        gradients : list of Tensor
            Of the sum of `losses`, in `net.parameters()` order; empty for order 0.
        """
        tasks = support_x.shape[0]
        support, rows = self._examples(support_x)
        support_t, query_t = self._target(support_y), self._target(query_y)
        theta, points = self._parameters(tasks), []
        for _ in range(steps):
            _, _, gradients, point = self._gradient(support, theta, rows, support_t)
            points += [(theta, point)] if order == 2 else []
            theta = _stepped(support, theta, gradients, inner_lr)
        query, rows = self._examples(query_x)
        losses, logits, v = self._gradient(query, theta, rows, query_t, backward=order > 0)[:3]
        while points:
            theta, point = points.pop()  # and frees what it keeps
            along = self._hessian_times(support, theta, point, v)
            v = _stepped(support, v, along, inner_lr)
        return losses, logits, self._summed(v) if order > 0 else []

    @paddle.no_grad()
    def path_logits(self, support_x, support_y, query_x, inner_lr, steps):
        """Of the queries, before and after each inner step: (step, task, query example, ...)."""
        support, rows = self._examples(support_x)
        query, query_rows = self._examples(query_x)
        target, theta = self._target(support_y), self._parameters(support_x.shape[0])
        logits = [self._outputs(query, theta, query_rows)[0]]
        for _ in range(steps):
            gradients = self._gradient(support, theta, rows, target)[2]
            theta = _stepped(support, theta, gradients, inner_lr)
            logits.append(self._outputs(query, theta, query_rows)[0])
        return paddle.stack(logits)

    def chunk(self, support_x, query_x, steps: int) -> int:
        """How many tasks to compute together, for the memory and the cores at hand."""
        tasks = support_x.shape[0]
        numbers = steps * self._numbers(support_x) + self._numbers(query_x)
        fitting = max(1, memory(support_x.place) // (numbers * support_x.element_size()))
        pieces = -(-tasks // (fitting if fitting < cores() else fitting // cores() * cores()))
        return -(-tasks // pieces)

    def _numbers(self, x):
        """About how many numbers a pass over the examples of a task keeps."""
        stages = self._stages(1, x)
        pairs = zip(stages, self.groups)
        return sum(stage.numbers(x.shape[1], *group.width) for stage, group in pairs)

    def _gradient(self, stages, theta, x, target, backward=True):
        """Losses, outputs, gradients by stage, and the point, for `_hessian_times`."""
        x, points = self._outputs(stages, theta, x)
        losses, g, at_loss = self.loss.forward(x, target)
        gradients, arriving = [None] * len(stages), [None] * len(stages)
        for i in reversed(range(len(stages) if backward else 0)):
            arriving[i] = g
            g, gradients[i] = stages[i].backward(points[i], theta[i], g)
        return losses, x, gradients, (points, arriving, at_loss)

    def _outputs(self, stages, theta, x):
        """What the last stage puts out, and each stage's point."""
        points = []
        for stage, w in zip(stages, theta):
            x, point = stage.forward(x, w)
            points.append(point)
        return x, points

    def _hessian_times(self, stages, theta, point, v):
        """H v: the derivative of the gradients at `point` along `v`."""
        points, arriving, at_loss = point
        dx = None
        for stage, at, w, dw in zip(stages, points, theta, v):
            dx = stage.tangent(at, w, dx, dw)
        dg = self.loss.curvature(at_loss, dx)
        result = [None] * len(stages)
        for i in reversed(range(len(stages))):
            dg, result[i] = stages[i].curvature(points[i], theta[i], v[i], arriving[i], dg)
        return result

    def _examples(self, x):
        """The stages for these examples, and the examples as they take them."""
        tasks, images = x.shape[:2]
        stages = self._stages(tasks, x)
        if self.groups[0].kind == "convolution":
            x = x.transpose([0, 1, 3, 4, 2]).reshape([tasks, -1, x.shape[2]])
        else:
            x = x.reshape([tasks, images, -1])
        return stages, stages[0].data(x)

    def _target(self, y):
        weight = self.groups[-1].layers[0].weight
        return self.loss.target(y, weight.shape[1], weight.dtype)

    def _stages(self, tasks, x):
        self._check(x)
        images, size, stages = x.shape[1], tuple(x.shape[3:]), []
        for group in self.groups:
            follows = bool(stages)
            if group.kind == "convolution":
                stages.append(block(tasks, images, size, *group.layers, group.pools, follows))
                size = stages[-1].size
            elif group.kind == "dense":
                stages.append(Block(Rows(follows), group.layers[1]._epsilon))
            elif group.kind == "linear":
                stages.append(Linear(follows))
            elif group.kind == "relu":
                stages.append(Relu())
            else:
                stages.append(Features(images, size[0] * size[1], group.kind == "mean"))
        return stages

    def _check(self, x):
        """Compiled kernels take what they are given for what the net takes."""
        if x.dtype != self.theta[0].dtype:
            raise ValueError(
                f"the examples are {x.dtype}, but the net is {self.theta[0].dtype}: cast them."
            )
        if self.groups[0].kind != "convolution":
            return
        channels = self.groups[0].layers[0].weight.shape[1]
        if x.ndim != 5 or x.shape[2] != channels:
            raise ValueError(
                f"the examples have the shape {list(x.shape)}, but the net takes images (task, "
                f"image, channel, row, column) of {channels} channels."
            )

    def _parameters(self, tasks):
        """Those of each stage, (task, row, column), the same for all tasks."""
        return [
            [_as_matrix(p).unsqueeze(0).tile([tasks, 1, 1]) for p in group.parameters]
            for group in self.groups
        ]

    def _summed(self, v):
        """The sums over tasks of what `v` holds for each stage, as the parameters are."""
        summed = {}
        for group, values in zip(self.groups, v):
            for p, value in zip(group.parameters, values):
                ones = paddle.ones([1, value.shape[0]], value.dtype)
                total = product(ones, value.reshape([value.shape[0], -1]))
                summed[id(p)] = _as_parameter(total, p.shape)
        return [summed[id(p)] for p in self.theta]


def _stepped(stages, theta, gradients, inner_lr):
    """`gradient_step`, stage by stage."""
    return [stage.stepped(w, g, inner_lr) for stage, w, g in zip(stages, theta, gradients)]


def _as_matrix(p):
    """Filters as (tap and channel, filter), in the order of `Patches`; vectors as rows."""
    if p.ndim == 4:
        return p.transpose([2, 3, 1, 0]).reshape([-1, p.shape[0]])
    return p if p.ndim == 2 else p.unsqueeze(0)


def _as_parameter(matrix, shape):
    """The inverse of `_as_matrix`."""
    if len(shape) == 4:
        filters, channels, height, width = shape
        return matrix.reshape([height, width, channels, filters]).transpose([3, 2, 0, 1])
    return matrix.reshape(shape)
