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
        kinds, found = [type(layer) for layer in rest], {group.kind for group in groups}
        images = "convolution" in found and not found & {"flatten", "mean"}
        if (images or not groups) and _plain_block(rest):
            pools = len(rest) > 3 and _halves(rest[3])
            groups.append(Group("convolution", tuple(rest[:2]), pools))
            rest = rest[3 + pools :]
        elif kinds[0] is nn.ReLU:
            groups.append(Group("relu"))
            rest = rest[1:]
        elif images and _averages(rest[0]) and _flattens(rest[1:]):
            groups.append(Group("mean"))
            rest = rest[2:]
        elif images and _flattens(rest):
            groups.append(Group("flatten"))
            rest = rest[1:]
        elif not groups and _flattens(rest):  # examples that are no images are taken flat anyhow
            rest = rest[1:]
        elif not images and kinds[0] is nn.Linear and rest[0].bias is not None:
            groups.append(Group("linear", (rest[0],)))
            rest = rest[1:]
        elif not images and kinds[:3] == [nn.Linear, nn.BatchNorm1D, nn.ReLU] and _affine(rest[1]):
            groups.append(Group("dense", tuple(rest[:2])))
            rest = rest[3:]
        else:
            return None
    return groups if groups and groups[-1].kind == "linear" else None


def _plain_block(layers) -> bool:
    kinds = [type(layer) for layer in layers[1:3]]
    normalises = kinds == [nn.BatchNorm2D, nn.ReLU] and _affine(layers[1])
    return normalises and _plain_convolution(layers[0])


def _affine(norm) -> bool:
    """Whether a batch norm has a scale and a shift."""
    return norm.weight is not None and norm.bias is not None


def _averages(layer) -> bool:
    return type(layer) is nn.AdaptiveAvgPool2D and layer._output_size == 1


def _flattens(layers) -> bool:
    """Whether the first of the layers makes one row of each example."""
    first = layers[0] if layers else None
    return type(first) is nn.Flatten and (first.start_axis, first.stop_axis) == (1, -1)


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
