"""A training that was killed and goes on ends with the parameters of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import paddle
import pytest
from tools.conftest import CONFIG, ROOT, TINY

LONGER = "hyper_parameters.tasks_per_epoch=64"  # 8 batches an epoch


def kill_amid(output, checkpoint, config, *overrides):
    """Start the trainer and kill it with all its processes once it has come to `checkpoint`."""
    settings = [*TINY, f"runner.model_save_path={output}", "runner.save_seconds=0.001", *overrides]
    command = [sys.executable, str(ROOT / "tools/trainer.py"), "-m", str(config), "-o", *settings]
    with open(output.parent / "killed.log", "w") as log:
        trainer = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 120
    epoch, batch = map(int, checkpoint.split("-"))
    names = [f"{epoch}-{later}" for later in range(batch, 12)]
    while not any((output / name).is_dir() for name in names):
        assert trainer.poll() is None and time.monotonic() < until, f"no {checkpoint}"
    os.killpg(trainer.pid, signal.SIGKILL)
    trainer.wait()
    assert not (output / "1").exists()


@pytest.fixture(scope="module")
def uninterrupted(tool, tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted") / "output"
    tool("trainer", output, LONGER, "runner.print_interval=1")
    return output


def history(output):
    return [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("checkpoint", ["0-5", "1-3"])
def test_killed_amid_an_epoch(tool, uninterrupted, tmp_path, checkpoint):
    output = tmp_path / "output"
    kill_amid(output, checkpoint, CONFIG, LONGER)
    printed = tool("trainer", output, LONGER, "runner.print_interval=1", "runner.resume=true")
    assert f"going on with epoch {checkpoint[0]}, batch" in printed
    for file in ("rec.pdparams", "rec.pdopt"):
        assert (output / "1" / file).read_bytes() == (uninterrupted / "1" / file).read_bytes()
    assert {path.name for path in output.iterdir()} == {
        path.name for path in uninterrupted.iterdir()
    }
    steps = [[line["split"], line["epoch"], line["step"]] for line in history(output)]
    assert steps == [
        [line["split"], line["epoch"], line["step"]] for line in history(uninterrupted)
    ]


def test_two_processes_killed_amid_an_epoch(tool, tmp_path):
    whole, output = tmp_path / "whole", tmp_path / "output"
    tool("trainer", whole, LONGER, "runner.processes=2")
    kill_amid(output, "1-3", CONFIG, LONGER, "runner.processes=2")
    tool("trainer", output, LONGER, "runner.processes=2", "runner.resume=true")
    assert (output / "1/rec.pdparams").read_bytes() == (whole / "1/rec.pdparams").read_bytes()


def test_other_settings_are_told_of(tool, trained, tmp_path):
    tool("trainer", tmp_path, "runner.epochs=1")
    printed = tool("trainer", tmp_path, "runner.resume=true", "hyper_parameters.update_step=2")
    assert "other settings than before: hyper_parameters.update_step, runner.epochs" in printed


@pytest.mark.skipif(
    paddle.__version__.startswith("2."),
    reason="Paddle 2.6 does not tell how far the CPU's generator has come",
)
def test_random_numbers_go_on(tool, random_model, tmp_path):
    config = random_model / "config.yaml"
    tool("trainer", tmp_path / "whole", config=config)
    kill_amid(tmp_path / "output", "1-4", config)
    tool("trainer", tmp_path / "output", "runner.resume=true", config=config)
    assert (tmp_path / "output/1/rec.pdparams").read_bytes() == (
        tmp_path / "whole/1/rec.pdparams"
    ).read_bytes()


def test_an_algorithm_that_anneals_goes_on_where_it_was(tool, tmp_path):
    settings = [
        *(LONGER, "hyper_parameters.algorithm=maml_pp", "hyper_parameters.update_step=2"),
        *("hyper_parameters.maml_pp.first_order_epochs=1", "runner.epochs=2"),
    ]
    tool("trainer", tmp_path / "whole", *settings)
    kill_amid(tmp_path / "output", "1-2", CONFIG, *settings)
    tool("trainer", tmp_path / "output", *settings, "runner.resume=true")
    found, expected = ((tmp_path / d / "1/rec.pdparams") for d in ("output", "whole"))
    assert found.read_bytes() == expected.read_bytes()
