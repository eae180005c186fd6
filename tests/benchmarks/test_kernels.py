"""What a meta-step asks of a GPU."""

from __future__ import annotations

import paddle
import pytest
from kernels import gpu_types, kernels, meta_step
from low_precision import emulated_products


@pytest.mark.parametrize("pool", [True, False])
def test_as_many_kernels_for_one_task_as_for_many(pool):
    found = kernels(1, pool)
    assert found["matmul_v2"][2] > 100  # float32
    assert kernels(5, pool) == found


@pytest.mark.parametrize("pool", [True, False])
def test_mixed_precision_makes_many_products_in_float16(pool):
    single, mixed = kernels(2, pool), kernels(2, pool, amp=True)
    half, rest = mixed["matmul_v2"][0], mixed["matmul_v2"][2]
    assert half > 50
    assert half + rest == single["matmul_v2"][2]
    assert kernels(5, pool, amp=True) == mixed


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("pool", [True, False])
def test_the_host_never_waits_for_a_number(monkeypatch, pool, amp):
    step = meta_step(3, pool, amp)
    with emulated_products():
        step()
        for name in ("numpy", "item", "tolist", "__float__", "__int__", "__bool__"):
            monkeypatch.setattr(paddle.Tensor, name, lambda *_: pytest.fail("the host has to wait"))
        step()


def test_the_types_of_gpu_kernels_are_told_from_paddles_list():
    rest = "data_layout[Undefined(AnyLayout)]; place[Place({})]; library_type[PLAIN]"
    listed = [
        f"data_type[{kind}]; {rest.format(place)}"
        for kind, place in (
            ("float", "gpu:0"),
            ("::paddle::platform::bfloat16", "gpu:0"),
            ("int64_t", "cpu"),
        )
    ]
    assert gpu_types(listed) == ["float32", "bfloat16"]
