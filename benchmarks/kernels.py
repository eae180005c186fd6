"""The kernels of a meta-step, how often each runs, and whether a GPU has them.

    python benchmarks/kernels.py

With paddlepaddle-gpu installed, which needs no GPU for this, the table says for which types Paddle
has registered a GPU kernel; the exit code is 1 if one lacks a type that it ran with. With the CPU
package it only counts. The kernels are those of a GPU, Paddle's own, not the compiled ones. In
mixed precision the products in float16, which the CPU lacks, are emulated, and counted as such.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import paddle

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models/maml"))
from low_precision import emulated_products  # noqa: E402
from net import Conv4  # noqa: E402
from paddle_maml import MAML  # noqa: E402

TASKS = 1, 8, 32
TYPES = {"float32": "float", "float16": "float16", "bfloat16": "bfloat16", "int64": "int64_t"}
# Types by the place of their count in Paddle's statistics: float16, bfloat16, float32, other.
COUNTED = ("float16", "bfloat16", "float32", "int64")
PRODUCTS = (
    *("bmm", "bmm_grad", "matmul_v2", "matmul_v2_grad", "matmul_v2_grad_grad"),
    *("conv2d", "conv2d_grad", "conv2d_double_grad", "conv3d", "conv3d_grad", "conv3d_grad_grad"),
)


def main():
    os.environ["PADDLE_MAML_KERNELS"] = "paddle"
    lacking = []
    for pool, amp in ((True, False), (True, True), (False, False), (False, True)):
        counts = {tasks: kernels(tasks, pool, amp) for tasks in TASKS}
        kind = f"Conv4 {'pooled' if pool else 'strided'}, {'mixed precision' if amp else 'float32'}"
        print(f"\n{kind}, second order, 1 inner step:")
        for tasks, found in counts.items():
            print(f"{tasks} tasks: {sum(sum(by_type) for by_type in found.values())} kernels")
        lacking += report(counts[TASKS[-1]])
    print("\nThe products of other networks in mixed precision, and their derivatives:")
    lacking += report({name: [1, 0, 0, 0] for name in PRODUCTS})
    sys.exit(bool(lacking))


def kernels(tasks: int, pool: bool, amp: bool = False) -> dict[str, list[int]]:
    """How often each kernel runs in a meta-step of so many tasks, by type as in `COUNTED`."""
    step, products = meta_step(tasks, pool, amp), []
    with emulated_products(lambda *product: products.append(product)):
        step()  # makes what is made once
        products.clear()
        paddle.set_flags({"FLAGS_low_precision_op_list": 1})
        paddle.base.core.clear_low_precision_op_list()
        step()
    found = paddle.base.core.get_low_precision_op_list()
    paddle.set_flags({"FLAGS_low_precision_op_list": 0})
    found = {name: [int(count) for count in text.split(",")] for name, text in found.items()}
    return _without_emulation(found, products.count(("matmul", "float16")))


def _without_emulation(found, products):
    """The kernels that a GPU runs where these ran, with so many emulated products."""
    if products:
        half, single = COUNTED.index("float16"), COUNTED.index("float32")
        cast = "cast" if "cast" in found else "transfer_dtype"  # Paddle 2.6 counts it as that
        for name, kind, more in (
            ("matmul_v2", half, products),
            ("matmul_v2", single, -products),
            (cast, half, -2 * products),
            (cast, single, -products),
        ):
            found[name][kind] += more
    return found


def meta_step(tasks: int, pool: bool, amp: bool = False, way: int = 5):
    """A function that makes one meta-step of 5-way 1-shot tasks with 2 queries per class."""
    maml = MAML(Conv4(way, filters=8, pool=pool), inner_lr=0.4, task_chunk=tasks, amp=amp)
    optimizer = paddle.optimizer.Adam(0.001, parameters=maml.parameters())
    sets = []
    for images in (1, 2):
        sets.append(paddle.rand([tasks, way * images, 1, 28, 28]))
        labels = np.tile(np.repeat(np.arange(way), images), (tasks, 1))
        sets.append(paddle.to_tensor(labels))

    def step():
        optimizer.clear_grad()
        loss, _ = maml(*sets)
        loss.backward()
        optimizer.step()

    return step


def report(found: dict[str, list[int]]) -> list[str]:
    """Print a table; returns the kernels that lack a type that they ran with."""
    registered = paddle.base.core._get_all_register_op_kernels("phi")
    lacking = []
    print("\n| kernel | calls | types | on a GPU |\n|---|---|---|---|")
    for name, by_type in sorted(found.items()):
        used = [kind for kind, count in zip(COUNTED, by_type) if count]
        gpu = gpu_types(registered.get(name.rstrip("_"), registered.get(name, [])))
        print(f"| {name} | {sum(by_type)} | {', '.join(used)} | {', '.join(gpu)} |")
        lacking += [name] if not {*used} <= {*gpu} else []
    return lacking if paddle.is_compiled_with_cuda() else []


def gpu_types(kernels: list[str]) -> list[str]:
    """The types, of those in `TYPES`, of the GPU kernels among `kernels`."""
    on_gpu = [k.split("data_type[")[1].split("]")[0] for k in kernels if "gpu" in k.lower()]
    names = {name.rpartition("::")[2] for name in on_gpu}
    return [kind for kind, name in TYPES.items() if name in names]


if __name__ == "__main__":
    main()
