"""Checkpoints: what is kept, what is best, and that a training goes on where it ended."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
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
        checkpoint.mark_best(tmp_path)
    assert (tmp_path / "best").resolve().name == "1"
    assert checkpoint.best_or_last(tmp_path) == tmp_path / "best"


def test_best_is_the_first_of_the_lowest_of_an_error(tmp_path):
    for epoch, error in enumerate([0.5, 0.25, 0.25, 0.75, None]):
        save(tmp_path, epoch, error)
        checkpoint.mark_best(tmp_path, lower_is_better=True)
    assert (tmp_path / "best").resolve().name == "1"


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_a_validation_that_is_not_a_number_is_never_best(tmp_path, lower_is_better):
    for epoch, accuracy in enumerate([math.nan, 0.5]):
        save(tmp_path, epoch, accuracy)
        checkpoint.mark_best(tmp_path, lower_is_better)
    assert (tmp_path / "best").resolve().name == "1"


def cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def altered(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut_short, altered, emptied])
@pytest.mark.parametrize("name", ["rec.pdparams", "rec.pdopt", "training.json", "SHA256SUMS"])
def test_a_damaged_newest_checkpoint_is_named_and_the_last_good_one_offered(tmp_path, name, damage):
    net = paddle.nn.Linear(1, 1)
    optimizer = paddle.optimizer.Adam(0.1, parameters=net.parameters())
    for epoch in range(4):
        save(tmp_path, epoch, 0.5)
    for epoch in (2, 3):
        file = tmp_path / str(epoch) / name
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError) as caught:
        checkpoint.resume(tmp_path, net, optimizer)
    sentence = str(caught.value)
    damaged = f"{tmp_path / '3' / name} is damaged"
    assert damaged in sentence or name == "SHA256SUMS" and "not that of SHA256SUMS" in sentence
    offered = f"the last good checkpoint is {tmp_path / '1'}: to use it, remove {tmp_path / '3'}."
    assert sentence.endswith(offered)
    for epoch in (3, 2):
        with pytest.raises(UserError):
            checkpoint.resume(tmp_path, net, optimizer)
        shutil.rmtree(tmp_path / str(epoch))
    assert checkpoint.resume(tmp_path, net, optimizer).epoch == 2


@pytest.mark.parametrize("name", ["rec.pdparams", "rec.pdopt", "training.json"])
def test_a_missing_file_is_damage_too(tmp_path, name):
    net = paddle.nn.Linear(1, 1)
    optimizer = paddle.optimizer.Adam(0.1, parameters=net.parameters())
    save(tmp_path, 0, None)
    (tmp_path / "0" / name).unlink()
    with pytest.raises(UserError, match=f"0/{name} cannot be read: .*; there is no good one."):
        checkpoint.resume(tmp_path, net, optimizer)


DEEP = 100_000 * "["
TRAININGS = {
    "no position": lambda training: training.pop("step"),
    "a place that is none": lambda training: training.update(batch=-1),
    "a step that is no number": lambda training: training.update(step="3"),
    "no random numbers": lambda training: training.update(host={}),
    "random numbers of Python": lambda training: training["host"]["python"].__setitem__(1, [7]),
    "a place beyond numpy's": lambda training: training["host"]["numpy"]["state"].update(pos=10**6),
    "random numbers of Paddle": lambda training: training.update(paddle=[]),
}


@pytest.mark.parametrize("change", TRAININGS.values(), ids=TRAININGS)
def test_a_training_json_of_which_nothing_can_go_on_is_damaged(tmp_path, change):
    save(tmp_path, 0, None)
    file = tmp_path / "0/training.json"
    training = json.loads(file.read_text())
    change(training)
    file.write_text(json.dumps(training))
    (tmp_path / "0/SHA256SUMS").unlink()
    net = paddle.nn.Linear(1, 1)
    with pytest.raises(UserError, match="0/training.json is damaged"):
        checkpoint.resume(tmp_path, net, paddle.optimizer.Adam(0.1, parameters=net.parameters()))


def test_json_that_python_cannot_count_or_follow(tmp_path):
    for epoch, content in enumerate(["{}", f'{{"acc": 1{"0" * 400}}}', DEEP, '{"acc": 0.5}']):
        save(tmp_path, epoch, None)
        (tmp_path / str(epoch) / "SHA256SUMS").unlink()
        (tmp_path / str(epoch) / "validation.json").write_text(content)
    checkpoint.mark_best(tmp_path)
    assert (tmp_path / "best").resolve().name == "3"
    (tmp_path / "3/training.json").write_text(DEEP)
    net = paddle.nn.Linear(1, 1)
    with pytest.raises(UserError, match="3/training.json is damaged"):
        checkpoint.resume(tmp_path, net, paddle.optimizer.Adam(0.1, parameters=net.parameters()))


@pytest.mark.parametrize("damage", [cut_short, emptied])
def test_damage_is_noticed_without_checksums(tmp_path, damage):
    for epoch in (0, 1):
        save(tmp_path, epoch, None)
        (tmp_path / str(epoch) / "SHA256SUMS").unlink()
    file = tmp_path / "1/rec.pdparams"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(
        UserError, match="1/rec.pdparams is damaged: .* good checkpoint is .*/0: try"
    ):
        checkpoint.load(tmp_path / "1", paddle.nn.Linear(1, 1), use="try it")


def test_sha256sum_agrees(tmp_path):
    save(tmp_path, 0, 0.5)
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=tmp_path / "0", capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.count("OK") == len(list((tmp_path / "0").iterdir())) - 1


def test_parameters_of_another_type_are_named(tmp_path):
    net = paddle.nn.Linear(1, 1).to(dtype="float64")
    (tmp_path / "0").mkdir()
    paddle.save(net.state_dict(), str(tmp_path / "0/rec.pdparams"))
    checkpoint.load(tmp_path / "0", net)
    with pytest.raises(UserError, match=r"bias is \[1\] float64 there and \[1\] float32 here"):
        checkpoint.load(tmp_path / "0", paddle.nn.Linear(1, 1))


def test_parameters_whose_names_are_no_text_are_named(tmp_path):
    (tmp_path / "0").mkdir()
    state = {name: value.numpy() for name, value in paddle.nn.Linear(1, 1).state_dict().items()}
    (tmp_path / "0/rec.pdparams").write_bytes(pickle.dumps({**state, 7: np.zeros(2, "f4")}))
    with pytest.raises(UserError, match=r"7 is \[2\] float32 there and missing here"):
        checkpoint.load(tmp_path / "0", paddle.nn.Linear(1, 1))


def test_the_optimizer_of_another_training_is_named(tmp_path):
    save(tmp_path, 0, None)
    net = paddle.nn.Linear(1, 1)
    rate = paddle.optimizer.lr.ExponentialDecay(0.1, 0.9)
    scheduled = paddle.optimizer.Adam(rate, parameters=net.parameters())
    with pytest.raises(UserError, match="0/rec.pdopt belongs to another optimizer"):
        checkpoint.resume(tmp_path, net, scheduled)


STATES = {
    "not all of it": lambda state: state.pop("linear_0.b_0_moment1_0"),
    "another shape": lambda state: state.update({"linear_0.w_0_moment2_0": np.zeros((3, 3), "f4")}),
    "another type": lambda state: state.update({"linear_0.w_0_moment2_0": np.zeros((2, 3), "i8")}),
    "no tensor": lambda state: state.update({"linear_0.b_0_beta1_pow_acc_0": 0.9}),
    "no numbers": lambda state: state["LR_Scheduler"].update(last_epoch=None),
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES)
def test_what_is_no_optimizers_of_this_network_is_refused_before_its_first_step(tmp_path, change):
    """Paddle fails at the first step, or begins with zeros in silence."""

    def create():
        net = paddle.nn.Linear(2, 3)
        rate = paddle.optimizer.lr.ExponentialDecay(0.1, 0.9)
        return net, paddle.optimizer.Adam(rate, parameters=net.parameters())

    with paddle.utils.unique_name.guard():
        net, optimizer = create()
        net(paddle.ones([1, 2])).sum().backward()
        optimizer.step()
    checkpoint.save(tmp_path, checkpoint.Position(1), net, optimizer, randomness.host_state())
    file = tmp_path / "0/rec.pdopt"
    state = paddle.load(str(file), return_numpy=True)
    with paddle.utils.unique_name.guard():
        assert checkpoint.resume(tmp_path, *create()).epoch == 1
    change(state)
    paddle.save(state, str(file))
    (tmp_path / "0/SHA256SUMS").unlink()
    with paddle.utils.unique_name.guard():
        with pytest.raises(UserError, match="0/rec.pdopt belongs to another optimizer"):
            checkpoint.resume(tmp_path, *create())


def test_an_optimizer_is_saved_whole_before_its_first_step_after_a_resume(tmp_path):
    def create():
        net = paddle.nn.Linear(1, 1)
        rate = paddle.optimizer.lr.ExponentialDecay(0.1, 0.9)
        return net, paddle.optimizer.Adam(rate, parameters=net.parameters())

    with paddle.utils.unique_name.guard():
        net, optimizer = create()
    net(paddle.ones([1, 1])).sum().backward()
    optimizer.step()
    optimizer.clear_grad()
    host_state = randomness.host_state()
    checkpoint.save(tmp_path, checkpoint.Position(0, 8, 8), net, optimizer, host_state)
    expected = (tmp_path / "0-8/rec.pdopt").read_bytes()
    with paddle.utils.unique_name.guard():
        net, optimizer = create()
    checkpoint.resume(tmp_path, net, optimizer)
    checkpoint.save(tmp_path, checkpoint.Position(1, 0, 8), net, optimizer, host_state)
    assert (tmp_path / "0/rec.pdopt").read_bytes() == expected


@pytest.mark.parametrize("keep", [1, 2, 9])
def test_the_newest_and_the_best_are_kept(tmp_path, keep):
    for epoch, accuracy in enumerate([0.5, 0.75, 0.25, 0.25, 0.25]):
        save(tmp_path, epoch, accuracy)
        checkpoint.mark_best(tmp_path)
        checkpoint.prune(tmp_path, keep)
        best = min(epoch, 1)
        assert checkpoint.epochs(tmp_path) == sorted(
            {best, *range(max(0, epoch - keep + 1), epoch + 1)}
        )
        assert (tmp_path / "best").resolve().name == str(best)
    assert {path.name for path in tmp_path.glob(".*")} == set()


KINDS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink")
counted = []  # an audit hook stays for ever


def operations_of(call) -> int:
    """How many operations on files `call()` makes."""
    sys.addaudithook(lambda event, _: counted and event in KINDS and counted.append(event))
    counted.append("begin")
    call()
    count = len(counted) - 1
    counted.clear()
    return count


def end_before(number: int) -> None:
    """End this process before its operation on files of that number, from 0."""
    left = iter(range(number))
    sys.addaudithook(lambda event, _: event in KINDS and next(left, None) is None and os._exit(9))


def test_a_kill_before_any_operation_leaves_a_good_checkpoint(tmp_path):
    """The process is forked and ends before its first, its second, ... operation on a file."""
    ends = [checkpoint.Position(0, 3, 3), checkpoint.Position(1, 0, 8)]

    def next_epoch(directory):
        net = paddle.nn.Linear(1, 1)
        optimizer = paddle.optimizer.Adam(0.1, parameters=net.parameters())
        checkpoint.save(directory, ends[1], net, optimizer, randomness.host_state(), {"acc": 0.5})
        checkpoint.mark_best(directory)
        checkpoint.prune(directory, 1)

    def begin(directory):
        net = paddle.nn.Linear(1, 1)
        optimizer = paddle.optimizer.Adam(0.1, parameters=net.parameters())
        checkpoint.save(directory, ends[0], net, optimizer, randomness.host_state())
        return net, optimizer

    begin(tmp_path / "whole")
    count = operations_of(lambda: next_epoch(tmp_path / "whole"))
    assert count > 20
    found = []
    for number in range(count):
        directory = tmp_path / str(number)
        net, optimizer = begin(directory)
        child = os.fork()
        if not child:
            end_before(number)
            next_epoch(directory)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        found.append(checkpoint.resume(directory, net, optimizer))
        checkpoint.tidy(directory)
        checkpoint.mark_best(directory)
        names = {path.name for path in directory.iterdir()}
        assert names - {".best.unfinished"} == ({"0-3"} if found[-1] == ends[0] else {"0", "best"})
    assert found == sorted(found) and {*found} == {*ends}


def test_without_a_validation_the_last_is_taken(tmp_path):
    for epoch in (0, 9, 10):
        save(tmp_path, epoch, None)
    assert checkpoint.best_or_last(tmp_path).name == "10"


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".0-7.unfinished").mkdir()
    save(tmp_path, 0, None)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_only_directories_named_by_a_number_are_checkpoints(tmp_path):
    for name in ("²", "٣", "00", "1-٤", "01-2"):
        (tmp_path / name).mkdir()
    for name in ("9", "9-1", ".9.unfinished"):
        (tmp_path / name).touch()
    assert checkpoint.find_newest(tmp_path) is None
    checkpoint.tidy(tmp_path)


def test_of_a_link_to_a_checkpoint_only_the_link_is_removed(tmp_path):
    save(tmp_path, 1, None)
    for name in ("0", "0-1"):
        (tmp_path / name).symlink_to("1")
    checkpoint.tidy(tmp_path)
    assert (checkpoint.epochs(tmp_path), checkpoint.amid_epochs(tmp_path)) == ([0, 1], [])
    checkpoint.prune(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert checkpoint.find_newest(tmp_path) == tmp_path / "1"


def test_an_earlier_training_is_set_aside(tmp_path):
    for number in (1, 2):
        save(tmp_path, 0, 0.5)
        checkpoint.mark_best(tmp_path)
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
    (output / "1/SHA256SUMS").unlink()
    file.write_bytes(pickle.dumps({**paddle.load(str(file), return_numpy=True), "x": Attack()}))
    settings = ("runner.infer_start_epoch=1", "runner.infer_end_epoch=2")
    assert "1/rec.pdparams is refused" in (found := refusal("infer", *settings))
    assert "builtins.print" in found


@pytest.mark.parametrize("own", [True, False])
def test_a_resumed_training_ends_with_the_same_bytes(tool, trained, tmp_path, own):
    shutil.copytree(trained, tmp_path / "output", symlinks=True)
    shutil.rmtree(tmp_path / "output" / "1")
    if not own:  # PaddleRec's trainer leaves the two files only
        for name in ("training.json", "validation.json", "SHA256SUMS"):
            (tmp_path / "output" / "0" / name).unlink()
    printed = tool("trainer", tmp_path / "output", "runner.resume=true")
    assert "going on with epoch 1" in printed
    for name in ("rec.pdparams", "validation.json"):
        resumed = (tmp_path / "output" / "1" / name).read_bytes()
        assert resumed == (trained / "1" / name).read_bytes()
