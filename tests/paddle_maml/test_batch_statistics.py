"""Batch norm by fixed statistics and by the batch at hand; learners as layers of their own."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle_maml import MAML
from paddle_maml.batch_statistics import (
    fix_statistics,
    normalisation,
    use_batch_at_hand,
    use_running_statistics,
)

NORMS = {
    "1d": (lambda: nn.BatchNorm1D(3), [4, 3]),
    "1d over positions, channels last": (lambda: nn.BatchNorm1D(3, data_format="NLC"), [4, 5, 3]),
    "2d": (lambda: nn.BatchNorm2D(3, epsilon=0.1), [4, 3, 2, 5]),
    "2d, channels last": (lambda: nn.BatchNorm2D(3, data_format="NHWC"), [4, 2, 5, 3]),
    "3d": (lambda: nn.BatchNorm3D(3), [4, 3, 2, 2, 2]),
    "without scale and shift": (
        lambda: nn.BatchNorm2D(3, weight_attr=False, bias_attr=False),
        [4, 3, 2, 5],
    ),
    "the old layer": (lambda: nn.BatchNorm(3, act="relu"), [4, 3, 2, 5]),
}


def randomised(norm):
    for parameter in (norm.weight, norm.bias):
        if parameter is not None:
            parameter.set_value(paddle.randn(parameter.shape))
    return norm


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("prepare", [fix_statistics, lambda net, x: use_batch_at_hand(net)])
def test_evaluation_mode_gives_what_training_mode_gives_for_that_batch(kind, prepare):
    make, shape = NORMS[kind]
    net = nn.Sequential(randomised(make()))
    x = 2 * paddle.randn(shape) + 1
    expected = net(x).numpy()  # training mode, Paddle's own kernel
    prepare(net, x)
    net.eval()
    np.testing.assert_allclose(net(x).numpy(), expected, atol=1e-5)


def network():
    paddle.seed(0)
    return nn.Sequential(
        nn.Conv2D(1, 4, 3), randomised(nn.BatchNorm2D(4)), nn.ReLU(), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(4 * 36, 8), randomised(nn.BatchNorm1D(8)), nn.Linear(8, 2),
    )  # fmt: skip


@pytest.fixture
def learner():
    """Adapted to a task, and that task's images."""
    net = network()
    net.eval()
    x, y = paddle.randn([6, 1, 8, 8]), paddle.to_tensor([0, 1, 0, 1, 0, 1])
    return MAML(net, inner_lr=0.5).adapt(x, y, steps=3), x


def test_without_support_images_a_standalone_layer_answers_as_its_learner(learner):
    learner, _ = learner
    layer = learner.standalone()
    for images in (1, 7):
        x = paddle.randn([images, 1, 8, 8])
        np.testing.assert_allclose(layer(x).numpy(), learner(x).numpy(), atol=1e-5)


def test_with_support_images_it_answers_as_its_learner_on_them_and_each_image_for_itself(learner):
    learner, support_x = learner
    layer = learner.standalone(support_x)
    together = layer(support_x).numpy()
    np.testing.assert_allclose(together, learner(support_x).numpy(), atol=1e-5)
    alone = np.concatenate([layer(image.unsqueeze(0)).numpy() for image in support_x])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_standalone_layer_shares_nothing_with_the_net(learner):
    learner, support_x = learner
    before = {name: value.numpy() for name, value in learner.net.state_dict().items()}
    layer = learner.standalone(support_x)
    for parameter in layer.parameters():
        parameter.set_value(paddle.zeros(parameter.shape))
    after = learner.net.state_dict()
    assert all(np.array_equal(value, after[name].numpy()) for name, value in before.items())


def test_dropout_of_a_net_in_training_mode_does_not_reach_the_statistics():
    maml = MAML(network(), inner_lr=0.1)
    x, y = paddle.randn([4, 1, 8, 8]), paddle.to_tensor([0, 1, 0, 1])
    learner = maml.adapt(x, y, steps=0)
    assert learner.net.training
    first, second = learner.standalone(x), learner.standalone(x)
    np.testing.assert_array_equal(first(x).numpy(), second(x).numpy())
    assert learner.net.training


def test_a_batch_norm_that_stands_in_two_places_goes_by_the_batch_in_both():
    norm = randomised(nn.BatchNorm1D(3))
    net = nn.Sequential(nn.Linear(3, 3), norm, nn.Linear(3, 3), norm, nn.Linear(3, 2))
    x, y = paddle.randn([6, 3]), paddle.to_tensor([0, 1, 0, 1, 0, 1])
    learner = MAML(net, inner_lr=0.1).adapt(x, y)
    np.testing.assert_allclose(learner.standalone()(x).numpy(), learner(x).numpy(), atol=1e-5)


def test_a_batch_norm_told_never_to_use_its_statistics_uses_the_fixed_ones():
    net = nn.Sequential(nn.BatchNorm1D(3, use_global_stats=False), nn.Linear(3, 2))
    x, y = paddle.randn([4, 3]), paddle.to_tensor([0, 1, 0, 1])
    layer = MAML(net, inner_lr=0.1).adapt(x, y).standalone(x)
    np.testing.assert_allclose(layer(x[:1]).numpy(), layer(x).numpy()[:1], atol=1e-6)


def test_how_a_network_normalises_is_told():
    def net():
        return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1D(3))

    fixed, at_hand, running = net(), net(), net()
    fix_statistics(fixed, paddle.randn([4, 3]))
    use_batch_at_hand(at_hand)
    use_running_statistics(running)
    assert normalisation(fixed) == "fixed to the support images"
    assert normalisation(at_hand) == "the batch at hand"
    assert normalisation(running) == "the running statistics of the training"
    assert normalisation(net()) == "the running statistics of the training"
    assert normalisation(nn.Linear(3, 3)) == "none"
