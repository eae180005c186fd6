"""benchmarks/operations.py: counts against loops over outputs and taps."""

from __future__ import annotations

import pytest
from job import Setting
from operations import operations


def meeting(side: int, stride: int) -> tuple[int, int]:
    """Pairs of output and tap inside the image along one axis, and outputs."""
    outputs = (side - 1) // stride + 1
    inside = sum(0 <= o * stride + tap - 1 < side for o in range(outputs) for tap in range(3))
    return inside, outputs


def convolutions(setting: Setting) -> list[int]:
    """Multiplications and additions of each block's convolution of one image."""
    side, channels, found = setting.image_side, setting.channels, []
    for _ in range(4):
        inside, outputs = meeting(side, 1 if setting.pool else 2)
        found.append(2 * inside**2 * channels * setting.filters)
        side, channels = outputs // 2 if setting.pool else outputs, setting.filters
    return found


@pytest.mark.parametrize("pool", [True, False])
def test_direct_operations(pool):
    setting = Setting(tasks=2, way=3, shot=2, query=5, inner_steps=4, filters=16, pool=pool)
    first, *rest = convolutions(setting)
    passes = 15 * (2 * first + 3 * sum(rest))  # of the queries: forward, and back to both
    steps = {1: 6 * (2 * first + 3 * sum(rest)), 2: 6 * (4 * first + 9 * sum(rest))}
    for order in (1, 2):
        assert operations(setting, order)[0] == 2 * (passes + 4 * steps[order])


def test_tiles_need_fewer_and_strides_have_none():
    direct, tiled = operations(Setting(filters=16), 2)
    assert direct / 3 < tiled < direct / 2
    direct, tiled = operations(Setting(filters=16, pool=False), 2)
    assert direct == tiled
