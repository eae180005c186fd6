"""Checkpoints: what is kept, what is best, and that a training goes on where it ended."""

from __future__ import annotations

import math
import pickle
import shutil

import paddle
import pytest
from utils import checkpoint, randomness
from utils.errors import UserError


def save(directory, epoch, accuracy):
    net = paddle.nn.Linear(1, 1)
    optimizer = paddle.optimizer.Adam(0.1, parameters=net.parameters())
    validation = {} if accuracy is None else {"acc": accuracy}
    end = checkpoint.Position(epoch + 1)
    checkpoint.save(directory, end, net, optimizer, randomness.host_state(), validation)


def test_best_is_the_first_of_the_highest(tmp_path):
    for epoch, accuracy in enumerate([0.5, 0.75, 0.75, 0.25, None]):
        save(tmp_path, epoch, accuracy)
        checkpoint.mark_best(tmp_path, "acc")
    assert (tmp_path / "best").resolve().name == "1"
    assert checkpoint.best_or_last(tmp_path) == tmp_path / "best"


def test_best_is_the_first_of_the_lowest_of_an_error(tmp_path):
    for epoch, error in enumerate([0.5, 0.25, 0.25, 0.75, None]):
        save(tmp_path, epoch, error)
        checkpoint.mark_best(tmp_path, "acc", lower_is_better=True)
    assert (tmp_path / "best").resolve().name == "1"


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_a_validation_that_is_not_a_number_is_never_best(tmp_path, lower_is_better):
    for epoch, accuracy in enumerate([math.nan, 0.5]):
        save(tmp_path, epoch, accuracy)
        checkpoint.mark_best(tmp_path, "acc", lower_is_better)
    assert (tmp_path / "best").resolve().name == "1"


@pytest.mark.parametrize("name", ["rec.pdparams", "rec.pdopt", "training.json"])
def test_a_damaged_newest_checkpoint_is_named(tmp_path, name):
    net = paddle.nn.Linear(1, 1)
    optimizer = paddle.optimizer.Adam(0.1, parameters=net.parameters())
    for epoch in (0, 1):
        save(tmp_path, epoch, 0.5)
    (tmp_path / "1" / name).write_bytes(b"")
    with pytest.raises(UserError, match=f"1/{name} cannot be read: .* remove its directory"):
        checkpoint.resume(tmp_path, net, optimizer)


def test_without_a_validation_the_last_is_taken(tmp_path):
    for epoch in (0, 9, 10):
        save(tmp_path, epoch, None)
    assert checkpoint.best_or_last(tmp_path).name == "10"


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".0-7.unfinished").mkdir()
    save(tmp_path, 0, None)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_an_earlier_training_is_set_aside(tmp_path):
    for number in (1, 2):
        save(tmp_path, 0, 0.5)
        checkpoint.mark_best(tmp_path, "acc")
        (tmp_path / "visualDL_log").mkdir()
        (tmp_path / "mine.txt").touch()
        assert checkpoint.set_aside(tmp_path) == tmp_path / f"earlier-{number}"
        assert checkpoint.epochs(tmp_path) == []
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"mine.txt", *(f"earlier-{n + 1}" for n in range(number))}
        assert (tmp_path / f"earlier-{number}" / "best" / "rec.pdparams").is_file()
    assert checkpoint.set_aside(tmp_path) is None


class Attack:
    def __reduce__(self):
        return print, ("executed",)


def test_loading_executes_nothing(trained, refusal, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(trained, output, symlinks=True)
    file = output / "1/rec.pdparams"
    file.write_bytes(pickle.dumps({**paddle.load(str(file), return_numpy=True), "x": Attack()}))
    settings = ("runner.infer_start_epoch=1", "runner.infer_end_epoch=2")
    assert "1/rec.pdparams is refused" in (found := refusal("infer", *settings))
    assert "builtins.print" in found


@pytest.mark.parametrize("own", [True, False])
def test_a_resumed_training_ends_with_the_same_bytes(tool, trained, tmp_path, own):
    shutil.copytree(trained, tmp_path / "output", symlinks=True)
    shutil.rmtree(tmp_path / "output" / "1")
    if not own:  # PaddleRec's trainer leaves the two files only
        for name in ("training.json", "validation.json"):
            (tmp_path / "output" / "0" / name).unlink()
    printed = tool("trainer", tmp_path / "output", "runner.resume=true")
    assert "going on with epoch 1" in printed
    for name in ("rec.pdparams", "validation.json"):
        resumed = (tmp_path / "output" / "1" / name).read_bytes()
        assert resumed == (trained / "1" / name).read_bytes()
