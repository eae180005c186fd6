"""The base learners."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from net import MLP, Conv4


@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize(("side", "channels", "way"), [(28, 1, 5), (84, 3, 20), (17, 3, 2)])
def test_conv4_takes_any_image(pool, side, channels, way):
    net = Conv4(way, side, channels, filters=4, pool=pool)
    assert net(paddle.zeros([2, channels, side, side])).shape == [2, way]


def test_conv4_has_the_papers_size():
    """64 filters: 9 * 64 + 3 * 9 * 64^2 weights, 8 * 64 for batch norm, 64 * 5 + 5 to classify."""
    trainable = [p for p in Conv4(5).parameters() if not p.stop_gradient]
    assert sum(p.size for p in trainable) == 576 + 3 * 36864 + 512 + 325


@pytest.mark.parametrize("pool", [True, False])
def test_without_classes_conv4_gives_what_its_classifier_takes(pool):
    net, embedding = (Conv4(way, 32, 2, 4, pool, channels_last=False) for way in (3, None))
    embedding.set_state_dict(net.state_dict())
    x = paddle.randn([5, 2, 32, 32])
    features = embedding(x)
    assert features.shape == [5, embedding.width]
    np.testing.assert_allclose(net.classifier(features).numpy(), net(x).numpy(), atol=1e-5)


def test_without_outputs_mlp_gives_what_its_last_layer_takes():
    net, embedding = (MLP(6, outputs, (5, 4)) for outputs in (3, None))
    embedding.set_state_dict(net.state_dict())
    x = paddle.randn([7, 6])
    features = embedding(x)
    assert features.shape == [7, embedding.width]
    np.testing.assert_allclose(net.layers[-1](features).numpy(), net(x).numpy(), atol=1e-5)


def test_conv4_of_a_small_image_is_refused():
    with pytest.raises(ValueError, match="at least 16"):
        Conv4(5, image_side=15)


@pytest.mark.parametrize("pool", [True, False])
def test_both_layouts_have_the_same_parameters_and_outputs(pool):
    first, last = (Conv4(3, 20, 2, 4, pool, channels_last=last) for last in (False, True))
    last.set_state_dict(first.state_dict())
    x = paddle.randn([2, 2, 20, 20])
    np.testing.assert_allclose(first(x).numpy(), last(x).numpy(), atol=1e-5)


def test_strided_conv4_is_a_stack_of_convolutions():
    net = Conv4(3, 16, 2, filters=4, pool=False)
    net.eval()
    x = paddle.randn([2, 2, 16, 16])
    y = x
    for layer in net.blocks:
        if isinstance(layer, paddle.nn.Conv2D):
            y = paddle.nn.functional.conv2d(y, layer.weight, stride=2, padding=1)
        elif isinstance(layer, paddle.nn.BatchNorm2D):
            scale = layer.weight / paddle.sqrt(layer._variance + 1e-5)
            y = y * scale.reshape([1, -1, 1, 1]) + layer.bias.reshape([1, -1, 1, 1])
        else:
            y = layer(y)
    np.testing.assert_allclose(net(x).numpy(), net.classifier(y.mean([2, 3])).numpy(), atol=1e-5)


def test_mlp_is_the_papers_no_conv_network():
    trainable = [p for p in MLP(784, 5).parameters() if not p.stop_gradient]
    weights = [p.shape for p in trainable if p.ndim == 2]
    assert weights == [[784, 256], [256, 128], [128, 64], [64, 64], [64, 5]]
    assert MLP(784, 5)(paddle.zeros([2, 1, 28, 28])).shape == [2, 5]


def test_mlp_without_batch_norm_has_biases():
    assert [p.shape for p in MLP(1, 1, (40, 40), batch_norm=False).parameters()] == [
        [1, 40], [40], [40, 40], [40], [40, 1], [1],
    ]  # fmt: skip
