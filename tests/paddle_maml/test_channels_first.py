"""Channels-last layers that compute channels-first."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle_maml.channels_first import ChannelsFirst, compute_channels_first

LAST = {"data_format": "NHWC"}
STACKS = {
    "2d": (
        lambda: nn.Sequential(
            nn.Conv2D(2, 4, 3, padding=1, stride=2, **LAST),
            nn.BatchNorm2D(4, **LAST),
            nn.ReLU(),
            nn.MaxPool2D(2, **LAST),
            nn.AvgPool2D(2, **LAST),
            nn.Conv2DTranspose(4, 3, 3, **LAST),
        ),
        [3, 16, 14, 2],
    ),
    "padded": (lambda: nn.Sequential(nn.Conv2D(2, 4, 3, padding="SAME", **LAST)), [3, 8, 7, 2]),
    "reflected": (
        lambda: nn.Sequential(nn.Conv2D(2, 4, 3, padding=1, padding_mode="reflect", **LAST)),
        [3, 8, 7, 2],
    ),
    "1d": (
        lambda: nn.Sequential(
            nn.Conv1D(2, 4, 3, data_format="NLC"), nn.BatchNorm1D(4, data_format="NLC")
        ),
        [3, 8, 2],
    ),
    "3d": (
        lambda: nn.Sequential(
            nn.Conv3D(2, 4, 3, data_format="NDHWC"), nn.BatchNorm3D(4, data_format="NDHWC")
        ),
        [3, 6, 5, 4, 2],
    ),
    "old batch norm": (lambda: nn.Sequential(nn.BatchNorm(2, data_layout="NHWC")), [3, 4, 5, 2]),
}


@pytest.mark.parametrize("kind", STACKS)
def test_values_stay_as_they_are(kind):
    paddle.seed(0)
    create, shape = STACKS[kind]
    net, x = create(), paddle.randn(shape)
    net(x)  # other running statistics than at the start
    net.eval()
    expected, layers = net(x).numpy(), len(net)
    compute_channels_first(net)
    assert sum(isinstance(layer, ChannelsFirst) for layer in net) == layers - (kind == "2d")
    np.testing.assert_allclose(net(x).numpy(), expected, atol=1e-6)


def test_a_layer_in_several_places_is_told_once():
    convolution = nn.Conv2D(2, 2, 3, padding=1, **LAST)
    net = nn.Sequential(convolution, nn.Sequential(nn.ReLU(), convolution))
    x = paddle.randn([3, 4, 5, 2])
    expected = net(x).numpy()
    compute_channels_first(net)
    assert net[0] is net[1][1]
    np.testing.assert_allclose(net(x).numpy(), expected, atol=1e-6)


def test_layers_of_vectors_and_channels_first_ones_are_left_alone():
    net = nn.Sequential(nn.Conv2D(2, 3, 3), nn.BatchNorm2D(3), nn.BatchNorm1D(4, data_format="NC"))
    compute_channels_first(net)
    assert not any(isinstance(layer, ChannelsFirst) for layer in net)
