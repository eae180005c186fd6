"""The random numbers of Python, numpy and Paddle: seeded together, saved and restored as JSON."""

from __future__ import annotations

import random

import numpy as np
import paddle


def seed(number: int) -> None:
    """Seed all three."""
    paddle.seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)


def host_state() -> dict:
    """What Python and numpy will draw next, which is what readers draw from."""
    numpy = np.random.get_state(legacy=False)
    numpy["state"]["key"] = numpy["state"]["key"].tolist()
    return {"python": random.getstate(), "numpy": numpy}


def set_host_state(state: dict) -> None:
    """Undo what was drawn since `host_state`."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    numpy = dict(state["numpy"], state=dict(state["numpy"]["state"]))
    numpy["state"]["key"] = np.array(numpy["state"]["key"], np.uint32)
    if not 0 <= numpy["state"]["pos"] <= len(numpy["state"]["key"]):
        raise ValueError("numpy before 2.5 would read whatever lies there in memory")
    np.random.set_state(numpy)


def paddle_state() -> list:
    """What Paddle will draw next, per device.

    Paddle 2.6 tells the seed of the CPU's generator but not how far it has come.
    """
    return [generator.__getstate__() for generator in paddle.get_rng_state()]


def set_paddle_state(state: list) -> None:
    """Undo what was drawn since `paddle_state`."""
    kind = type(paddle.get_rng_state()[0])
    generators = [kind.__new__(kind) for _ in state]
    for generator, value in zip(generators, state):
        generator.__setstate__(tuple(value))
    paddle.set_rng_state(generators)
