"""The pretrained baselines against closed forms in numpy."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from few_shot import (
    TASKS,
    WAY,
    WIDTH,
    arrays,
    assert_gradient,
    cross_entropy,
    embedding,
    tensors,
)
from paddle_maml import FineTune, NearestNeighbor

CLASSES = 9
NUMBERS = np.array([[4, 0, 7], [1, 8, 4], [2, 3, 5]])  # of each task's classes


@pytest.mark.parametrize("kind", [FineTune, NearestNeighbor])
def test_pretraining_tells_all_training_classes_apart(kind):
    net = embedding()
    options = {"inner_lr": 0.1} if kind is FineTune else {}
    model = kind(net, WIDTH, CLASSES, **options).to(dtype="float64")
    loss, logits = model(*tensors(), paddle.to_tensor(NUMBERS))
    loss.backward()
    support_x, support_y, query_x, query_y = arrays()
    x = np.concatenate([support_x, query_x], 1)
    labels = np.stack(
        [NUMBERS[t][np.concatenate([support_y[t], query_y[t]])] for t in range(TASKS)]
    )
    head, bias = model.head.weight.numpy(), model.head.bias.numpy()

    def expected(weight):
        return cross_entropy(x @ weight @ head + bias, labels)

    np.testing.assert_allclose(float(loss), expected(net.weight.numpy()), rtol=1e-9)
    assert_gradient(net.weight, expected)
    for task, numbers in enumerate(NUMBERS):
        of_queries = query_x[task] @ net.weight.numpy() @ head + bias
        np.testing.assert_allclose(logits[task].numpy(), of_queries[:, numbers], rtol=1e-9)


def test_the_nearest_support_example_gives_its_class():
    net = embedding()
    weight = net.weight.numpy()
    model = NearestNeighbor(net, WIDTH, CLASSES)
    for support_x, support_y, query_x, _ in zip(*arrays()):
        classify = model.adapt(paddle.to_tensor(support_x), paddle.to_tensor(support_y))
        logits = classify(paddle.to_tensor(query_x)).numpy()
        for x, found in zip(query_x, logits):
            squares = (((support_x - x) @ weight) ** 2).sum(1)
            assert found.argmax() == support_y[squares.argmin()]
            nearest = [squares[support_y == c].min() for c in range(WAY)]
            np.testing.assert_allclose(found, np.negative(nearest), rtol=1e-9)


def fine_tuned(weight, support_x, support_y, inner_lr, steps):
    """The weights of embedding and head after gradient steps that are derived by hand.

    With features F = X W and logits F V + b, dL/dlogits = (p - onehot) / n = D, hence dL/dV = F' D,
    dL/db = 1' D and dL/dW = X' D V'.
    """
    head, bias = np.zeros((WIDTH, WAY)), np.zeros(WAY)
    for _ in range(steps):
        features = support_x @ weight
        odds = np.exp(features @ head + bias)
        d = (odds / odds.sum(1, keepdims=True) - np.eye(WAY)[support_y]) / len(support_y)
        step = support_x.T @ d @ head.T, features.T @ d, d.sum(0)
        weight, head, bias = (p - inner_lr * g for p, g in zip((weight, head, bias), step))
    return weight, head, bias


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_fine_tuning_by_hand(steps):
    net = embedding()
    model = FineTune(net, WIDTH, CLASSES, inner_lr=0.7).to(dtype="float64")
    support_x, support_y, query_x, _ = arrays()
    found = model.path_logits(*tensors()[:3], steps).numpy()
    assert len(found) == steps + 1
    for task in range(TASKS):
        for step in range(steps + 1):
            weight, head, bias = fine_tuned(
                net.weight.numpy(), support_x[task], support_y[task], 0.7, step
            )
            expected = query_x[task] @ weight @ head + bias
            np.testing.assert_allclose(found[step, task], expected, rtol=1e-9, atol=1e-12)
