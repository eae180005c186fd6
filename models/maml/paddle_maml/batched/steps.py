"""Inner steps for many tasks at once, stage by stage."""

from __future__ import annotations

import paddle

from ..inner_loop import InnerStep, learned
from .arrays import combined


class Step:
    """An `InnerStep` of a net whose layers `groups` holds by stage.

    What stands for the parameters, here, is a list for each stage of arrays (task, row, column).

    Parameters
    ----------
    step : InnerStep
    groups : list of Group
    places : list of list of int
        By stage, which of the net's parameters it has.
    tasks : int
    """

    def __init__(self, step: InnerStep, groups: list, places: list[list[int]], tasks: int):
        self._tasks = tasks
        self._rates = [
            [_rate(step.rates[n], p, tasks) for n, p in zip(stage, group.parameters)]
            for stage, group in zip(places, groups)
        ]
        self._learned = _by_stage(dict(enumerate(step.rates)), places, learned)
        self._own = _by_stage(step.own, places)
        self._clip = step.clip
        self._adapted = _by_stage(dict.fromkeys(step.adapted, True), places)
        self._uniform = not self._learned and len(set(step.rates)) == 1
        first = min(stage for stage, found in enumerate(places) if {*found} & {*step.adapted})
        # The first stage that is adapted, if it can do without the derivative of its input.
        self.lowest = first if groups[first].kind == "linear" else 0

    def begin(self, theta: list) -> list:
        """The parameters that the gradient is taken at."""
        theta = [list(stage) for stage in theta]
        for stage, number, p in self._own:
            theta[stage][number] = for_tasks(p, self._tasks)
        return theta

    def cut(self, gradients: list) -> list:
        """The gradients as the step follows them."""
        if not self._clip:
            return gradients
        return self._replaced(gradients, self._clip(self._of_adapted(gradients)))

    def take(self, stages: list, theta: list, gradients: list) -> list:
        """The parameters after the step; uses the gradients up if no rate is meta-trained."""
        return _stepped(stages, theta, gradients, self._rates)

    def pull_back(self, stages: list, v: list, gradients: list, hessian_times) -> list:
        """v - H C R v for the Hessian H, the rates R and the derivative C of `cut` at `gradients`:
        the step's Jacobian, transposed, times v.
        """
        if self._uniform:  # R may change places with the others
            along = hessian_times(self._slope(gradients, v))
            return _stepped(stages, v, along, self._rates)
        v_rates = [[p * r for p, r in zip(*of_stage)] for of_stage in zip(v, self._rates)]
        along = hessian_times(self._slope(gradients, v_rates))
        return _stepped(stages, v, along, [[1.0] * len(stage) for stage in v])

    def rates_gradients(self, v: list, gradients: list) -> list:
        """Of the loss that has the gradient `v` behind the step: the `id` of each rate that is
        meta-trained, and the gradient in it; `gradients` are those that the step followed.
        """
        found = []
        for stage, number, rate in self._learned:
            along = -(v[stage][number] * gradients[stage][number])
            found.append((id(rate), over_tasks(along, rate.shape) if rate.ndim else along.sum()))
        return found

    def own_gradients(self, v: list) -> list:
        """As `rates_gradients`, of the step's own parameters; takes them out of `v`."""
        found = []
        for stage, number, p in self._own:
            found.append((id(p), over_tasks(v[stage][number], p.shape)))
            v[stage][number] = paddle.zeros_like(v[stage][number])
        return found

    def _slope(self, gradients, v):
        if not self._clip:
            return v
        of_adapted = self._of_adapted(gradients), self._of_adapted(v)
        return self._replaced(v, self._clip.slope(*of_adapted))

    def _of_adapted(self, values):
        return [values[stage][number] for stage, number, _ in self._adapted]

    def _replaced(self, values, of_adapted):
        values = [stage and list(stage) for stage in values]
        for (stage, number, _), value in zip(self._adapted, of_adapted):
            values[stage][number] = value
        return values


def for_tasks(p, tasks: int):
    """A parameter as the stages take it: (task, row, column), the same for all tasks."""
    return _as_array(p).tile([tasks, 1, 1])


def over_tasks(values, shape):
    """The sum over tasks of what stages have of a parameter, in the parameter's shape."""
    ones = paddle.ones([1, values.shape[0]], values.dtype)
    return _as_parameter(combined(ones, values.reshape([values.shape[0], -1])), shape)


def _by_stage(values: dict, places, chosen=lambda value: True) -> list:
    """(stage, number in it, value) for the values by place that are `chosen`."""
    return [
        (stage, number, values[place])
        for stage, found in enumerate(places)
        for number, place in enumerate(found)
        if place in values and chosen(values[place])
    ]


def _stepped(stages, theta, gradients, rates):
    """`gradient_step`, stage by stage; a stage without gradients stays as it is."""
    return [
        w if g is None else stage.stepped(w, g, r)
        for stage, w, g, r in zip(stages, theta, gradients, rates)
    ]


def _rate(rate, p, tasks):
    """The rate of the parameter p; one that is meta-trained fills an array of p's shape for all
    tasks, since Paddle broadcasts slowly.
    """
    if not learned(rate):
        return rate
    if rate.ndim:
        return for_tasks(rate, tasks)
    return rate.reshape([1, 1, 1]).tile([tasks, *_as_array(p).shape[1:]])


def _as_array(value):
    """Filters as (1, tap and channel, filter), in the order of `Patches`; vectors as rows."""
    if value.ndim == 4:
        return value.transpose([2, 3, 1, 0]).reshape([1, -1, value.shape[0]])
    return value.unsqueeze(0) if value.ndim == 2 else value.reshape([1, 1, -1])


def _as_parameter(matrix, shape):
    """The inverse of `_as_array`."""
    if len(shape) == 4:
        filters, channels, height, width = shape
        return matrix.reshape([height, width, channels, filters]).transpose([3, 2, 0, 1])
    return matrix.reshape(shape)
