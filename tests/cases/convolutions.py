"""Convolutions."""

from __future__ import annotations

from .common import normal

IMAGES = normal(2, 4, 6, 5)
LAST = IMAGES.transpose(0, 2, 3, 1)


def of(*filters, x=IMAGES, bias=None):
    inputs = {"x": x, "w": normal(*filters, seed=1)}
    return {**inputs, "b": normal(bias, seed=2)} if bias else inputs


FUNCTIONS = {
    "F.conv2d(x, w)": of(3, 4, 3, 3),
    "F.conv2d(x, w, b, padding=1)": of(3, 4, 3, 3, bias=3),
    "F.conv2d(x, w, stride=2, padding='SAME')": of(3, 4, 3, 3),
    "F.conv2d(x, w, dilation=2)": of(3, 4, 2, 2),
    "F.conv2d(x, w, b, data_format='NHWC')": of(3, 4, 3, 3, x=LAST, bias=3),
    "F.conv2d(x, w, groups=2)": of(6, 2, 3, 3),
    "F.conv2d(x, w, groups=2, data_format='NHWC')": of(6, 2, 3, 3, x=LAST),
    "F.conv2d(x, w, groups=4)": of(4, 1, 3, 3),
    "F.conv2d(x, w, b, groups=4, stride=2, padding=1)": of(8, 1, 3, 3, bias=8),
    "F.conv2d(x, w, groups=4, data_format='NHWC')": of(4, 1, 3, 3, x=LAST),
    "F.conv1d(x, w)": of(3, 4, 3, x=normal(2, 4, 6)),
    "F.conv1d(x, w, b, padding=1, data_format='NLC')": of(3, 4, 3, x=normal(2, 6, 4), bias=3),
    "F.conv1d(x, w, groups=2)": of(6, 2, 3, x=normal(2, 4, 6)),
    "F.conv1d(x, w, groups=4)": of(4, 1, 3, x=normal(2, 4, 6)),
    "F.conv3d(x, w)": of(3, 2, 2, 2, 2, x=normal(1, 2, 3, 4, 3)),
    "F.conv3d(x, w, b, padding=1, stride=2)": of(3, 2, 2, 2, 2, x=normal(1, 2, 3, 4, 3), bias=3),
    "F.conv3d(x, w, groups=2)": of(4, 1, 2, 2, 2, x=normal(1, 2, 3, 4, 3)),
    "F.conv2d_transpose(x, w)": of(4, 3, 3, 3),
    "F.conv2d_transpose(x, w, b, stride=2, padding=1, output_padding=1)": of(4, 3, 3, 3, bias=3),
    "F.conv2d_transpose(x, w, groups=2)": of(4, 3, 2, 2),
    "F.conv2d_transpose(x, w, groups=4)": of(4, 1, 2, 2),
    "F.conv2d_transpose(x, w, data_format='NHWC')": of(4, 3, 3, 3, x=LAST),
    "F.conv1d_transpose(x, w)": of(4, 3, 3, x=normal(2, 4, 5)),
    "F.conv3d_transpose(x, w, stride=2)": of(2, 3, 2, 2, 2, x=normal(1, 2, 2, 3, 2)),
}
LAYERS = {
    ("nn.Conv2D(4, 4, 3, groups=4)", "x"): {"x": IMAGES},
    ("nn.Conv2DTranspose(4, 3, 3)", "x"): {"x": IMAGES},
}
