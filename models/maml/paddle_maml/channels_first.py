"""Channels-last layers for Paddle Inference, which fails on them.

oneDNN, its default on the CPU, takes their channels for pixels; in 2.6.2 the pass that merges a
convolution with the batch norm behind it does as well.
"""

from __future__ import annotations

from paddle import nn

LAYOUTS = ("_data_format", "data_format", "_data_layout")  # the names that Paddle's layers use


def compute_channels_first(net: nn.Layer) -> None:
    """Have Paddle's channels-last layers below `net` compute channels-first.

    Parameters, inputs and outputs stay as they are.
    """
    replaced = {}  # a layer may stand in several places
    for parent in net.sublayers(include_self=True):
        for name, layer in list(parent._sub_layers.items()):
            if id(layer) not in replaced and _layout(layer):
                replaced[id(layer)] = ChannelsFirst(layer)
            if id(layer) in replaced:
                setattr(parent, name, replaced[id(layer)])


class ChannelsFirst(nn.Layer):
    """A channels-last layer, told to compute channels-first."""

    def __init__(self, layer: nn.Layer):
        super().__init__()
        name, layout = _layout(layer)
        setattr(layer, name, f"{layout[0]}C{layout[1:-1]}")
        if hasattr(layer, "_channel_dim"):
            layer._channel_dim = 1
        self.layer = layer

    def forward(self, x):
        """(example, ..., channel) -> the same."""
        inner = list(range(1, x.ndim - 1))
        y = self.layer(x.transpose([0, x.ndim - 1, *inner]))
        return y.transpose([0, *[place + 1 for place in inner], 1])


def _layout(layer) -> tuple[str, str] | None:
    """The name and value of the attribute by which a layer of Paddle's is channels-last."""
    if type(layer).__module__.startswith("paddle.nn."):
        for name in LAYOUTS:
            layout = getattr(layer, name, None)
            if layout in ("NLC", "NHWC", "NDHWC"):
                return name, layout
    return None
