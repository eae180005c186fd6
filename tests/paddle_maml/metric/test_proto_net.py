"""Prototypical networks against their equations in numpy."""

from __future__ import annotations

import numpy as np
from few_shot import WAY, arrays, assert_gradient, cross_entropy, embedding, tensors
from paddle_maml import ProtoNet


def logits(weight) -> np.ndarray:
    tasks = []
    for support_x, support_y, query_x, _ in zip(*arrays()):
        means = [(support_x[support_y == c] @ weight).mean(0) for c in range(WAY)]
        tasks.append([[-((x @ weight - m) ** 2).sum() for m in means] for x in query_x])
    return np.array(tasks)


def test_logits_are_minus_the_squared_distances_to_the_prototypes():
    net = embedding()
    _, found = ProtoNet(net)(*tensors())
    np.testing.assert_allclose(found.numpy(), logits(net.weight.numpy()), rtol=1e-9)


def test_loss_and_gradient():
    net, query_y = embedding(), arrays()[3]
    loss, _ = ProtoNet(net)(*tensors())
    loss.backward()
    expected = cross_entropy(logits(net.weight.numpy()), query_y)
    np.testing.assert_allclose(float(loss), expected, rtol=1e-9)
    assert_gradient(net.weight, lambda w: cross_entropy(logits(w), query_y))
