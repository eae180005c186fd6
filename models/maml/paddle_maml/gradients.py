"""Functions with a gradient that is given by a formula, and is differentiated in turn."""

from __future__ import annotations

import paddle
from paddle.autograd import PyLayer

from .packing import Packing


def with_gradient(function, gradient, *inputs):
    """`function(*inputs)`, one tensor; its gradients for an incoming g are `gradient(g, *inputs)`.

    `gradient` gives one tensor per input, and is made of operators that can be differentiated, or
    of other functions with a gradient.
    """
    inputs = dict(enumerate(inputs))
    followed = {i: x for i, x in inputs.items() if not x.stop_gradient}
    if not followed or not paddle.is_grad_enabled():
        return function(*inputs.values())
    packing = Packing(followed)
    rule = _Rule(function, gradient, inputs, packing)
    return _WithGradient.apply(packing.pack(followed), rule)


def elementwise(function, derivatives, *inputs):
    """`function(*inputs)`, entry by entry, of tensors that are broadcast.

    `derivatives(*inputs)` gives the derivative in each input, entry by entry.
    """
    return with_gradient(
        function,
        lambda g, *inputs: [g * slope for slope in derivatives(*inputs)],
        *broadcast(inputs),
    )


def piecewise_linear(function, *inputs):
    """As `elementwise`, of a function whose derivatives are piecewise constant: Paddle's own."""

    def derivatives(*inputs):
        with paddle.enable_grad():
            leaves = [x.detach() for x in inputs]
            for leaf in leaves:
                leaf.stop_gradient = False
            paddle.autograd.backward([function(*leaves).sum()])
        return [leaf.grad.detach() for leaf in leaves]

    return elementwise(function, derivatives, *inputs)


def broadcast(tensors) -> list:
    """The tensors in the shape that arithmetic on them has."""
    shape = tensors[0].shape
    for x in tensors[1:]:
        shape = paddle.broadcast_shape(shape, x.shape)
    return [x if x.shape == shape else x.expand(shape) for x in tensors]


class _Rule:
    """What `_WithGradient` has beside its input; not a tensor, so that PyLayer leaves it alone."""

    def __init__(self, function, gradient, inputs, packing):
        self.function, self.gradient, self.packing = function, gradient, packing
        self.fixed = {i: None if i in packing.shapes else x for i, x in inputs.items()}

    def inputs(self, packed):
        return {**self.fixed, **self.packing.unpack(packed)}.values()


class _WithGradient(PyLayer):
    """The inputs that autograd follows, in one tensor, -> function(all inputs)."""

    @staticmethod
    def forward(ctx, packed, rule):
        ctx.save_for_backward(packed)
        ctx.rule = rule
        return rule.function(*rule.inputs(packed))

    @staticmethod
    def backward(ctx, g):
        rule, (packed,) = ctx.rule, ctx.saved_tensor()
        found = rule.gradient(g, *rule.inputs(packed))
        return rule.packing.pack({i: found[i] for i in rule.packing.shapes})
