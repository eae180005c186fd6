"""A network made of known layers, for many tasks at once."""

from __future__ import annotations

import math
from functools import partial
from itertools import repeat
from typing import NamedTuple

import paddle
from paddle import nn

from ..functional import nan_unless_finite, trainable
from ..precision import scaled, unscaled
from .blocks import block
from .groups import Group, grouped
from .losses import LOSSES
from .patches import Rows
from .resources import cores, memory
from .stages import Block, Features, Linear, Relu
from .steps import Step, for_tasks, over_tasks


class Batch(NamedTuple):
    """Examples of many tasks, the stages for them, and what the loss holds outputs against."""

    stages: list
    rows: object
    target: paddle.Tensor


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
        groups = grouped(net.in_turn()) if _applies_in_turn(net) else None
        known = next((known for function, known in LOSSES if function is loss), None)
        if groups is None or known is None:
            return None
        theta = trainable(net)
        found = [id(p) for group in groups for p in group.parameters]
        return cls(groups, theta, known) if sorted(found) == sorted(map(id, theta)) else None

    @paddle.no_grad()
    def meta_gradient(self, support_x, support_y, query_x, query_y, inner_loop, weights, order):
        """Lines 4 to 8 of Algorithm 1 for a batch of tasks.

        Parameters
        ----------
        support_x, support_y, query_x, query_y : Tensor (task, example, ...)
        inner_loop : list of InnerStep
        weights : list of float
            The shares in a task's loss of the query losses before and after each inner step.
        order : {2, 1, 0}
            0 leaves the gradient out.

        Returns
        -------
        losses : Tensor (task,)
        logits : Tensor (task, query example, ...)
            After adaptation.
        gradients : dict
            Of the sum of `losses`, by the `id` of the net's parameters and of what `inner_loop`
            has that is meta-trained; empty for order 0.
        """
        support, query = self._prepared(support_x, support_y), self._prepared(query_x, query_y)
        tasks = support_x.shape[0]
        theta, losses, passed = self._parameters(tasks), 0.0, []
        for step, weight in zip([None, *self._steps(inner_loop, tasks)], weights):
            at = v = None
            if step:
                theta = step.begin(theta)
                gradients, point = self._gradient(theta, *support, step.lowest)[2:]
                followed = step.cut(gradients)
                at = theta, gradients, followed, point if order == 2 else None
                theta = step.take(support.stages, theta, followed)
            if weight:
                lowest = 0 if order else None
                loss, logits, v, _ = self._gradient(theta, *query, lowest)
                losses, v = losses + weight * loss, _scaled(v, weight)
            passed.append((step, at, v))
        return losses, logits, self._sums(support.stages, passed) if order else {}

    @paddle.no_grad()
    def path_logits(self, support_x, support_y, query_x, inner_loop):
        """Of the queries, before and after each inner step: (step, task, query example, ...).

        All nan from where a parameter is not finite.
        """
        stages, rows = self._examples(query_x)
        support, tasks = self._prepared(support_x, support_y), support_x.shape[0]
        path = self._path(repeat(support), inner_loop, tasks)
        logits = []
        for theta in path:
            unsound = nan_unless_finite([p for stage in theta for p in stage])
            logits.append(self._outputs(stages, theta, rows)[0] + unsound.reshape([tasks, 1, 1]))
        return paddle.stack(logits)

    @paddle.no_grad()
    def displacement(self, batches, query_x, query_y, inner_loop):
        """Where inner steps lead that take a batch each.

        Parameters
        ----------
        batches : list of (Tensor, Tensor)
            For each step its x and y (task, example, ...).
        query_x, query_y : Tensor (task, example, ...)
        inner_loop : list of InnerStep

        Returns
        -------
        losses, logits
            Of the queries after the last step, as of `meta_gradient`.
        sums : dict
            By the `id` of the net's parameters, how far they moved, summed over tasks.
        """
        before = self._parameters(query_x.shape[0])
        batches = (self._prepared(x, y) for x, y in batches)
        *_, after = self._path(batches, inner_loop, query_x.shape[0])
        query = self._prepared(query_x, query_y)
        losses, logits = self._gradient(after, *query, lowest=None)[:2]
        moved = [[q - p for p, q in zip(*of_stage)] for of_stage in zip(before, after)]
        return losses, logits, self._over_tasks(moved)

    def _path(self, batches, inner_loop, tasks):
        """Yields the parameters before and after each step, which takes a prepared batch."""
        theta = self._parameters(tasks)
        yield theta
        for step, batch in zip(self._steps(inner_loop, tasks), batches):
            theta = step.begin(theta)
            gradients = step.cut(self._gradient(theta, *batch, step.lowest)[2])
            theta = step.take(batch.stages, theta, gradients)
            yield theta

    def _sums(self, stages, passed):
        """The gradients of the sum of the tasks' losses, by the `id` of what they are in.

        Works off what `passed` holds of each pass, and so frees it.
        """
        sums, v = {}, None
        while passed:
            step, at, arriving = passed.pop()
            v = _added(v, arriving)
            if not step:
                break
            theta, gradients, followed, point = at
            _add(sums, step.rates_gradients(v, followed))
            if point:
                hessian_times = partial(self._hessian_times, stages, theta, point, step.lowest)
                v = step.pull_back(stages, v, gradients, hessian_times)
                del hessian_times  # and what the point keeps, before the next is worked on
            _add(sums, step.own_gradients(v))
        _add(sums, self._over_tasks(v).items())
        return sums

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

    def _gradient(self, theta, stages, x, target, lowest=0):
        """Losses, outputs, gradients by stage from `lowest` on, and the point, for
        `_hessian_times`; without gradients if `lowest` is None.
        """
        x, points = self._outputs(stages, theta, x)
        losses, g, at_loss = self.loss.forward(x, target)
        g = scaled(g)
        gradients, arriving = [None] * len(stages), [None] * len(stages)
        for i in reversed(range(len(stages) if lowest is None else lowest, len(stages))):
            arriving[i] = g
            g, gradients[i] = stages[i].backward(points[i], theta[i], g)
        return losses, x, unscaled(gradients), (points, arriving, at_loss)

    def _outputs(self, stages, theta, x):
        """What the last stage puts out, and each stage's point."""
        points = []
        for stage, w in zip(stages, theta):
            x, point = stage.forward(x, w)
            points.append(point)
        return x, points

    def _hessian_times(self, stages, theta, point, lowest, v):
        """H v: the derivative of the gradients at `point` along `v`, which is 0 below `lowest`."""
        points, arriving, at_loss = point
        dx = None
        for i in range(lowest, len(stages)):
            dx = stages[i].tangent(points[i], theta[i], dx, v[i])
        dg = scaled(self.loss.curvature(at_loss, dx))
        result = [None] * len(stages)
        for i in reversed(range(len(stages))):
            if i < lowest:  # nothing changes there but the gradient that arrives
                dg, result[i] = stages[i].backward(points[i], theta[i], dg)
            else:
                dg, result[i] = stages[i].curvature(points[i], theta[i], v[i], arriving[i], dg)
        return unscaled(result)

    def _examples(self, x):
        """The stages for these examples, and the examples as they take them."""
        tasks, images = x.shape[:2]
        stages = self._stages(tasks, x)
        if self.groups[0].kind == "convolution":
            x = x.transpose([0, 1, 3, 4, 2]).reshape([tasks, -1, x.shape[2]])
        else:
            x = x.reshape([tasks, images, -1])
        return stages, stages[0].data(x)

    def _prepared(self, x, y):
        stages, rows = self._examples(x)
        weight = self.groups[-1].layers[0].weight
        target = self.loss.target(y, [*x.shape[:2], weight.shape[1]], weight.dtype)
        return Batch(stages, rows, target)

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
        first, images = self.groups[0], self.groups[0].kind == "convolution"
        if images:
            channels = first.layers[0].weight.shape[1]
            wanted = f"images (task, image, channel, row, column) of {channels} channels"
            fits = x.ndim == 5 and x.shape[2] == channels
        else:
            wanted = f"(task, example, ...) of {first.width[0]} numbers each"
            fits = not first.parameters or math.prod(x.shape[2:]) == first.width[0]
        if not fits:
            raise ValueError(
                f"the examples have the shape {list(x.shape)}, but the net takes {wanted}."
            )

    def _parameters(self, tasks):
        """Those of each stage, the same for all tasks."""
        return [[for_tasks(p, tasks) for p in group.parameters] for group in self.groups]

    def _over_tasks(self, values):
        """The sums over tasks of what stages have of the parameters, by their `id`."""
        return {
            id(p): over_tasks(value, p.shape)
            for group, of_stage in zip(self.groups, values)
            for p, value in zip(group.parameters, of_stage)
        }

    def _steps(self, inner_loop, tasks):
        place = {id(p): number for number, p in enumerate(self.theta)}
        places = [[place[id(p)] for p in group.parameters] for group in self.groups]
        return [Step(step, self.groups, places, tasks) for step in inner_loop]


def _applies_in_turn(net) -> bool:
    """Whether the net's `in_turn` speaks of its `forward`: not where a subclass or the object has
    another, nor where a hook of a layer may change what that puts out.
    """
    if not hasattr(net, "in_turn") or "forward" in vars(net):
        return False
    own = next(c for c in type(net).__mro__ if "in_turn" in vars(c) or "forward" in vars(c))
    layers = net.sublayers(include_self=True)
    hooked = any(layer._forward_pre_hooks or layer._forward_post_hooks for layer in layers)
    return "in_turn" in vars(own) and not hooked


def _scaled(v, weight):
    return v if weight == 1 else [g and [p * weight for p in g] for g in v]


def _added(v, arriving):
    """The sum of two lists by stage, where None stands for nothing."""
    if v is None or arriving is None:
        return v if arriving is None else arriving
    return [[p + q for p, q in zip(*of_stage)] for of_stage in zip(v, arriving)]


def _add(sums, found):
    for key, gradient in found:
        sums[key] = sums[key] + gradient if key in sums else gradient
