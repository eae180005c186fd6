"""SIGKILL at random moments: no more is lost than what was done since the last checkpoint.

PADDLE_MAML_KILLS=50 sets how often; 5 is enough for every day.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from tools.conftest import CONFIG, ROOT, TINY
from utils import checkpoint

KILLS = int(os.environ.get("PADDLE_MAML_KILLS", 5))
LONGER = (
    "runner.epochs=6",
    "hyper_parameters.tasks_per_epoch=64",
    "runner.save_seconds=0.001",  # after every batch
    "runner.keep_checkpoints=2",
    "runner.resume=true",
)


def start(output, log):
    settings = [*TINY, f"runner.model_save_path={output}", *LONGER]
    command = [sys.executable, str(ROOT / "tools/trainer.py"), "-m", str(CONFIG), "-o", *settings]
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def place(output):
    """How far the newest checkpoint is."""
    newest = checkpoint.find_newest(output) if output.is_dir() else None
    return checkpoint._place(newest) if newest else (0, 0)


@pytest.mark.parametrize("seed", [0])
def test_killed_again_and_again(tool, tmp_path, seed):
    whole, output = tmp_path / "whole", tmp_path / "output"
    tool("trainer", whole, *LONGER)
    rng, kills, amid, lost = random.Random(seed), 0, 0, 0
    while kills < KILLS:
        before, seen = place(output), (0, 0)
        with open(tmp_path / "log", "w+") as log:
            trainer = start(output, log)
            while trainer.poll() is None and "epoch: " not in (tmp_path / "log").read_text():
                time.sleep(0.001)
            delay = time.monotonic() + rng.expovariate(1 / 0.2)  # mean, in seconds
            while trainer.poll() is None and time.monotonic() < delay:
                seen = max(seen, place(output))
            os.killpg(trainer.pid, signal.SIGKILL) if trainer.poll() is None else None
            trainer.wait()
        if trainer.returncode == 0:  # it came to its end: once more from the beginning
            compare(output, whole)
            subprocess.run(["rm", "-r", str(output)], check=True)
            continue
        assert trainer.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
        kills += 1
        amid += bool(list(output.glob(".*unfinished")))
        lost += place(output) < max(before, seen)
    tool("trainer", output, *LONGER)
    compare(output, whole)
    print(f"{kills} kills, {amid} of them amid the writing of a file, {lost} lost a checkpoint")
    assert not lost


def compare(output, whole):
    """Every file of every checkpoint is the same, byte by byte, and there is no other."""
    assert (output / "best").resolve().name == (whole / "best").resolve().name
    names = [sorted(str(p.relative_to(d)) for p in d.rglob("*")) for d in (output, whole)]
    assert names[0] == names[1]
    for name in names[1]:
        if name[0].isdigit() and (whole / name).is_file():
            assert (output / name).read_bytes() == (whole / name).read_bytes(), name
