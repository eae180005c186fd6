"""Running a layer without leaving a trace."""

from __future__ import annotations

import random
from contextlib import contextmanager

import numpy as np
import paddle

from .functional import parameters_as


@contextmanager
def dry_run(layer: paddle.nn.Layer, dtype: str | None = None, seed: int = 0):
    """Run `layer` on copies of its parameters and buffers, from random states seeded by `seed`.

    Those that hold floating point numbers are `dtype` for the time of the block, and so is what
    Paddle makes by itself; their own type if not given. When the block ends, the layer and those
    below it have their own parameters, buffers and attributes again, and Python, numpy and Paddle
    draw the random numbers that they would have drawn.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml.dry_run import dry_run
    >>> layer = paddle.nn.Linear(2, 1, bias_attr=False)
    >>> with dry_run(layer, "float64"):
    ...     layer.weight.set_value(paddle.zeros([2, 1]))
    >>> layer.weight.dtype == paddle.float32, bool((layer.weight == 0).any())
    (True, False)
    """
    layers = layer.sublayers(include_self=True)
    owners = [own for each in layers for own in (vars(each), each._parameters, each._buffers)]
    before, default = [dict(own) for own in owners], paddle.get_default_dtype()
    held = [x for x in (*layer.parameters(), *layer.buffers()) if _has_values(x)]
    copies = [_copy(x, dtype) for x in held]
    try:
        with random_states_kept(), parameters_as(layer, held, copies):
            paddle.set_default_dtype(dtype or default)
            random.seed(seed)
            np.random.seed(seed)
            paddle.seed(seed)
            yield
    finally:
        paddle.set_default_dtype(default)
        for own, contents in zip(owners, before):
            own.clear()
            own.update(contents)


@contextmanager
def random_states_kept():
    """Undo, when the block ends, what was drawn of the random numbers of Python, numpy, Paddle."""
    pythons, numpys = random.getstate(), np.random.get_state()
    devices = dict.fromkeys(("cpu", paddle.get_device()))
    paddles = {device: paddle.get_rng_state(device) for device in devices}
    try:
        yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)
        for device, state in paddles.items():
            paddle.set_device(device)  # in 2.6.2 set_rng_state fails where it is given one
            paddle.set_rng_state(state)


def floating(x, dtype: str | None):
    """`x` in `dtype` if it holds floating point numbers."""
    return x.astype(dtype) if dtype and paddle.is_floating_point(x) else x


def _has_values(x) -> bool:
    """Paddle's recurrent layers have a buffer that nothing was ever put into."""
    return x._is_initialized()


def _copy(x, dtype):
    copy = floating(x.detach(), dtype).clone()
    copy.stop_gradient = x.stop_gradient
    return copy


def upcoming() -> tuple:
    """The next random numbers of Python, numpy and Paddle; none of them is drawn."""
    with random_states_kept():
        return random.random(), np.random.random(), *paddle.rand([2]).tolist()
