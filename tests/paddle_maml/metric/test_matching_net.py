"""Matching networks against their equations in numpy."""

from __future__ import annotations

import numpy as np
import paddle
from few_shot import WAY, arrays, assert_gradient, cross_entropy, embedding, tensors
from paddle_maml import MatchingNet


def cosine(a, b) -> float:
    return a @ b / np.sqrt((a @ a) * (b @ b))


def probabilities(weight) -> np.ndarray:
    tasks = []
    for support_x, support_y, query_x, _ in zip(*arrays()):
        rows = []
        for x in query_x:
            odds = np.exp([cosine(x @ weight, s @ weight) for s in support_x])
            rows.append([odds[support_y == c].sum() / odds.sum() for c in range(WAY)])
        tasks.append(rows)
    return np.array(tasks)


def test_logits_are_the_logarithms_of_the_attention_to_a_class():
    net = embedding()
    _, found = MatchingNet(net)(*tensors())
    expected = probabilities(net.weight.numpy())
    np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-9)


def test_loss_and_gradient():
    net, query_y = embedding(), arrays()[3]

    def expected(weight):
        return cross_entropy(np.log(probabilities(weight)), query_y)

    loss, _ = MatchingNet(net)(*tensors())
    loss.backward()
    np.testing.assert_allclose(float(loss), expected(net.weight.numpy()), rtol=1e-9)
    assert_gradient(net.weight, expected)


def test_an_embedding_at_zero_attends_to_all_alike_and_has_a_finite_gradient():
    support_x = paddle.eye(2, dtype="float64")
    query_x = paddle.zeros([1, 2], "float64")
    query_x.stop_gradient = False
    classify = MatchingNet(paddle.nn.Identity())
    loss, logits = classify(
        support_x.unsqueeze(0),
        paddle.to_tensor([[0, 1]]),
        query_x.unsqueeze(0),
        paddle.to_tensor([[0]]),
    )
    loss.backward()
    np.testing.assert_allclose(logits.exp().numpy(), [[[0.5, 0.5]]], rtol=1e-9)
    # d cos_i = s_i . dx for what stands in for x / |x| there, so d loss = -(s_0 - s_1) / 2 . dx.
    np.testing.assert_allclose(query_x.grad.numpy(), [[-0.5, 0.5]], rtol=1e-9)
