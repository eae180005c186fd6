"""What a run leaves to be read later, where it is not as it was left."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
from utils import history, splits
from utils.errors import UserError
from utils.history import HISTORY, RUN, History

DEEP = 100_000 * "["
LINE = {"split": "train", "epoch": 0, "step": 1, "seconds": 0.5, "values": {"loss": 0.5}}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"config": 3}', DEEP, "\udcff"])
def test_a_damaged_run_is_named(tmp_path, content):
    (tmp_path / RUN).write_text(content, errors="surrogateescape")
    for read in (lambda: history.changed(tmp_path, {}), lambda: History(tmp_path, {}, 1, 2)):
        with pytest.raises(UserError, match="run.json is damaged: remove it to go on without"):
            read()


@pytest.mark.parametrize(
    "changes",
    [{"split": "test"}, {"step": "1"}, {"seconds": None}, {"values": None}, {"summary": [1]}],
)
def test_a_history_ends_where_a_line_is_none(tmp_path, changes):
    lines = [LINE, {**LINE, **changes}, LINE]
    (tmp_path / HISTORY).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    History(tmp_path, {}, 1, 2)
    assert history.read(tmp_path / HISTORY) == [LINE]


@pytest.mark.parametrize("content", ["{", "[]", '{"train": []}', "3", DEEP])
def test_splits_that_are_none_are_named(tmp_path, content):
    (tmp_path / splits.SPLITS).write_text(content)
    with pytest.raises(UserError, match="splits.json cannot be read"):
        splits.recorded(tmp_path)


def test_classes_are_recorded_whatever_bytes_their_names_are(tmp_path):
    names = [os.fsdecode(name) for name in (b"Gr\xfc\xdfe", "Grüße".encode(), rb"\udcfc")]
    reader = SimpleNamespace(splits={"train": names, "valid": [], "test": []})
    splits.record(tmp_path, reader)
    assert splits.recorded(tmp_path) == reader.splits
    splits.check_same(tmp_path, reader)
    assert "Grüße" in (tmp_path / splits.SPLITS).read_text("utf-8")
