"""Several tensors as the one differentiable input that a PyLayer may have."""

from __future__ import annotations

import math

import paddle
from paddle.autograd import PyLayer

from .native import native


class Packing:
    """Several tensors of one type as a vector, and back; a single tensor stays as it is."""

    def __init__(self, tensors: dict):
        self.shapes = {key: x.shape for key, x in tensors.items()}

    def pack(self, tensors):
        if len(self.shapes) == 1:
            return next(iter(tensors.values()))
        members = [tensors[key].reshape([-1]) for key in self.shapes]
        # A constant member makes the gradient of concat fail when it is differentiated.
        return native.concat([tied(x, *members) if x.stop_gradient else x for x in members], 0)

    def unpack(self, packed):
        if len(self.shapes) == 1:
            return {key: packed for key in self.shapes}
        found, start = {}, 0
        for key, shape in self.shapes.items():
            size = math.prod(shape)
            found[key] = packed[start : start + size].reshape(shape)
            start += size
        return found


def tied(x, *others):
    """`x`, by which autograd reaches the first of `others` that it follows; nothing is added.

    Several of Paddle's double gradients lose what belongs to one input, or crash, where another
    input is a constant, or leads to nothing that is differentiated.
    """
    if paddle.is_grad_enabled():
        for other in others:
            if not other.stop_gradient:
                return x + _Zero.apply(other).astype(x.dtype)
    return x


class _Zero(PyLayer):
    """Anything -> 0, even infinity."""

    @staticmethod
    def forward(ctx, x):
        ctx.shape, ctx.dtype = x.shape, x.dtype
        return paddle.zeros([1] if x.ndim else [], x.dtype)

    @staticmethod
    def backward(ctx, g):
        return paddle.zeros(ctx.shape, ctx.dtype)
