"""Batches read ahead: what goes wrong there reaches the user, and processes share a reader."""

from __future__ import annotations

import json

import pytest
from tools.conftest import run_tool
from utils.loader import BatchesInTurn

MISTAKE = "line 9 of data/file has no label: add it."
STREAM = "IterableDataset):\n    def __iter__(self):\n        yield from map(sample, range(24))\n"
ITEMS = """Dataset):
    def __len__(self):
        return 24
    def __getitem__(self, index):
        return sample(index)
"""
USERS = "raise Mistake(9, 'has no label: add it.')"


@pytest.fixture
def train(random_model, tmp_path):
    """train(kind, what, *overrides): train in batches of 2; at sample 9 the reader does `what`."""

    def run(kind, what, *overrides):
        (random_model / "reader.py").write_text(f"""
import numpy as np
from paddle.io import Dataset, IterableDataset
class Mistake(Exception):
    exit_code = 2
    def __init__(self, line, what):  # cannot be pickled
        super().__init__(f"line {{line}} of data/file {{what}}")
def sample(number):
    width = 2
    if number == 9:
        {what}
    return [np.ones(width, "float32")]
class RecDataset({kind}    def __init__(self, files, config):
        pass
""")
        settings = ["runner.epochs=1", "runner.print_interval=1", *overrides]
        return run_tool("trainer", tmp_path, *settings, config=random_model / "config.yaml")

    return run


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", [STREAM, ITEMS])
def test_a_mistake_amid_the_data_is_told_of_where_it_lies(train, tmp_path, kind, workers):
    done = train(kind, USERS, f"runner.num_workers={workers}")
    assert done.stderr == f"trainer.py: {MISTAKE}\n"
    assert done.returncode == 2
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("what", "told"),
    [("number / 0", "ZeroDivisionError: division by zero"), ("width = 3", "ValueError")],
)
def test_an_error_amid_the_data_ends_the_training(train, workers, what, told):
    done = train(STREAM, what, f"runner.num_workers={workers}")
    assert told in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("rank", range(3))
def test_no_process_takes_a_batch_before_there_is_one_for_each(monkeypatch, rank):
    monkeypatch.setattr("utils.loader.get_rank", lambda: rank)
    shared = [sample for sample in BatchesInTurn(range(15), batch_size=2, ranks=3)]
    assert shared == [2 * rank, 2 * rank + 1, 6 + 2 * rank, 6 + 2 * rank + 1]
