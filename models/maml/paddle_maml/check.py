"""Whether the meta-gradient of a network and its loss is what it should be."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from functools import partial
from math import isnan
from typing import NamedTuple

import numpy as np
import paddle

from .automatic import Automatic
from .batch_statistics import BATCH_NORMS
from .batched import Network
from .dry_run import dry_run, floating, upcoming
from .functional import trainable
from .impossible import NotTwiceDifferentiable
from .obstacles import refuse_impossible
from .operators import once_differentiable, twice_differentiable, unbounded_cross_entropy

# How far a right meta-gradient may be from finite differences.
TOLERANCES = {"float64": 1e-4, "float32": 1e-2}
# By what part of itself a step about changes the loss, whose rounding is 1e-16 or 1e-7 of it.
CHANGES = {
    "float64": (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9),
    "float32": (1e-1, 3e-2, 1e-2, 3e-3, 1e-3),
}


class Check(NamedTuple):
    """What `MAML.check` found, for `print`.

    Errors are relative to the length of the meta-gradient.

    Parameters
    ----------
    order : {2, 1}
        What was asked for.
    precision : {"float64", "float32"}
        What was computed in: float32 only where the net does not run in float64.
    error : float or None
        How far the meta-gradient is from finite differences of the whole meta-step, along a random
        direction. None if the loss has another value at each call.
    uncertainty : float or None
        How far the differences are from each other, by steps of several lengths.
    first_order_error : float or None
        How far the first-order gradient is from the meta-gradient; None if order is 1.
    random : list of str
        Layers that draw random numbers, as dropout in training mode. The comparison has them draw
        the same ones each time.
    unreached : list of str
        Trainable parameters that the meta-loss does not depend on.
    trainable, frozen : int
        How many numbers of the net are meta-trained, and how many are not by `stop_gradient`. The
        running statistics of batch norm are neither.
    together : bool
        Whether tasks are computed together (`paddle_maml.batched`) or one by one.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML
    >>> net = paddle.nn.Sequential(paddle.nn.Linear(3, 2), paddle.nn.Dropout(0.1))
    >>> found = MAML(net, inner_lr=0.1).check(paddle.randn([4, 3]), paddle.to_tensor([0, 0, 1, 1]))
    >>> found.exact, found.random, found.trainable
    (True, ['1 (Dropout)'], 8)
    """

    order: int
    precision: str
    error: float | None
    uncertainty: float | None
    first_order_error: float | None
    random: list[str]
    unreached: list[str]
    trainable: int
    frozen: int
    together: bool

    @property
    def exact(self) -> bool | None:
        """Whether the meta-gradient is right; None if that cannot be told."""
        if self.error is None:
            return None
        if self.error <= TOLERANCES[self.precision]:
            return True
        return False if self.uncertainty <= self.error / 10 else None

    def __str__(self):
        asked = "second order" if self.order == 2 else "first order, as order=1 asks for"
        lines = [f"{asked}: {self._verdict()}"]
        if self.error is not None:
            fixed = "" if self.order == 2 else " that hold the inner gradients fixed"
            lines.append(
                f"difference to finite differences of the meta-step{fixed}: {self.error:.1e} of "
                f"the meta-gradient, in {self.precision}"
            )
        if self.first_order_error is not None:
            small = self.first_order_error <= TOLERANCES[self.precision]
            note = f", too small to be verified in {self.precision}" if small else ""
            lines.append(f"difference to first order: {self.first_order_error:.1e} of it{note}")
        lines.append(f"parameters: {self.trainable} numbers trainable, {self.frozen} frozen")
        lines.append(f"tasks: computed {'together' if self.together else 'one by one'}")
        if self.unreached:
            lines.append(f"the loss does not depend on: {', '.join(self.unreached)}")
        if self.random:
            lines.append(f"random, held fixed to compare: {', '.join(self.random)}")
        return "\n  ".join(lines)

    def _verdict(self):
        if self.error is None:
            return "cannot be told, as the loss has another value at each call with one seed"
        if isnan(self.error):
            return "cannot be told, as the loss or its gradient is not finite on this task"
        if self.exact is None:
            return (
                f"cannot be told, as finite differences vary by {self.uncertainty:.1e}: try "
                "another task or seed"
            )
        return "exact" if self.exact else "WRONG, perhaps by a PyLayer or an operator of your own"


def check(maml, support_x, support_y, query_x=None, query_y=None, seed: int = 0) -> Check:
    """`MAML.check`; see there."""
    if (query_x is None) != (query_y is None):
        raise ValueError("query_x and query_y go together: give both or none.")
    queries = (support_x, support_y) if query_x is None else (query_x, query_y)
    task = support_x, support_y, *queries
    try:
        return _Sample(maml, task, "float64", seed).check()
    except NotTwiceDifferentiable:
        raise
    except (RuntimeError, TypeError, ValueError):  # Paddle's where operands differ in type
        if trainable(maml.net)[0].dtype == paddle.float64:
            raise
    return _Sample(maml, task, "float32", seed).check()


class _Sample:
    """One task, on which `maml` is run in some precision, and left as it is."""

    def __init__(self, maml, task, precision, seed):
        self.maml, self.precision, self.seed = maml, precision, seed
        self.task = [floating(x, precision) for x in task]
        self.dry_run = partial(dry_run, maml, precision, seed)

    def check(self) -> Check:
        maml, net = self.maml, self.maml.net
        together = Network.of(net, maml.loss) is not None
        if maml.order == 2 and not together:
            refuse_impossible(maml, *self.task[:2], self.precision)
        gradient, unreached = self.gradient()
        first_order_error = None
        if maml.order == 2:
            length = np.linalg.norm(gradient) or 1.0
            first_order_error = float(np.linalg.norm(self.first_order() - gradient) / length)
        error, uncertainty = self.compare(gradient)
        frozen = {id(p): p.size for p in net.parameters() if p.stop_gradient}
        for layer in net.sublayers(include_self=True):
            if isinstance(layer, BATCH_NORMS):
                for statistics in (layer._mean, layer._variance):
                    frozen.pop(id(statistics), None)
        return Check(
            order=maml.order,
            precision=self.precision,
            error=error,
            uncertainty=uncertainty,
            first_order_error=first_order_error,
            random=self.drawing(),
            unreached=unreached,
            trainable=sum(p.size for p in trainable(net)),
            frozen=sum(frozen.values()),
            together=together,
        )

    def gradient(self):
        """The meta-gradient that a training takes, and the names of what it does not reach."""
        with self.dry_run():
            loss, _ = self.maml(*(x.unsqueeze(0) for x in self.task))
            theta = trainable(self.maml)
            found = paddle.grad(loss, theta, allow_unused=True)
            names = {id(p): name.removeprefix("net.") for name, p in self.maml.named_parameters()}
            unreached = [names[id(p)] for p, g in zip(theta, found) if g is None]
            return _vector(theta, found), unreached

    def first_order(self):
        with self.dry_run():
            theta = trainable(self.maml)
            return _vector(theta, self.meta_gradient(_Repeating(self.maml), theta, order=1)[2])

    def compare(self, gradient):
        """Along a random direction, the gradient's error and the uncertainty of that."""
        direction = np.random.default_rng(self.seed).normal(size=gradient.size)
        loss, inner = self.loss()
        again, _ = self.loss()
        if abs(again - loss) > 1e-3 * TOLERANCES[self.precision] * abs(loss):
            return None, None
        held = () if self.maml.order == 2 else inner
        length, slopes = np.linalg.norm(gradient), []
        for change in CHANGES[self.precision]:
            step = change * abs(loss) / length if loss and length else change
            after, before = (self.loss(sign * step * direction, held)[0] for sign in (1, -1))
            slopes.append((after - before) / (2 * step))
        # Over long steps the loss is curved, and jumps where ReLU has a kink; short ones round it.
        gaps = np.abs(np.diff(slopes))
        best = np.argmin(gaps)
        slope = slopes[best + 1]
        scale = max(length, abs(slope)) or 1.0
        return float(abs(gradient @ direction - slope) / scale), float(gaps[best] / scale)

    def loss(self, shift=0.0, held=()):
        """The meta-loss with the parameters shifted, and the gradients of its inner steps.

        With those in `held` in their place, if there are any.
        """
        automatic = _Repeating(self.maml, held)
        with self.dry_run(), paddle.no_grad():
            theta = trainable(self.maml)
            shifts = np.broadcast_to(shift, sum(p.size for p in theta))
            ends = np.cumsum([p.size for p in theta])
            for p, part in zip(theta, np.split(shifts, ends[:-1])):
                p.set_value(p + paddle.to_tensor(part.reshape(p.shape), p.dtype))
            loss, *_ = self.meta_gradient(automatic, theta, order=0)
            return float(loss), automatic.found

    def meta_gradient(self, automatic, theta, order):
        maml = self.maml
        weights = maml.query_weights()
        inner_loop = maml.inner_loop(maml.inner_steps)
        return automatic.meta_gradient(*self.task, theta, inner_loop, weights, order)

    def drawing(self):
        """The innermost layers that draw random numbers."""
        found, begun = [], []

        def begin(layer, inputs):
            begun.append((upcoming(), len(found)))

        def end(layer, inputs, outputs, name):
            before, inside = begun.pop()
            if upcoming() != before and len(found) == inside:
                found.append(f"{name} ({type(layer).__name__})".strip())

        with ExitStack() as hooks, self.dry_run(), paddle.no_grad(), once_differentiable():
            for name, layer in self.maml.net.named_sublayers(include_self=True):
                hooks.callback(layer.register_forward_pre_hook(begin).remove)
                hook = layer.register_forward_post_hook(partial(end, name=name))
                hooks.callback(hook.remove)
            self.maml.net(self.task[0])
        return found


class _Repeating(Automatic):
    """With inner gradients that are given, constants as first order takes them for."""

    def __init__(self, maml, held=()):
        super().__init__(maml.net, maml.loss)
        # Some operators draw other random numbers where they are to be differentiated twice.
        self.operators = twice_differentiable if maml.order == 2 else nullcontext
        self.held, self.found = iter(held), []

    def inner_gradients(self, *arguments):
        with self.operators():
            own = super().inner_gradients(*arguments)  # at any rate, as it may draw random numbers
        self.found.append(next(self.held, own))
        return self.found[-1]

    def query(self, *arguments):
        with unbounded_cross_entropy():
            return super().query(*arguments)


def _vector(theta, gradients) -> np.ndarray:
    """One vector of `gradients`, with zeros for those that are None."""
    parts = [np.zeros(p.shape) if g is None else g.numpy() for p, g in zip(theta, gradients)]
    return np.concatenate([part.ravel() for part in parts]).astype(np.float64)
