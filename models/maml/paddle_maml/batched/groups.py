"""A network's layers by stage."""

from __future__ import annotations

import math
from typing import NamedTuple

from paddle import nn


class Group(NamedTuple):
    """The layers of one stage, and those of them that have parameters."""

    kind: str
    layers: tuple = ()
    pools: bool = False

    @property
    def width(self) -> tuple[int, int]:
        """Numbers that an output is made of, and outputs; 0 without parameters."""
        if not self.parameters:
            return 0, 0
        weight = self.layers[0].weight
        outputs = weight.shape[0 if self.kind == "convolution" else 1]
        return math.prod(weight.shape) // outputs, outputs

    @property
    def parameters(self):
        return [p for layer in self.layers for p in (layer.weight, layer.bias) if p is not None]


def grouped(layers: list) -> list[Group] | None:
    """The layers by stage; None if one is not known."""
    groups, rest = [], list(layers)
    while rest:
        kinds = [type(layer) for layer in rest]
        if _plain_convolution(rest[0]) and kinds[1:3] == [nn.BatchNorm2D, nn.ReLU]:
            pools = len(rest) > 3 and _halves(rest[3])
            groups.append(Group("convolution", tuple(rest[:2]), pools))
            rest = rest[3 + pools :]
        elif kinds[:3] == [nn.Linear, nn.BatchNorm1D, nn.ReLU] and rest[0].bias is None:
            groups.append(Group("dense", tuple(rest[:2])))
            rest = rest[3:]
        elif kinds[0] is nn.Linear and rest[0].bias is not None:
            groups.append(Group("linear", (rest[0],)))
            rest = rest[1:]
        elif kinds[0] is nn.ReLU:
            groups.append(Group("relu"))
            rest = rest[1:]
        elif kinds[:2] == [nn.AdaptiveAvgPool2D, nn.Flatten] and rest[0]._output_size == 1:
            groups.append(Group("mean"))
            rest = rest[2:]
        elif kinds[0] is nn.Flatten:
            groups.append(Group("flatten"))
            rest = rest[1:]
        else:
            return None
    return groups if groups and groups[-1].kind == "linear" else None


def _plain_convolution(layer) -> bool:
    return (
        type(layer) is nn.Conv2D
        and layer.bias is None
        and layer._groups == 1
        and _pair(layer._dilation) == (1, 1)
        and layer._padding_mode == "zeros"
        and not isinstance(layer._padding, str)
        and len(_pair(layer._padding)) == 2
    )


def _halves(layer) -> bool:
    """Whether it is 2x2 max-pooling without overlap or padding."""
    return (
        type(layer) is nn.MaxPool2D
        and _pair(layer.ksize) == (2, 2)
        and _pair(layer.stride) in ((2, 2), (None, None))
        and _pair(layer.padding) == (0, 0)
        and not layer.ceil_mode
    )


def _pair(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)
