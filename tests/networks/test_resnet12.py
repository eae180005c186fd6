"""ResNet-12; its meta-gradient is in paddle_maml/test_networks.py."""

from __future__ import annotations

import paddle
import pytest
from networks.resnet12 import ResNet12
from paddle_maml.errors import UserError


def test_the_blocks_have_the_papers_size():
    """12.4 million numbers: per block 9 wide_in wide + 18 wide^2 + wide_in wide + 8 wide."""
    parameters = ResNet12(n_way=5).blocks.parameters()
    assert sum(p.size for p in parameters if not p.stop_gradient) == 12424320


@pytest.mark.parametrize(("side", "channels", "way"), [(16, 1, 5), (28, 1, 20), (84, 3, 2)])
def test_any_image_of_16_pixels_or_more(side, channels, way):
    net = ResNet12(way, channels, side, widths=(2, 3, 4, 5))
    assert net(paddle.zeros([3, channels, side, side])).shape == [3, way]


def test_a_small_image_is_refused():
    with pytest.raises(UserError, match="imgsize is 15"):
        ResNet12(5, 1, 15)


def test_a_block_adds_its_input_to_its_convolutions():
    """With scales of 0 behind the convolutions, only the normalised shortcut is left."""
    paddle.seed(0)
    block = ResNet12(5, 2, 16, widths=(3, 3, 3, 3)).blocks[0]
    for layer in (block.body[4][1], block.shortcut[1]):
        layer.weight.set_value(paddle.zeros([3]))
    block.shortcut[1].bias.set_value(paddle.to_tensor([1.0, -1.0, 0.0]))
    y = block(paddle.randn([2, 2, 4, 4]))
    expected = paddle.to_tensor([1.0, -0.1, 0.0]).reshape([1, 3, 1, 1]).expand([2, 3, 2, 2])
    assert paddle.allclose(y, expected)
