"""How many operations a meta-step needs, and how long they take at the speed of matrix products.

    python benchmarks/operations.py [--json FILE]

`direct` counts the multiplications and additions of the convolutions without those with padding,
`in tiles` those that the compiled blocks make of them. The limit is the time for the latter on all
cores at the rate of Paddle's 1024x1024 matrix product on one. FILE is from benchmarks/meta_step.py:
the project's steps are then set against the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models/maml"))
from job import SETTINGS, Setting  # noqa: E402
from paddle_maml.batched.native.stages import NativeBlock, tile_products  # noqa: E402

# Convolutions of a hidden block's methods, and of a first block's, which has no gradient in x.
HIDDEN = {"forward": 1, "backward": 2, "tangent": 2, "curvature": 4}
FIRST = {"forward": 1, "backward": 1, "tangent": 1, "curvature": 1}
PASS = "forward", "backward"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="rows of meta_step.py")
    rows = json.loads(parser.parse_args().json.read_text()) if parser.parse_args().json else []
    measured = {(r["setting"], r["order"]): r["median_ms"] for r in rows if r["who"] == "project"}
    rate, cores = product_rate(), len(os.sched_getaffinity(0))
    print(f"Matrix products: {rate / 1e9:.0f} GFLOP/s on one of {cores} cores\n")
    print("| setting | order | GFLOP direct | in tiles | limit ms | measured ms | share |")
    print("|---|---|---|---|---|---|---|")
    for name, setting in SETTINGS.items():
        for order in (1, 2):
            direct, tiled = operations(setting, order)
            limit = 1e3 * tiled / rate / cores
            found = measured.get((name, order))
            against = f"{found:.0f} | {limit / found:.2f}" if found else "|"
            counts = f"{direct / 1e9:.1f} | {tiled / 1e9:.1f} | {limit:.0f}"
            print(f"| {name} | {order} | {counts} | {against} |")


def operations(setting: Setting, order: int) -> tuple[int, int]:
    """Multiplications and additions of a meta-step's convolutions: direct, and in tiles."""
    methods = [*HIDDEN] if order == 2 else [*PASS]
    support = of_methods(setting, setting.way * setting.shot, methods)
    query = of_methods(setting, setting.way * setting.query, PASS)
    return tuple(setting.tasks * (setting.inner_steps * s + q) for s, q in zip(support, query))


def of_methods(setting: Setting, images: int, methods) -> tuple[int, int]:
    """Of these methods of all blocks on so many images."""
    size, channels, direct, tiled = (setting.image_side,) * 2, setting.channels, 0, 0
    for layer in range(4):
        weight = setting.filters, channels, 3, 3
        stride = (1, 1) if setting.pool else (2, 2)
        block = NativeBlock(
            None, 1, images, size, weight, stride, (1, 1), setting.pool, layer > 0, 1e-5
        )
        times = sum((HIDDEN if layer else FIRST)[method] for method in methods)
        each = 2 * times * setting.filters * channels
        products, conv = len(block.tables[1]), block.shape.conv
        direct += each * products
        if layer and conv.tile:
            products = tile_products(images, (conv.out_height, conv.out_width), conv.tile)
        tiled += each * products
        size, channels = block.size, setting.filters
    return direct, tiled


def product_rate(side: int = 1024) -> float:
    """Multiplications and additions per second of Paddle's matrix product on one core."""
    import paddle

    a = paddle.rand([side, side])
    best = float("inf")
    for _ in range(20):
        begin = time.perf_counter()
        paddle.matmul(a, a)
        best = min(best, time.perf_counter() - begin)
    return 2 * side**3 / best


if __name__ == "__main__":
    main()
