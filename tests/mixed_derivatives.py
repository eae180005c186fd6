"""First and second derivatives of a function of several tensors, where some are constants."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
import paddle


@dataclass(frozen=True)
class Setting:
    """Which inputs are differentiated first, which autograd follows at all, and what comes after.

    The others are constants: data, or frozen. A loss that is linear in the outputs has a constant
    for their gradient. Each of these prunes the graph elsewhere.
    """

    first: tuple[str, ...]
    followed: tuple[str, ...]
    curved: bool

    def __str__(self):
        more = "" if self.first == self.followed else f", following {', '.join(self.followed)}"
        return f"in {', '.join(self.first)}{more}, {'curved' if self.curved else 'linear'} loss"


def settings(names) -> list[Setting]:
    """All inputs, each alone with the others as constants, and each alone with all followed."""
    names = tuple(names)
    alone = [(name,) for name in names] if len(names) > 1 else []
    others = [tuple(n for n in names if n != name) for name in names] if len(names) > 2 else []
    pairs = [(names, names), *((a, a) for a in alone + others), *((a, names) for a in alone)]
    return [Setting(*pair, curved) for pair, curved in product(pairs, (True, False))]


@contextmanager
def doubles():
    """What Paddle makes by itself is in float64, too."""
    default = paddle.get_default_dtype()
    paddle.set_default_dtype("float64")
    try:
        yield
    finally:
        paddle.set_default_dtype(default)


@doubles()
def assert_derivatives(function, inputs: dict[str, np.ndarray], setting: Setting, rtol=1e-6):
    """Hold Paddle's first and second derivatives of `function` to finite differences.

    The second ones are those of the first derivative along a direction, in all that is followed.
    """
    rng, step = np.random.default_rng(99), 1e-5
    direction = {name: rng.normal(size=inputs[name].shape) for name in setting.first}
    moved = lambda t: {n: v + t * direction.get(n, 0) for n, v in inputs.items()}  # noqa: E731
    before = _gradients(function, moved(-step), setting)
    after = _gradients(function, moved(step), setting)
    first, second = _second_derivative(function, inputs, setting, direction)
    along = np.concatenate([(first[name] * direction[name]).ravel() for name in setting.first])
    slope = (after[0] - before[0]) / (2 * step)
    _assert_close(along.sum(), slope, rtol, np.abs(along).sum(), "first derivative")
    for name in setting.followed:
        expected = (after[1][name] - before[1][name]) / (2 * step)
        what = f"second derivative in {name}"
        _assert_close(second[name], expected, rtol, np.abs(expected).max(), what)


def outputs(result) -> list[paddle.Tensor]:
    """The tensors of a result, which may be nested in tuples and lists."""
    if isinstance(result, (tuple, list)):
        return [tensor for part in result for tensor in outputs(part)]
    return [result]


def _assert_close(found, expected, rtol, scale, what):
    atol = rtol * max(scale, 1e-2)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=what)


def _gradients(function, inputs, setting):
    """The loss and its gradients in all that is followed."""
    loss, followed = _loss(function, inputs, setting)
    found = paddle.grad(loss, list(followed.values()), allow_unused=True)
    return float(loss), _arrays(followed, found)


def _second_derivative(function, inputs, setting, direction):
    """The gradients of the loss, and the gradients of their product with `direction`."""
    loss, followed = _loss(function, inputs, setting)
    first = {name: followed[name] for name in setting.first}
    found = paddle.grad(loss, list(first.values()), create_graph=True, allow_unused=True)
    terms = [
        (g * paddle.to_tensor(direction[name])).sum()
        for name, g in zip(first, found)
        if g is not None and not g.stop_gradient
    ]
    again = [None] * len(followed)
    if terms:
        total = sum(terms[1:], terms[0])
        again = paddle.grad(total, list(followed.values()), allow_unused=True)
    return _arrays(first, found), _arrays(followed, again)


def _arrays(tensors, gradients):
    """By name, with zeros for a gradient that there is not."""
    return {
        name: np.zeros(x.shape) if g is None else g.numpy()
        for (name, x), g in zip(tensors.items(), gradients)
    }


def _loss(function, inputs, setting):
    tensors = {
        name: paddle.to_tensor(value, stop_gradient=name not in setting.followed)
        for name, value in inputs.items()
    }
    paddle.seed(0)  # what is random has to be the same each time
    loss = 0.0
    for out in outputs(function(*tensors.values())):
        weights = paddle.to_tensor(np.cos(np.arange(out.size)).reshape(out.shape))
        loss = loss + ((out * out if setting.curved else out) * weights).sum()
    return loss, {name: tensors[name] for name in setting.followed}
