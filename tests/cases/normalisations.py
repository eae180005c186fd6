"""Normalisations."""

from __future__ import annotations

from .common import normal, paddle, positive

X = normal(4, 6)
IMAGES = normal(3, 4, 3, 2)
LAST = IMAGES.transpose(0, 2, 3, 1)
MEAN, VARIANCE = paddle.zeros([4], "float64"), paddle.ones([4], "float64")


def with_affine(x, size):
    return {"x": x, "w": positive(size, seed=1), "b": normal(size, seed=2)}


FUNCTIONS = {
    "F.layer_norm(x, 6)": {"x": X},
    "F.layer_norm(x, 6, w, b)": with_affine(X, 6),
    "F.layer_norm(x, [3, 2])": {"x": IMAGES},
    "F.batch_norm(x, MEAN, VARIANCE, w, b, training=True)": with_affine(IMAGES, 4),
    "F.batch_norm(x, MEAN, VARIANCE, w, b, training=True, data_format='NHWC')": with_affine(
        LAST, 4
    ),
    "F.instance_norm(x)": {"x": IMAGES},
    "F.instance_norm(x, weight=w, bias=b)": with_affine(IMAGES, 4),
    "F.rms_norm(x, 6)": {"x": X},
    "F.rms_norm(x, 6, w)": {"x": X, "w": positive(6, seed=1)},
    "F.local_response_norm(x, 3)": {"x": IMAGES},
    "F.normalize(x)": {"x": X},
    "F.dropout(x, 0.5)": {"x": X},
    "F.dropout(x, 0.5, axis=1)": {"x": X},
    "F.dropout(x, 0.5, mode='downscale_in_infer')": {"x": X},
    "F.dropout(x, 0.5, mode='downscale_in_infer', training=False)": {"x": X},
    "F.dropout2d(x, 0.5)": {"x": IMAGES},
    "F.alpha_dropout(x, 0.5)": {"x": X},
}
LAYERS = {
    ("nn.LayerNorm(6)", "x"): {"x": X},
    ("nn.GroupNorm(2, 4)", "x"): {"x": IMAGES},
    ("nn.GroupNorm(2, 4, data_format='NHWC')", "x"): {"x": LAST},
    ("nn.BatchNorm2D(4)", "x"): {"x": IMAGES},
    ("nn.BatchNorm1D(6)", "x"): {"x": X},
    ("nn.InstanceNorm1D(4)", "x"): {"x": normal(3, 4, 5)},
    ("nn.InstanceNorm2D(4)", "x"): {"x": IMAGES},
    ("nn.InstanceNorm3D(4)", "x"): {"x": normal(2, 4, 2, 2, 3)},
    ("nn.LocalResponseNorm(3)", "x"): {"x": IMAGES},
    ("nn.utils.weight_norm(nn.Linear(6, 3))", "x"): {"x": X},
}
ONLY_3 = {"F.rms_norm(x, 6)", "F.rms_norm(x, 6, w)"}
