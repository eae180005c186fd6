"""Adapted networks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
import pytest
from paddle import _C_ops, nn
from paddle_maml import MAML

CALLS = 200


@pytest.fixture
def net():
    paddle.seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1D(16), nn.ReLU(), nn.Linear(16, 3))


def test_learners_of_one_net_answer_in_several_threads(net, busy_threads):
    maml, x = MAML(net, 0.5), paddle.randn([9, 8])
    learners = [maml.adapt(x, paddle.full([9], label, "int64"), steps=20) for label in range(3)]
    asks = [lambda a=learner: a(x).numpy() for learner in learners]
    asks += [lambda a=learner: a.standalone(x)(x).numpy() for learner in learners]
    expected = [ask() for ask in asks]
    state, operator = [p.numpy() for p in net.parameters()], _C_ops.batch_norm
    with ThreadPoolExecutor(len(asks)) as pool:
        found = pool.map(lambda number: asks[number % len(asks)](), range(CALLS))
        for number, answer in enumerate(found):
            np.testing.assert_allclose(answer, expected[number % len(asks)], atol=1e-4)
    assert _C_ops.batch_norm is operator
    for before, p in zip(state, net.parameters()):
        np.testing.assert_array_equal(p.numpy(), before)


def test_the_first_outputs_of_a_learner_whose_net_is_frozen(net):
    x = paddle.randn([6, 8])
    learner = MAML(net, 0.5).adapt(x, paddle.arange(6) % 2, steps=3)
    expected = learner(x)[:, :2].numpy()
    net[0].weight.stop_gradient = True
    first = learner.first(2)
    np.testing.assert_array_equal(first(x).numpy(), expected)
    np.testing.assert_allclose(first.standalone(x)(x).numpy(), expected, atol=1e-5)
