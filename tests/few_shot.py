"""Few-shot tasks on vectors, and what the tests of several algorithms compare with."""

from __future__ import annotations

import numpy as np
import paddle

TASKS, WAY, SHOT, QUERY, LONG, WIDTH = 3, 3, 2, 4, 5, 4


def arrays(seed: int = 0) -> tuple:
    """support_x, support_y, query_x, query_y in numpy, float64, the classes in another order."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(TASKS, WAY * n, LONG)) for n in (SHOT, QUERY)]
    y = [
        np.stack([rng.permutation(np.repeat(np.arange(WAY), n)) for _ in range(TASKS)])
        for n in (SHOT, QUERY)
    ]
    return x[0], y[0], x[1], y[1]


def tensors(seed: int = 0) -> list:
    return [paddle.to_tensor(a) for a in arrays(seed)]


def embedding() -> paddle.nn.Layer:
    """A linear one, of which numpy knows as much."""
    paddle.seed(0)
    return paddle.nn.Linear(LONG, WIDTH, bias_attr=False).to(dtype="float64")


def log_softmax(logits) -> np.ndarray:
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def cross_entropy(logits, labels) -> float:
    """Mean over all examples."""
    return -np.take_along_axis(log_softmax(logits), labels[..., None], -1).mean()


def assert_gradient(parameter, loss, step: float = 1e-6) -> None:
    """Hold the gradient that `parameter` has to differences of `loss`, a function of its values."""
    point, found = parameter.numpy(), parameter.grad.numpy()
    expected = np.zeros_like(point)
    for place in np.ndindex(point.shape):
        moved = np.zeros_like(point)
        moved[place] = step
        expected[place] = (loss(point + moved) - loss(point - moved)) / (2 * step)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
