"""A network as a pure function of its parameters."""

from __future__ import annotations

from contextlib import contextmanager

import paddle

from .replacement import TURN


def trainable(net: paddle.nn.Layer) -> list[paddle.Tensor]:
    """The parameters that MAML adapts and meta-trains, each once, in `net.parameters()` order.

    Paddle keeps batch-norm statistics among the parameters; like everything frozen they carry
    `stop_gradient=True` and are left out.
    """
    return [p for p in net.parameters() if not p.stop_gradient]


def trainable_places(net: paddle.nn.Layer) -> list[int]:
    """The places of the trainable parameters in `net.parameters()`, which freezing leaves alone."""
    return [place for place, p in enumerate(net.parameters()) if not p.stop_gradient]


def leaf(parameter) -> paddle.Tensor:
    """A copy that autograd takes for an input."""
    copy = parameter.detach().clone()
    copy.stop_gradient = False
    return copy


def gradient_step(parameters, gradients, rates) -> list[paddle.Tensor]:
    """theta' = theta - rate * gradient (the paper's equation 1), as new tensors.

    `rates` holds a number or a tensor for each parameter. A parameter that the loss does not reach
    (gradient None) stays as it is.
    """
    return [p if g is None else p - r * g for p, g, r in zip(parameters, gradients, rates)]


def linear(value, parameters, gradients):
    """`value`, with these gradients in the parameters instead of its own; None stands for zero.

    It is nan where an entry of a gradient is not finite: 0 times that is nan.
    """
    value = value.detach()
    for p, g in zip(parameters, gradients):
        if g is not None:
            value = value + (g * (p - p.detach())).sum()
    return value


def nan_unless_finite(values):
    """0 for each task all of whose numbers are finite, else nan: (task,).

    To be added to what was made of `values`, a list of tensors (task, ...): Paddle's ReLU makes 0
    of nan on the CPU, and its max-pooling passes it over, so that it may not show in the end.
    """
    return sum((x * 0).reshape([x.shape[0], -1]).sum(-1) for x in values)


@contextmanager
def parameters_as(net: paddle.nn.Layer, parameters: list, values: list):
    """Run `net` with `values` in place of `parameters`; a shared parameter changes everywhere.

    Buffers may be among the parameters.

    Nothing is copied and autograd sees `values` themselves. The net has its own parameters back
    when the block ends, however it ends.
    """
    with TURN:
        slots = _slots(net, {id(p): v for p, v in zip(parameters, values)})
        try:
            for owner, key, _, value in slots:
                owner[key] = value
            yield net
        finally:
            for owner, key, p, _ in slots:
                owner[key] = p


def _slots(net, value_of):
    """Where the net keeps the parameters whose `id` has a value: owner, key, parameter, value."""
    # Paddle has no public way to call a layer with other parameters than its own.
    layers = net.sublayers(include_self=True)
    slots = [
        (owner, name, p)
        for layer in layers
        for owner in (layer._parameters, layer._buffers)
        for name, p in owner.items()
    ]
    # Recurrent layers keep a second list of their weights, the one they compute with.
    slots += [
        (layer._all_weights, place, p)
        for layer in layers
        if isinstance(getattr(layer, "_all_weights", None), list)
        for place, p in enumerate(layer._all_weights)
    ]
    return [(*slot, value_of[id(slot[2])]) for slot in slots if id(slot[2]) in value_of]
