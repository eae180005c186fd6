"""Resampling of signals, images and volumes."""

from __future__ import annotations

from .common import normal

SIGNALS = {"x": normal(2, 3, 5)}
IMAGES = {"x": normal(2, 3, 4, 5)}
VOLUMES = {"x": normal(1, 2, 3, 2, 3)}
THETA = normal(2, 2, 3)
GRID = 0.7 * normal(2, 3, 3, 2).clip(-1, 1)

FUNCTIONS = {
    "F.interpolate(x, scale_factor=2)": IMAGES,
    "F.interpolate(x, [3, 7])": IMAGES,
    "F.interpolate(x, [6, 7], mode='bilinear')": IMAGES,
    "F.interpolate(x, scale_factor=2, mode='bilinear')": IMAGES,
    "F.interpolate(x, [6, 7], mode='bilinear', align_corners=True)": IMAGES,
    "F.interpolate(x, [6, 7], mode='bilinear', data_format='NHWC')": IMAGES,
    "F.interpolate(x, [6, 7], mode='bicubic')": IMAGES,
    "F.interpolate(x, [6, 7], mode='area')": IMAGES,
    "F.interpolate(x, [7], mode='linear', data_format='NCW')": SIGNALS,
    "F.interpolate(x, [4, 3, 5], mode='trilinear', data_format='NCDHW')": VOLUMES,
    "F.interpolate(x, [4, 3, 5], data_format='NCDHW')": VOLUMES,
    "F.upsample(x, scale_factor=2)": IMAGES,
    "F.affine_grid(t, [2, 3, 3, 4])": {"t": THETA},
    "F.grid_sample(x, paddle.to_tensor(GRID))": IMAGES,
    "F.grid_sample(x, g)": {**IMAGES, "g": GRID},
}
IMPOSSIBLE = {
    "F.grid_sample(x, g)",
}
