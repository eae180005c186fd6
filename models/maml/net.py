"""The paper's base learners (Finn et al., 2017, section 5.2 and appendix A.1)."""

from __future__ import annotations

from own_network import create_own
from paddle import nn


class Conv4(nn.Layer):
    """Four blocks of 3x3 convolution, batch norm and ReLU, then a linear classifier.

    The convolutions have no bias: batch norm would subtract it again.

    Parameters
    ----------
    way : int, optional
        Classes to tell apart: the length of the output. If not given there is no classifier, and
        the output are the features, `width` numbers.
    image_side : int
        Height and width of the images in pixels, any number that leaves a pixel after four blocks
        (16 or more when pooled).
    channels : int
        1 for grey images, 3 for colour.
    filters : int
        Filters per block: 64 for Omniglot, 32 for miniImageNet.
    pool : bool
        True: stride 1 and 2x2 max-pooling after each block, the features flattened.
        False: stride 2, the features averaged over the image (the paper's Omniglot network).
    channels_last : bool, optional
        In which order to compute; the parameters and results are the same. If not given, the one
        in which the inner loop is faster: last with strides, first with pooling.

    Examples
    --------
    >>> import paddle
    >>> from net import Conv4
    >>> list(Conv4(way=5)(paddle.zeros([2, 1, 28, 28])).shape)
    [2, 5]
    """

    def __init__(
        self,
        way: int | None = None,
        image_side: int = 28,
        channels: int = 1,
        filters: int = 64,
        pool: bool = True,
        channels_last: bool | None = None,
    ):
        super().__init__()
        if pool and image_side < 16:
            raise ValueError(f"image_side is {image_side}: four 2x2 poolings need at least 16.")
        self.pool = pool
        self.channels_last = not pool if channels_last is None else channels_last
        layout = "NHWC" if self.channels_last else "NCHW"
        blocks = []
        for block in range(4):
            blocks += [
                nn.Conv2D(
                    filters if block else channels,
                    filters,
                    kernel_size=3,
                    stride=1 if pool else 2,
                    padding=1,
                    bias_attr=False,
                    data_format=layout,
                ),
                nn.BatchNorm2D(filters, data_format=layout),
                nn.ReLU(),
            ]
            if pool:
                blocks.append(nn.MaxPool2D(2, data_format=layout))
        self.blocks = nn.Sequential(*blocks)
        self.width = filters * (image_side // 16) ** 2 if pool else filters
        self.features = [nn.Flatten()] if pool else [nn.AdaptiveAvgPool2D(1), nn.Flatten()]
        self.classifier = nn.Identity() if way is None else nn.Linear(self.width, way)

    def in_turn(self) -> list[nn.Layer]:
        """What `forward` amounts to on channels-first images; lets MAML compute tasks together."""
        return [*self.blocks, *self.features, self.classifier]

    def forward(self, x):
        """(images, channels, side, side) -> logits (images, way), or features (images, width)."""
        x = self.blocks(x.transpose([0, 2, 3, 1]) if self.channels_last else x)
        if not self.pool:
            return self.classifier(x.mean([1, 2] if self.channels_last else [2, 3]))
        # The classifier takes features in the order of channels, whatever the order of computing.
        return self.classifier((x.transpose([0, 3, 1, 2]) if self.channels_last else x).flatten(1))


class MLP(nn.Layer):
    """Linear layers with ReLU between them; with batch norm, the paper's "no conv" network.

    Parameters
    ----------
    inputs : int
        Numbers per example going in (after flattening).
    outputs : int or None
        Numbers coming out. None: the last hidden layer's, `width` features.
    hidden : sequence of int
        Units per hidden layer: 256, 128, 64, 64 for Omniglot; 40, 40 for the sinusoid.
    batch_norm : bool
        Whether batch norm precedes each ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int | None, hidden=(256, 128, 64, 64), batch_norm=True
    ):
        super().__init__()
        layers = []
        for wide_in, wide_out in zip((inputs, *hidden), hidden):
            layers.append(nn.Linear(wide_in, wide_out, bias_attr=None if not batch_norm else False))
            layers += [nn.BatchNorm1D(wide_out)] if batch_norm else []
            layers.append(nn.ReLU())
        self.width = hidden[-1]
        if outputs is not None:
            layers.append(nn.Linear(self.width, outputs))
        self.layers = nn.Sequential(*layers)

    def in_turn(self) -> list[nn.Layer]:
        """What `forward` applies to flat examples; lets MAML compute tasks together."""
        return list(self.layers)

    def forward(self, x):
        """(examples, ...) -> (examples, outputs or width)."""
        return self.layers(x.flatten(1))


def create_net(setting, directory: str | None = None) -> nn.Layer:
    """The network that the hyper-parameters name; see `paddle_maml.settings.Settings`.

    `directory` is where one of the user's own may lie, beside the model directory.

    It ends with a classifier unless the algorithm makes do with features, and then computes with
    Paddle's own convolutions, which are faster with channels first.
    """
    if setting.own_network:
        return create_own(setting, directory)
    way = None if setting.embeds else setting.n_way
    if setting.loss == "mse":  # one number of one; the oracle is told two more
        return MLP(3 if setting.oracle else 1, 1, setting.hidden, batch_norm=False)
    if setting.network == "mlp":
        return MLP(setting.channels * setting.imgsize**2, way, setting.hidden)
    return Conv4(
        way,
        setting.imgsize,
        setting.channels,
        filters=setting.bn_channel,
        pool=setting.conv_stride == 1,
        channels_last=False if setting.embeds else None,
    )
