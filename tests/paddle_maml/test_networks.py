"""The meta-gradient of networks of many kinds, by finite differences.

Where a network has ReLU or max-pooling its meta-loss jumps where a number passes a kink, as an
inner gradient does: the larger the network, the shorter the steps that meet none.
"""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from derivatives import slope
from mixed_derivatives import doubles
from networks.resnet12 import ResNet12
from paddle import nn
from paddle.nn import functional
from paddle.vision.models import mobilenet_v2, resnet18
from paddle_maml import MAML
from paddle_maml.functional import trainable


class Last(nn.Layer):
    """The class scores of a sequence, from what a recurrent layer puts out last."""

    def __init__(self, recurrent, width):
        super().__init__()
        self.recurrent, self.scores = recurrent, nn.Linear(width, 2)

    def forward(self, x):
        return self.scores(self.recurrent(x)[0][:, -1])


class Attending(nn.Layer):
    """A text classifier: words, a Transformer, and a decision from the largest features."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, activation="gelu")
        self.words, self.places = nn.Embedding(9, 4), nn.Embedding(7, 4)
        self.encoder, self.scores = nn.TransformerEncoder(layer, 2), nn.Linear(4, 2)

    def forward(self, x):
        features = self.words(x) + self.places(paddle.arange(x.shape[1]))
        return self.scores(self.encoder(features).max(1))


class DeepFM(nn.Layer):
    """Guo et al. (2017): a factorisation machine and an MLP on the same embedded features."""

    def __init__(self, features=12, fields=4, width=3):
        super().__init__()
        self.first, self.second = nn.Embedding(features, 1), nn.Embedding(features, width)
        deep = [nn.Linear(fields * width, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)]
        self.deep = nn.Sequential(*deep)

    def forward(self, x):
        v = self.second(x)
        pairs = 0.5 * (v.sum(1) ** 2 - (v**2).sum(1)).sum(-1, keepdim=True)
        return (self.first(x).sum(1) + pairs + self.deep(v.flatten(1))).squeeze(-1)


def clicks(scores, y):
    return functional.binary_cross_entropy_with_logits(scores, y.astype(scores.dtype))


def mobile():
    depthwise = nn.Conv2D(4, 4, 3, groups=4)
    pointwise = nn.Sequential(nn.Conv2D(4, 3, 1), nn.GroupNorm(3, 3), nn.Hardswish())
    return nn.Sequential(depthwise, pointwise, nn.MaxPool2D(2), nn.Flatten(), nn.Linear(12, 2))


def decoding():
    up = nn.Sequential(nn.Conv2DTranspose(4, 2, 2, stride=2), nn.InstanceNorm2D(2), nn.PReLU())
    down = nn.Sequential(nn.Upsample(size=[4, 4], mode="bilinear"), nn.PixelUnshuffle(2))
    return nn.Sequential(up, down, nn.Dropout(0.5), nn.Flatten(), nn.Linear(32, 2))


def numbers(*shape):
    return lambda rng: rng.normal(size=(1, 4, *shape))


def words(kinds, length):
    return lambda rng: rng.integers(0, kinds, (1, 4, length))


# The network, what draws four examples, the inner steps and rate, and the length of the difference.
NETWORKS = {
    "LSTM": (lambda: Last(nn.LSTM(4, 3), 3), numbers(3, 4), 2, 0.5, 1e-5),
    "GRU, both directions": (
        *(lambda: Last(nn.GRU(4, 2, direction="bidirect"), 4), numbers(3, 4)),
        *(2, 0.5, 1e-5),
    ),
    "LSTM of words": (
        *(lambda: nn.Sequential(nn.Embedding(9, 4), Last(nn.LSTM(4, 3, 2), 3)), words(9, 6)),
        *(2, 0.5, 1e-5),
    ),
    "Transformer": (Attending, words(9, 7), 2, 0.5, 1e-6),
    "DeepFM": (DeepFM, words(12, 4), 2, 0.5, 1e-6),
    "depthwise convolutions": (mobile, numbers(4, 6, 6), 2, 0.5, 1e-5),
    "transposed convolutions": (decoding, numbers(4, 6, 6), 2, 0.5, 1e-5),
    "ResNet-12": (
        *(lambda: ResNet12(2, 3, 32, (8, 12, 16, 20)), numbers(3, 32, 32)),
        *(1, 0.1, 1e-8),
    ),
    "Paddle's ResNet-18": (lambda: resnet18(num_classes=2), numbers(3, 64, 64), 1, 0.01, 1e-9),
    "Paddle's MobileNetV2": (
        *(lambda: mobilenet_v2(num_classes=2, scale=0.25), numbers(3, 96, 96)),
        *(1, 0.01, 1e-10),
    ),
}


@pytest.fixture(scope="module", params=NETWORKS)
def task(request):
    """The algorithm with its network, a task and the length of the difference, all in float64."""
    make, draw, steps, inner_lr, step = NETWORKS[request.param]
    with doubles():
        paddle.seed(0)
        rng = np.random.default_rng(0)
        loss = clicks if request.param == "DeepFM" else functional.cross_entropy
        maml = MAML(make(), inner_lr, steps, loss=loss)
        support_x, query_x = (paddle.to_tensor(draw(rng)) for _ in range(2))
        y = paddle.to_tensor([[0, 1, 0, 1]])
        return maml, (support_x, y, query_x, y), step


@doubles()
def test_meta_gradient(task):
    maml, sets, step = task
    theta = trainable(maml.net)
    start = [p.numpy() for p in theta]

    def loss(values):
        for p, value in zip(theta, values):
            p.set_value(value)
        paddle.seed(1)
        return maml(*sets)[0]

    loss(start).backward()
    gradients = [np.zeros(p.shape) if p.grad is None else p.grad.numpy() for p in theta]
    maml.clear_gradients()
    rng = np.random.default_rng(3)
    direction = [rng.normal(size=p.shape) for p in theta]
    along = sum((g * d).sum() for g, d in zip(gradients, direction))
    with paddle.no_grad():
        moved = lambda t: [p + t * d for p, d in zip(start, direction)]  # noqa: E731
        by_step = slope(lambda t: float(loss(moved(t))), 0.0, 1.0, step)
    loss(start)
    length = np.sqrt(sum((g**2).sum() for g in gradients))
    assert along == pytest.approx(by_step, rel=0, abs=1e-6 * length)


def test_a_check_agrees(task):
    maml, sets, _ = task
    found = maml.check(*(x[0] for x in sets))
    assert found.exact and found.error < 1e-5 and found.unreached == []
