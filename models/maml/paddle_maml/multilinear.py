"""Operators that are linear in each of their inputs, differentiable any number of times.

For y = f(a, b, ...) the form F(a, b, ..., g) = <f(a, b, ...), g> is linear in every place, g's
included. Its derivative in a place is again a function of the others alone: in g it is f, in an
input the first gradient that Paddle has. So these are each other's derivatives, and nothing but f
and its first gradient is ever computed. A linear map and its adjoint are the case of one input.
"""

from __future__ import annotations

import paddle
from paddle.autograd import PyLayer

from .packing import Packing


def multilinear(function, *inputs):
    """`function(*inputs)`, one tensor that is linear in each; `function` from Paddle's operators.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml.multilinear import multilinear
    >>> from paddle_maml.native import native
    >>> x = paddle.to_tensor([1.0, 2.0, 3.0], stop_gradient=False)
    >>> y = multilinear(lambda x: native.cumsum(x, 0, False, False, False), x)
    >>> (g,) = paddle.grad((y * y).sum(), [x], create_graph=True)
    >>> paddle.grad(g.sum(), [x])[0].tolist()
    [12.0, 10.0, 6.0]
    """
    form = _Form(function, [x.shape for x in inputs])
    return _derivative(form, len(inputs), dict(enumerate(inputs)))


def sum_of_linear(function, *inputs):
    """`function(*inputs)`, linear in all inputs together, as f(a, 0) + f(0, b)."""

    def part(place):
        def of(x):
            filled = [paddle.zeros_like(other) for other in inputs]
            for zeros in filled:
                zeros.stop_gradient = False  # some of Paddle's gradients crash at a constant
            filled[place] = x
            return function(*filled)

        return of

    first, *others = (multilinear(part(place), x) for place, x in enumerate(inputs))
    return sum(others, first)


class _Form:
    """<f(a, b, ...), g>; its places are those of f's inputs and, last, that of g."""

    def __init__(self, function, shapes):
        self.function, self.shapes, self.output = function, shapes, len(shapes)

    def derivative(self, place, factors):
        """What the form is multiplied from in `place`, with `factors` in the others."""
        if place == self.output:
            with paddle.no_grad():
                return self.function(*(factors[i].detach() for i in range(self.output)))
        with paddle.enable_grad():
            inputs = []
            for i, shape in enumerate(self.shapes):
                x = paddle.zeros(shape, factors[self.output].dtype) if i == place else factors[i]
                inputs.append(x.detach())
                # All of them: some of Paddle's gradients crash where one input is a constant.
                inputs[-1].stop_gradient = False
            paddle.autograd.backward([self.function(*inputs)], [factors[self.output].detach()])
        return inputs[place].grad.detach()


def _derivative(form, place, factors):
    """`form.derivative`, followed by autograd; a factor that is a constant is not packed."""
    followed = {i: x for i, x in factors.items() if not x.stop_gradient}
    if not followed or not paddle.is_grad_enabled():
        return form.derivative(place, factors)
    fixed = {i: x for i, x in factors.items() if i not in followed}
    packing = Packing(followed)
    return _Derivative.apply(packing.pack(followed), _Factors(form, place, fixed, packing))


class _Factors:
    """What `_Derivative` has beside its input; not a tensor, so that PyLayer leaves it alone."""

    def __init__(self, form, place, fixed, packing):
        self.form, self.place, self.fixed, self.packing = form, place, fixed, packing


class _Derivative(PyLayer):
    """The factors that autograd follows, in one tensor, -> the form's derivative in a place.

    In one tensor, since a PyLayer may have one differentiable input only.
    """

    @staticmethod
    def forward(ctx, packed, factors):
        ctx.save_for_backward(packed)
        ctx.factors = factors
        followed = factors.packing.unpack(packed)
        return factors.form.derivative(factors.place, {**factors.fixed, **followed})

    @staticmethod
    def backward(ctx, u):
        factors, (packed,) = ctx.factors, ctx.saved_tensor()
        followed = factors.packing.unpack(packed)
        found = {}
        for i in followed:
            others = {**factors.fixed, **followed, factors.place: u}
            del others[i]
            found[i] = _derivative(factors.form, i, others)
        return factors.packing.pack(found)
