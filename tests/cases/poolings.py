"""Pooling."""

from __future__ import annotations

from .common import normal

SIGNALS = {"x": normal(2, 3, 9)}
IMAGES = {"x": normal(2, 3, 7, 6)}
VOLUMES = {"x": normal(1, 2, 5, 4, 5)}

FUNCTIONS = {
    "F.max_pool1d(x, 2)": SIGNALS,
    "F.max_pool1d(x, 3, 1, 1)": SIGNALS,
    "F.max_pool1d(x, 2, ceil_mode=True)": SIGNALS,
    "F.max_pool1d(x, 2, return_mask=True)[0]": SIGNALS,
    "F.max_pool2d(x, 2)": IMAGES,
    "F.max_pool2d(x, 3, 1)": IMAGES,
    "F.max_pool2d(x, 3, 2, 1)": IMAGES,
    "F.max_pool2d(x, 3, 2, [0, 1, 1, 0])": IMAGES,
    "F.max_pool2d(x, 2, 2, 'SAME')": IMAGES,
    "F.max_pool2d(x, 2, 2, 'VALID')": IMAGES,
    "F.max_pool2d(x, 2, ceil_mode=True)": IMAGES,
    "F.max_pool2d(x, 3, 2, 1, ceil_mode=True)": IMAGES,
    "F.max_pool2d(x, [3, 2], [2, 1])": IMAGES,
    "F.max_pool2d(x, 2, return_mask=True)[0]": IMAGES,
    "F.max_pool2d(x, 2, ceil_mode=True, return_mask=True)[0]": IMAGES,
    "F.max_pool2d(x, 2, data_format='NHWC')": IMAGES,
    "F.max_pool3d(x, 2)": VOLUMES,
    "F.max_pool3d(x, 2, 1, 1)": VOLUMES,
    "F.max_pool3d(x, 2, ceil_mode=True)": VOLUMES,
    "F.max_pool3d(x, 2, 2, 'SAME')": VOLUMES,
    "F.max_pool3d(x, 2, return_mask=True)[0]": VOLUMES,
    "F.max_pool3d(x, 2, data_format='NDHWC')": VOLUMES,
    "F.adaptive_max_pool1d(x, 4)": SIGNALS,
    "F.adaptive_max_pool2d(x, 2)": IMAGES,
    "F.adaptive_max_pool2d(x, [3, 4])": IMAGES,
    "F.adaptive_max_pool3d(x, 2)": VOLUMES,
    "F.avg_pool1d(x, 2)": SIGNALS,
    "F.avg_pool2d(x, 2)": IMAGES,
    "F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)": IMAGES,
    "F.avg_pool2d(x, 3, 2, 1, exclusive=False)": IMAGES,
    "F.avg_pool3d(x, 2)": VOLUMES,
    "F.adaptive_avg_pool1d(x, 4)": SIGNALS,
    "F.adaptive_avg_pool2d(x, 1)": IMAGES,
    "F.adaptive_avg_pool2d(x, [3, 4])": IMAGES,
    "F.adaptive_avg_pool3d(x, 2)": VOLUMES,
    "F.lp_pool2d(x, 3.0, 2)": {"x": abs(IMAGES["x"])},
    "F.max_unpool2d(*F.max_pool2d(x, 2, return_mask=True), 2)": {"x": normal(2, 3, 6, 6)},
}
ONLY_3 = {
    "F.lp_pool2d(x, 3.0, 2)",
    # 2.6 ignores ceil_mode beside return_mask.
    "F.max_pool2d(x, 2, ceil_mode=True, return_mask=True)[0]",
}
