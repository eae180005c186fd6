"""ResNet-12, the larger network of the few-shot literature: `network: networks.resnet12.ResNet12`.

As Lee et al. (2019, "Meta-learning with differentiable convex optimization", arXiv:1904.03758) have
it, without their DropBlock.
"""

from __future__ import annotations

from paddle import nn
from paddle.nn import functional
from paddle_maml.errors import UserError


class ResNet12(nn.Layer):
    """Four residual blocks, the features averaged over the image, and a linear classifier.

    Parameters
    ----------
    n_way : int
        Classes to tell apart.
    channels : int
        1 for grey images, 3 for colour.
    imgsize : int
        Height and width of the images in pixels, 16 or more.
    widths : sequence of int
        Channels of each block; with 64, 160, 320, 640 the blocks have 12.4 million parameters.

    Raises
    ------
    UserError
        If the images are too small.

    Examples
    --------
    >>> import paddle
    >>> from networks.resnet12 import ResNet12
    >>> net = ResNet12(n_way=5, channels=1, imgsize=28, widths=(4, 8, 8, 8))
    >>> list(net(paddle.zeros([2, 1, 28, 28])).shape)
    [2, 5]
    """

    def __init__(
        self, n_way: int, channels: int = 3, imgsize: int = 84, widths=(64, 160, 320, 640)
    ):
        super().__init__()
        if imgsize < 16:
            raise UserError(f"imgsize is {imgsize}: the poolings of ResNet-12 need 16 or more.")
        ins = (channels, *widths)
        self.blocks = nn.Sequential(*(Block(*pair) for pair in zip(ins, widths)))
        self.classifier = nn.Linear(widths[-1], n_way)

    def forward(self, x):
        """(images, channels, imgsize, imgsize) -> logits (images, n_way)."""
        return self.classifier(self.blocks(x).mean([2, 3]))


class Block(nn.Layer):
    """Three 3x3 convolutions beside a 1x1 one, each with batch norm, then 2x2 max-pooling."""

    def __init__(self, wide_in: int, wide_out: int):
        super().__init__()
        self.body = nn.Sequential(
            *(convolution(wide_in, wide_out, 3), nn.LeakyReLU(0.1)),
            *(convolution(wide_out, wide_out, 3), nn.LeakyReLU(0.1)),
            convolution(wide_out, wide_out, 3),
        )
        self.shortcut = convolution(wide_in, wide_out, 1)
        self.pool = nn.MaxPool2D(2)

    def forward(self, x):
        y = self.body(x) + self.shortcut(x)
        return self.pool(functional.leaky_relu(y, 0.1))


def convolution(wide_in: int, wide_out: int, side: int) -> nn.Layer:
    """A convolution of odd `side` that keeps the image's size, and batch norm."""
    return nn.Sequential(
        nn.Conv2D(wide_in, wide_out, side, padding=side // 2, bias_attr=False),
        nn.BatchNorm2D(wide_out),
    )
