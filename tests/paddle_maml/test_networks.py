"""The meta-gradient of networks of many kinds, by finite differences."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from derivatives import slope
from mixed_derivatives import doubles
from paddle import nn
from paddle_maml import MAML
from paddle_maml.functional import trainable

RNG = np.random.default_rng(0)
WORDS = RNG.integers(0, 6, (1, 4, 3))
VECTORS = RNG.normal(size=(1, 4, 3, 4))
IMAGES = RNG.normal(size=(1, 4, 4, 6, 6))


class Last(nn.Layer):
    """The class scores of a sequence, from what a recurrent layer puts out last."""

    def __init__(self, recurrent, width):
        super().__init__()
        self.recurrent, self.scores = recurrent, nn.Linear(width, 2)

    def forward(self, x):
        return self.scores(self.recurrent(x)[0][:, -1])


class Attending(nn.Layer):
    def __init__(self):
        super().__init__()
        self.words, self.scores = nn.Embedding(6, 4), nn.Linear(4, 2)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, activation="gelu")

    def forward(self, x):
        return self.scores(self.encoder(self.words(x)).max(1))


def mobile():
    depthwise = nn.Conv2D(4, 4, 3, groups=4)
    pointwise = nn.Sequential(nn.Conv2D(4, 3, 1), nn.GroupNorm(3, 3), nn.Hardswish())
    return nn.Sequential(depthwise, pointwise, nn.MaxPool2D(2), nn.Flatten(), nn.Linear(12, 2))


def decoding():
    up = nn.Sequential(nn.Conv2DTranspose(4, 2, 2, stride=2), nn.InstanceNorm2D(2), nn.PReLU())
    down = nn.Sequential(nn.Upsample(size=[4, 4], mode="bilinear"), nn.PixelUnshuffle(2))
    return nn.Sequential(up, down, nn.Dropout(0.5), nn.Flatten(), nn.Linear(32, 2))


NETWORKS = {
    "LSTM": (lambda: Last(nn.LSTM(4, 3), 3), VECTORS),
    "GRU, both directions": (lambda: Last(nn.GRU(4, 2, direction="bidirect"), 4), VECTORS),
    "transformer": (Attending, WORDS),
    "depthwise convolutions": (mobile, IMAGES),
    "transposed convolutions": (decoding, IMAGES),
}


@pytest.mark.parametrize("name", NETWORKS)
@doubles()
def test_meta_gradient(name):
    make, x = NETWORKS[name]
    paddle.seed(0)
    maml = MAML(make(), inner_lr=0.5, inner_steps=2)
    x, y = paddle.to_tensor(x), paddle.to_tensor([[0, 1, 0, 1]])
    theta = trainable(maml.net)
    start = [p.numpy() for p in theta]

    def loss(values):
        for p, value in zip(theta, values):
            p.set_value(value)
        paddle.seed(1)
        return maml(x, y, x, y)[0]

    loss(start).backward()
    gradients = [np.zeros(p.shape) if p.grad is None else p.grad.numpy() for p in theta]
    direction = [RNG.normal(size=p.shape) for p in theta]
    along = sum((g * d).sum() for g, d in zip(gradients, direction))
    by_step = slope(lambda t: float(loss([p + t * d for p, d in zip(start, direction)])), 0.0, 1.0)
    assert along == pytest.approx(by_step, rel=1e-6)
