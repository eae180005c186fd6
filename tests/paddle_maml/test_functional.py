"""A net with other parameters."""

from __future__ import annotations

import paddle
import pytest
from paddle import nn
from paddle_maml.functional import parameters_as, trainable


def test_statistics_and_frozen_parameters_are_not_trainable():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1D(3))
    net[0].bias.stop_gradient = True
    assert [p.shape for p in trainable(net)] == [[2, 3], [3], [3]]


def test_the_values_are_used_and_the_own_parameters_come_back():
    net = nn.Sequential(nn.Linear(2, 1), nn.Sequential(nn.Linear(1, 1)))
    own = trainable(net)
    values = [paddle.full(p.shape, 2.0) for p in own]
    x = paddle.ones([1, 2])
    before = net(x).item()
    with parameters_as(net, own, values):
        assert net(x).item() == (2 + 2 + 2) * 2 + 2
    assert net(x).item() == before
    assert all(a is b for a, b in zip(trainable(net), own))


def test_the_own_parameters_come_back_after_an_error():
    net = nn.Linear(2, 1)
    weight = net.weight
    with pytest.raises(ZeroDivisionError), parameters_as(net, [weight], [weight * 2]):
        assert net.weight is not weight
        raise ZeroDivisionError
    assert net.weight is weight
