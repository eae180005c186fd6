"""Whether what was saved of an optimizer can be what it keeps for a network's parameters."""

from __future__ import annotations

import math

import paddle


def check_state(state: dict, model: paddle.nn.Layer) -> None:
    """Raise ValueError where Paddle would fail at the next step, or begin anew in silence.

    For every parameter that it has changed, an optimizer keeps the same tensors under names that
    begin with the parameter's: like it, as moments are, or of one number, as powers of their decay
    are. Of a schedule it keeps the place and the rate.
    """
    parameters = {p.name: p for p in model.parameters()}
    kept = _by_kind(state, parameters)
    if len({frozenset(tensors) for tensors in kept.values()}) > 1:
        raise ValueError("it does not keep the same for every parameter")
    for kind, tensors in kept.items():
        pairs = [(tensor, parameters[name]) for name, tensor in tensors.items()]
        if not (_are_tensors(tensors) and (_are_numbers(tensors) or _are_like(pairs))):
            raise ValueError(f"what it keeps as {kind} is not of the network's parameters")
    schedule = state.get("LR_Scheduler", {})
    for name in {"last_epoch", "last_lr"} & {*schedule}:
        if type(schedule[name]) not in (int, float) or not math.isfinite(schedule[name]):
            raise ValueError(f"the schedule's {name} is no number")


def _by_kind(state: dict, parameters: dict) -> dict[str, dict]:
    """What is kept, by the end of its name and by the parameter that its name begins with."""
    kinds: dict[str, dict] = {}
    for key, value in state.items():
        owners = [name for name in parameters if str(key).startswith(f"{name}_")]
        if owners:
            owner = max(owners, key=len)
            kinds.setdefault(key[len(owner) :], {})[owner] = value
    return kinds


def _are_tensors(tensors: dict) -> bool:
    return all(isinstance(tensor, paddle.Tensor) for tensor in tensors.values())


def _are_numbers(tensors: dict) -> bool:
    shapes, types = zip(*((list(tensor.shape), tensor.dtype) for tensor in tensors.values()))
    return all(shape == [1] for shape in shapes) and len({*types}) == 1


def _are_like(pairs: list) -> bool:
    """Whether each has its parameter's shape, all with the same axes before it if any."""
    before = [list(kept.shape[: kept.ndim - parameter.ndim]) for kept, parameter in pairs]
    return all(
        list(kept.shape) == [*before[0], *parameter.shape]
        and kept.dtype in (parameter.dtype, paddle.float32)
        for kept, parameter in pairs
    )
