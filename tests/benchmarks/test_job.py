"""benchmarks/job.py: the same parameters and tasks for everybody."""

from __future__ import annotations

import numpy as np
import pytest
from job import SETTINGS, Job, Setting, parameters, problem
from net import Conv4

TINY = Setting(tasks=4, filters=4, query=2)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_parameters_are_those_of_the_network(setting):
    net = Conv4(
        setting.way, setting.image_side, setting.channels, setting.filters, pool=setting.pool
    )
    shapes = [tuple(p.shape) for p in net.parameters() if not p.stop_gradient]
    assert [p.shape for p in parameters(setting, np.random.default_rng(0))] == shapes


def test_processes_share_the_tasks_and_nothing_else():
    whole, batch = problem(Job(TINY))
    shares = [problem(Job(TINY, processes=2, rank=rank)) for rank in range(2)]
    for theta, _ in shares:
        assert all(map(np.array_equal, theta, whole))
    joined = [np.concatenate(halves) for halves in zip(*(tasks for _, tasks in shares))]
    assert all(map(np.array_equal, joined, batch))
    assert [array.dtype for array in batch] == ["float32", "int64"] * 2


def test_what_is_given_is_what_is_used(tmp_path):
    theta, batch = problem(Job(TINY, dtype="float64"))
    np.savez(tmp_path / "given.npz", *(2 * p for p in theta), *batch)
    again, _ = problem(Job(TINY, dtype="float64", given=str(tmp_path / "given.npz")))
    assert all(np.array_equal(q, 2 * p) for p, q in zip(theta, again))
