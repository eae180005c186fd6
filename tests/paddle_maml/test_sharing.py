"""Who draws which tasks; with real readers and workers in tests/test_omniglot_reader.py."""

from __future__ import annotations

import paddle
import pytest
from paddle_maml.sharing import meta_batch, share


@pytest.mark.parametrize(("fleet", "tasks"), [(False, 8), (True, 24), ("False", 24)])
def test_only_with_fleet_is_the_batch_that_of_each_process(monkeypatch, fleet, tasks):
    """PaddleRec leaves an -o of an absent key as text, and so takes "False" for true."""
    monkeypatch.setattr(paddle.distributed, "get_world_size", lambda: 3)
    assert meta_batch({"runner.train_batch_size": 8, "runner.use_fleet": fleet}) == tasks
    assert meta_batch({"runner.train_batch_size": 8}) == 8


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_each_task_falls_to_one_process(ranks):
    shares = [list(share(24, batch=8, ranks=ranks, rank=rank)) for rank in range(ranks)]
    assert sorted(sum(shares, [])) == list(range(24))
    for start in range(0, 24, 8):  # every meta-step takes the same tasks, however many share them
        step = slice(start // ranks, (start + 8) // ranks)
        assert sorted(i for own in shares for i in own[step]) == list(range(start, start + 8))
