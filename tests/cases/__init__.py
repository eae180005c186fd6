"""What `twice_differentiable` has to differentiate: functions and layers of Paddle as data.

Each family is a module with two tables. `FUNCTIONS` maps a piece of code to the arrays that its
variables stand for; `LAYERS` the same for a layer and the arguments of its call, where the layer's
parameters are one more variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Callable

import numpy as np
import paddle
from paddle_maml.functional import parameters_as, trainable

from . import common

FAMILIES = (
    "losses",
    "activations",
    "arithmetic",
    "reductions",
    "shapes",
    "products",
    "convolutions",
    "poolings",
    "normalisations",
    "resamplings",
    "recurrences",
    "attentions",
)


@dataclass(frozen=True)
class Case:
    """`function` of tensors and the arrays to put in, by name; `code` is what it computes."""

    family: str
    code: str
    function: Callable
    inputs: dict[str, np.ndarray]
    impossible: bool

    def __str__(self):
        return self.code


def cases() -> list[Case]:
    """Those that the running Paddle has."""
    found = []
    for family in FAMILIES:
        table = import_module(f"{__name__}.{family}")
        names = {**vars(common), **vars(table)}
        lacking = () if paddle.__version__.startswith("3") else getattr(table, "ONLY_3", ())
        for code, (function, inputs) in _functions(table, names, lacking):
            impossible = code in getattr(table, "IMPOSSIBLE", ())
            found.append(Case(family, code, function, inputs, impossible))
    return found


def _functions(table, names, lacking):
    for code, inputs in getattr(table, "FUNCTIONS", {}).items():
        if code not in lacking:
            yield code, (eval(f"lambda {', '.join(inputs)}: {code}", names), inputs)
    for (layer, arguments), inputs in getattr(table, "LAYERS", {}).items():
        yield f"{layer}({arguments})", _of_layer(layer, arguments, inputs, names)


def _of_layer(code, arguments, inputs, names):
    """The layer as a function of its inputs and of all its parameters in one vector; its inputs."""
    default = paddle.get_default_dtype()
    paddle.set_default_dtype("float64")
    paddle.seed(0)
    layer = eval(code, names)
    paddle.set_default_dtype(default)
    own = trainable(layer)
    call = eval(f"lambda layer, {', '.join(inputs)}: layer({arguments})", names)
    if not own:
        return partial(call, layer), inputs

    def function(*tensors):
        *arguments, packed = tensors
        pieces = paddle.split(packed, [p.size for p in own])
        values = [piece.reshape(p.shape) for piece, p in zip(pieces, own)]
        with parameters_as(layer, own, values):
            return call(layer, *arguments)

    start = np.concatenate([p.numpy().ravel() for p in own])
    start += np.random.default_rng(0).normal(0, 0.1, start.shape)  # biases start at 0
    return function, {**inputs, "parameters": start}
