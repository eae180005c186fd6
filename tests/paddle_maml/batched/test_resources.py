"""The share of the machine that the tasks computed together take."""

from __future__ import annotations

import os

import paddle
import pytest
from paddle_maml.batched import resources

CPU = paddle.zeros([1], "float32").place


@pytest.fixture
def machine(monkeypatch):
    """Sets the cores that the process may use and the machine's memory."""

    def of(cores, memory):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        monkeypatch.setattr(resources, "_whole", lambda: memory)

    monkeypatch.delenv("PADDLE_TRAINERS_NUM", raising=False)
    return of


def test_memory_grows_with_the_cores_up_to_an_eighth(machine):
    machine(4, 2**40)
    assert resources.memory(CPU) == 4 * resources.CORE
    machine(4, 2**32)
    assert resources.memory(CPU) == 2**29


def test_processes_share_the_cores(machine, monkeypatch):
    machine(6, 2**40)
    for processes, share in (("1", 6), ("2", 3), ("4", 1), ("9", 1)):
        monkeypatch.setenv("PADDLE_TRAINERS_NUM", processes)
        assert resources.cores() == share


def test_the_machine_has_memory():
    assert resources._whole() > 2**28
