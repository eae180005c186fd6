"""SIGINT and SIGTERM: the step ends, a checkpoint is saved, and training goes on from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from tools.conftest import CONFIG, ROOT, TINY

LONGER = ("hyper_parameters.tasks_per_epoch=64", "runner.save_seconds=0")  # 8 batches an epoch


def start(output, *overrides):
    """Start the trainer in a process group of its own."""
    settings = [*TINY, f"runner.model_save_path={output}", *LONGER, *overrides]
    command = [sys.executable, str(ROOT / "tools/trainer.py"), "-m", str(CONFIG), "-o", *settings]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **pipes)


def wait_for(trainer, text):
    """Wait until the trainer has logged `text`."""
    for line in trainer.stdout:
        if text in line:
            return
    raise AssertionError(trainer.stderr.read())


def assert_same(output, whole):
    for name in ("rec.pdparams", "rec.pdopt", "validation.json"):
        for epoch in "01":
            found, expected = (d / epoch / name for d in (output, whole))
            assert found.read_bytes() == expected.read_bytes()
    assert (output / "best").resolve().name == (whole / "best").resolve().name


@pytest.fixture(scope="module")
def whole(tool, tmp_path_factory):
    """The uninterrupted training: by the number of processes."""
    runs = {}

    def run(processes):
        if processes not in runs:
            runs[processes] = tmp_path_factory.mktemp("whole") / "output"
            tool("trainer", runs[processes], *LONGER, f"runner.processes={processes}")
        return runs[processes]

    return run


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("number", "everyone"),
    [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True)],
    ids=["Ctrl-C", "kill", "kill all"],
)
def test_stopped_after_a_step(tool, whole, tmp_path, processes, number, everyone):
    output, several = tmp_path / "output", f"runner.processes={processes}"
    trainer = start(output, several)
    wait_for(trainer, "epoch: 1, batch_id: 2")
    (os.killpg if everyone else os.kill)(trainer.pid, number)
    _, errors = trainer.communicate(timeout=60)
    assert trainer.returncode == 128 + number
    assert "Traceback" not in errors
    (sentence,) = [line for line in errors.splitlines() if line.startswith("trainer.py: ")]
    (saved,) = output.glob("*-*")
    assert sentence == f"trainer.py: stopped; {saved} is saved: go on with -o runner.resume=true."
    epoch, batch = map(int, saved.name.split("-"))
    assert (epoch, batch) >= (1, 3)
    printed = tool("trainer", output, *LONGER, several, "runner.resume=true")
    assert f"going on with epoch 1, batch {batch}" in printed
    assert_same(output, whole(processes))


@pytest.mark.parametrize("processes", [1, 2])
def test_stopped_while_validating(tool, whole, tmp_path, processes):
    longer = ("runner.valid_tasks=100000", f"runner.processes={processes}")
    output = tmp_path / "output"
    trainer = start(output, *longer)
    wait_for(trainer, "epoch: 0 validation, batch_id: 1")
    trainer.send_signal(signal.SIGTERM)
    _, errors = trainer.communicate(timeout=60)
    assert trainer.returncode == 143
    assert f"trainer.py: stopped; {output / '0-8'} is saved" in errors
    tool("trainer", output, *LONGER, longer[1], "runner.resume=true")
    assert_same(output, whole(processes))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_signal_ends_at_once(tmp_path, processes):
    trainer = start(tmp_path, f"runner.processes={processes}", "runner.epochs=1000")
    wait_for(trainer, "epoch: 1, batch_id: 0")
    os.kill(trainer.pid, signal.SIGSTOP)  # so that the first is not through with its work
    for _ in range(2):
        os.kill(trainer.pid, signal.SIGINT)
        os.kill(trainer.pid, signal.SIGCONT)
        until = time.monotonic() + 0.05
        while time.monotonic() < until and trainer.poll() is None:
            time.sleep(0.001)
    assert trainer.wait(timeout=60) in (-signal.SIGINT, 130)
    assert "Traceback" not in trainer.stderr.read()


def test_a_signal_to_a_readers_process_too(tool, whole, tmp_path):
    """As `kill` of the process group, or a terminal, does it."""
    output = tmp_path / "output"
    trainer = start(output, "runner.num_workers=2")
    wait_for(trainer, "epoch: 1, batch_id: 2")
    os.killpg(trainer.pid, signal.SIGINT)
    _, errors = trainer.communicate(timeout=60)
    assert trainer.returncode == 130
    assert errors.count("\n") == 1
    tool("trainer", output, *LONGER, "runner.num_workers=2", "runner.resume=true")
    assert_same(output, whole(1))


def test_nothing_is_left_of_several_processes_when_the_first_is_killed(tmp_path):
    trainer = start(tmp_path, "runner.processes=2", "runner.epochs=1000")
    wait_for(trainer, "epoch: 1, batch_id: 0")
    trainer.kill()
    trainer.wait()
    until = time.monotonic() + 20
    while True:  # until nobody is left in its group
        try:
            os.killpg(trainer.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < until
        time.sleep(0.05)
