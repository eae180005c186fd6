"""What a training leaves beside its checkpoints, for going on and for the report."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from fuzzing.conftest import fuzzed
from fuzzing.guard import judged
from fuzzing.mutations import altered, mutated
from hypothesis import given
from hypothesis import strategies as st
from utils import history, splits
from utils.history import HISTORY, RUN, History
from utils.report.record import META_TEST, read_run

CONFIG = {"hyper_parameters.n_way": 5, "runner.seed": 1, "model_dir": "x"}
CLASSES = {"train": ["a", "b"], "valid": ["c"], "test": ["d"]}
SUMMARY = {"measure": "accuracy", "accuracy_per_step": [0.2, 0.5], "ci95_per_step": [0.1, 0.1]}
OF_JSON = [b"[", b"{", b'"', b"\n", b"1e999", b"9" * 5000, b"-1", b"null", b"NaN", b"[" * 100_000]


LINE = {"epoch": 0, "step": 1, "seconds": 0.5, "values": {"loss": 0.5, "acc": 0.5}}
RECORDS = {
    RUN: [{"command": ["trainer.py"], "started": "2026-01-01T00:00:00", "config": CONFIG}],
    HISTORY: [{"split": "train", **LINE}, {"split": "valid", **LINE, "summary": SUMMARY}],
    splits.SPLITS: [CLASSES],
    META_TEST: [SUMMARY],
}


def as_json(lines) -> bytes:
    """JSON of each in a line of its own."""
    if not isinstance(lines, list):
        lines = [lines]
    return "\n".join(json.dumps(x, default=str, skipkeys=True) for x in lines).encode()


@pytest.fixture
def go_on(target):
    """go_on(name, content): with a record of that content go on, and read it for a report."""
    reader = SimpleNamespace(splits=CLASSES)

    def run(name: str, content: bytes):
        for other, lines in RECORDS.items():
            (target / other).write_bytes(content if name == other else as_json(lines))
        splits.check_same(target, reader)
        splits.check_unseen(target, reader)
        history.changed(target, CONFIG)
        History(target, CONFIG, epoch=1, step=2).add("train", 1, 3, {"loss": 0.5})
        recorded = read_run(target)
        recorded.best_validation()
        for value in recorded.values():
            recorded.lines("valid", value)
        recorded.measure()

    run(RUN, as_json(RECORDS[RUN]))
    return run


@fuzzed
@given(data=st.data())
def test_a_changed_record(go_on, target, data):
    name = data.draw(st.sampled_from([*RECORDS]))
    if data.draw(st.booleans()):
        content = as_json(data.draw(altered(RECORDS[name])))
    else:
        content = data.draw(mutated([as_json(RECORDS[name])], OF_JSON))
    judged(lambda: go_on(name, content), target)
