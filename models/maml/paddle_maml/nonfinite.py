"""Where a number that is not finite first appears in a meta-step."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import paddle

from .automatic import Automatic
from .dry_run import dry_run
from .functional import trainable
from .maml import MAML
from .precision import PATIENCE

SETS = ("support_x", "support_y", "query_x", "query_y")


class NonFinite(NamedTuple):
    """What was the first in a meta-step not to be finite, in the order in which it is computed.

    Parameters
    ----------
    what : str
        support_x, support_y, query_x or query_y; parameter, which it is before the meta-step;
        support loss, inner gradient, adapted parameter, query loss or meta-gradient. Of an
        algorithm without inner steps: loss or gradient.
    name : str or None
        Of the parameter, as in `named_parameters()`.
    step : int or None
        The inner step, from 1.
    task : int or None
        Its place in the batch, from 0.

    Examples
    --------
    >>> from paddle_maml import NonFinite
    >>> print(NonFinite("inner gradient", "classifier.weight", 2, 7))
    the inner gradient of classifier.weight (inner step 2, task 7)
    """

    what: str
    name: str | None = None
    step: int | None = None
    task: int | None = None

    def __str__(self):
        text = self.what if self.what in SETS else f"the {self.what}"
        if self.name is not None:
            text += f" of {self.name}" if self.what.endswith("gradient") else f" {self.name}"
        where = {"inner step": self.step, "task": self.task}
        where = [f"{name} {number}" for name, number in where.items() if number is not None]
        return f"{text} ({', '.join(where)})" if where else text


def find_nonfinite(algorithm, support_x, support_y, query_x, query_y, *classes) -> NonFinite | None:
    """Go through a meta-step once more, task by task, to where it first is not finite.

    A loss of `MAML` is not finite either if an entry of its meta-gradient is not. So a training
    looks at the loss, which costs nothing, and asks here what was wrong only then.

    Parameters
    ----------
    algorithm : MAML
        Or another layer that is called with these tensors and returns a loss and outputs.
    support_x, support_y, query_x, query_y : Tensor (task, example, ...)
        As of `MAML.forward`.
    *classes : Tensor
        What else `algorithm` is called with.

    Returns
    -------
    NonFinite or None
        None if loss and gradient are finite, as they are computed one task at a time. The layer,
        its buffers and all random states stay as they are.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML, find_nonfinite
    >>> maml = MAML(paddle.nn.Linear(1, 1), inner_lr=1e30, inner_steps=2, loss=paddle.nn.MSELoss())
    >>> task = paddle.ones([3, 4, 1]), paddle.full([3, 4, 1], 5.0)
    >>> loss, _ = maml(*task, *task)
    >>> bool(paddle.isfinite(loss))
    False
    >>> print(find_nonfinite(maml, *task, *task))
    the support loss (inner step 2, task 0)
    """
    batch = support_x, support_y, query_x, query_y, *classes
    with dry_run(algorithm), paddle.enable_grad():
        if not isinstance(algorithm, MAML):
            return _first(_at_once, algorithm, batch)
        with algorithm.mixed.products() if algorithm.mixed else nullcontext():
            for task in range(len(support_x)):
                sets = [part[task : task + 1] for part in batch]
                loss, _, gradients = algorithm._meta_gradient(None, trainable(algorithm), *sets)
                if not all(map(_is_finite, (loss, *gradients))):
                    found = _first(_in_turn, algorithm, sets)
                    return found and found._replace(task=task)
    return None


def sound(algorithm, loss):
    """Whether a meta-step that returned this loss may be followed: 0-D bool, on the device.

    In mixed precision it may unless many in a row overflowed: one that did counts as zero.
    """
    mixed = getattr(algorithm, "mixed", None)
    return mixed.lost < PATIENCE if mixed else paddle.isfinite(loss)


def _at_once(algorithm, batch):
    """The tasks are not computed one by one where they share statistics of batch norm."""
    for task, sets in enumerate(zip(*batch[:4])):
        for what, examples in zip(SETS, sets):
            _look(what, examples, task=task)
    names = _names(algorithm)
    _look_at_all("parameter", names, trainable(algorithm))
    loss, _ = algorithm(*batch)
    _look("loss", loss)
    gradients = paddle.grad(loss, trainable(algorithm), allow_unused=True)
    _look_at_all("gradient", names, gradients)


def _in_turn(maml, sets):
    for what, examples in zip(SETS, sets):
        _look(what, examples)
    theta = trainable(maml)
    _look_at_all("parameter", _names(maml), theta)
    _, _, gradients = maml._meta_gradient(None, theta, *sets, automatic=_Observed)
    _look_at_all("meta-gradient", _names(maml), gradients)


class _Observed(Automatic):
    """Stops at the first number that is not finite."""

    def path(self, batches, inner_loop, order):
        names = _names(self.net)
        for self.step, parameters in enumerate(super().path(batches, inner_loop, order)):
            if self.step:
                _look_at_all("adapted parameter", names, parameters, step=self.step)
            yield parameters

    def inner_gradients(self, step, parameters, support_x, support_y, order):
        number = self.step + 1
        loss, _ = super().query(parameters, support_x, support_y)
        _look("support loss", loss, step=number)
        found = super().inner_gradients(step, parameters, support_x, support_y, order)
        _look_at_all("inner gradient", _names(self.net), found, step=number)
        return found

    def query(self, parameters, query_x, query_y):
        loss, logits = super().query(parameters, query_x, query_y)
        _look("query loss", loss, step=self.step or None)
        return loss, logits


class _Found(Exception):
    """Its argument is a `NonFinite`."""


def _first(course, *arguments) -> NonFinite | None:
    try:
        course(*arguments)
    except _Found as found:
        return found.args[0]
    return None


def _look(what, value, name=None, **where):
    if not _is_finite(value):
        raise _Found(NonFinite(what, name, **where))


def _look_at_all(what, names, values, **where):
    for name, value in zip(names, values):
        _look(what, value, name, **where)


def _is_finite(value) -> bool:
    return value is None or bool(paddle.isfinite(value).all())


def _names(layer) -> list[str]:
    """Of the parameters that are trained; those of a MAML's net as the net names them."""
    named = [name for name, p in layer.named_parameters() if not p.stop_gradient]
    return [name[4:] if isinstance(layer, MAML) and name[:4] == "net." else name for name in named]
