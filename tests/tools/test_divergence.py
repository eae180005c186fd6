"""Numbers that are not finite: training ends, nothing of them is saved, and it can go on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle_maml.task_dataset import TaskDataset
from tools.conftest import CONFIG, ROOT, TINY, run_tool
from utils import checkpoint
from utils.config import load_config
from utils.divergence import Diverged, check_finite
from utils.model import create_loader

EXPLODING = "hyper_parameters.base_optimizer.learning_rate=1.0e+30"
SINUSOID = ROOT / "models/maml/configs/sinusoid_10shot.yaml"
SPOILED = """\
import numpy as np
import sinusoid_reader


class RecDataset(sinusoid_reader.RecDataset):
    def task(self, epoch, index):
        task = super().task(epoch, index)
        if self.training and (epoch, index) == (1, 13):
            task[1][0] = np.nan
        return task
"""


def diverged(output, *overrides, launcher=(), config=CONFIG):
    """The one sentence with which a training ends."""
    settings = [*TINY, f"runner.model_save_path={output}", *overrides]
    command = [sys.executable, *launcher, str(ROOT / "tools/trainer.py"), "-m", str(config)]
    done = subprocess.run([*command, "-o", *settings], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    told = done.stderr
    if launcher:  # which has a log for each process
        told = (output.parent / "log/workerlog.0").read_text()
    lines = [line for line in told.splitlines() if line.startswith("trainer.py: ")]
    assert "Traceback" not in told and len(lines) == 1
    return lines[0]


def saved(output):
    """The files of the checkpoints, all numbers of which are finite, and which one is the best."""
    for file in output.glob("[0-9]*/rec.pd*"):
        for value in paddle.load(str(file)).values():
            assert not paddle.is_tensor(value) or paddle.isfinite(value).all()
    files = {path.relative_to(output): path.read_bytes() for path in output.glob("[0-9]*/*")}
    return files, (output / "best").resolve().name


@pytest.fixture
def first_epoch(trained, tmp_path):
    """The output directory of `trained` after its first epoch."""
    output = tmp_path / "output"
    shutil.copytree(trained, output, symlinks=True)
    shutil.rmtree(output / "1")
    checkpoint.mark_best(output)
    return output


@pytest.mark.parametrize("processes", [1, 2])
def test_an_inner_loop_that_explodes(tool, trained, first_epoch, processes):
    before = saved(first_epoch)
    several = f"runner.processes={processes}"
    sentence = diverged(first_epoch, EXPLODING, several, "runner.resume=true")
    assert sentence.startswith("trainer.py: epoch 1, batch 0: the ")
    assert re.search(
        r"\((inner step 1, )?task 0\) is not finite: lower hyper_parameters.base_optimizer.learning"
        r"_rate or set hyper_parameters.base_optimizer.clip_norm; RecDataset.task\(1, 0\) draws the"
        rf" task again; the last good checkpoint is {first_epoch / '0'}: go on with -o runner.resu",
        sentence,
    )
    assert saved(first_epoch) == before
    printed = tool("trainer", first_epoch, "runner.resume=true", several)
    assert "going on with epoch 1, batch 0" in printed
    if processes == 1:
        parameters = [(d / "1/rec.pdparams").read_bytes() for d in (first_epoch, trained)]
        assert parameters[0] == parameters[1]


def test_it_may_go_on_with_a_lower_rate(tool, first_epoch):
    diverged(first_epoch, EXPLODING, "runner.resume=true")
    lower = ("hyper_parameters.base_optimizer.learning_rate=0.5", "runner.resume=true")
    printed = tool("trainer", first_epoch, *lower, "hyper_parameters.base_optimizer.clip_norm=10.0")
    assert re.search(
        "other settings than before: .*base_optimizer.clip_norm, .*base_optimizer.learning_rate",
        printed,
    )
    files, _ = saved(first_epoch)
    assert {path.parent.name for path in files} == {"0", "1"}


def test_without_a_checkpoint_there_is_none_to_go_on_from(tmp_path):
    sentence = diverged(tmp_path / "output", EXPLODING)
    assert sentence.endswith("; there is no checkpoint yet: begin anew.")
    assert not list(tmp_path.glob("output/[0-9]*"))


def test_data_that_overflow(tmp_path):
    """Sinusoids with values whose squares float32 cannot hold."""
    data = tmp_path / "data"
    shutil.copytree(ROOT / "models/maml/data/sinusoid/train", data)
    ranges = data / "sinusoids.yaml"
    ranges.write_text(re.sub("amplitude: .*", "amplitude: [1.0e+29, 1.0e+30]", ranges.read_text()))
    settings = [f"runner.train_data_dir={data}", "runner.train_batch_size=8"]
    sentence = diverged(tmp_path / "output", *settings, config=SINUSOID)
    assert "epoch 0, batch 0: the support loss (inner step 1, task 0) is not finite" in sentence
    reader = create_loader(load_config(str(SINUSOID), [*TINY, *settings]), "train").reader
    with np.errstate(over="ignore"):
        assert np.isinf(reader.task(0, 0)[1] ** 2).any()


LAUNCHERS = {
    "one process": ([], "runner.processes=1"),
    "two": ([], "runner.processes=2"),
    "two of fleet": (
        ["-m", "paddle.distributed.launch", "--nproc_per_node=2"],
        "runner.use_fleet=true",
    ),
}


@pytest.mark.parametrize(("launcher", "several"), LAUNCHERS.values(), ids=LAUNCHERS)
def test_one_task_of_one_process(monkeypatch, tmp_path, launcher, several):
    """All processes end, with the sentence of the one that had the task."""
    (tmp_path / "spoiled_reader.py").write_text(SPOILED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = [f"--log_dir={tmp_path / 'log'}"] if launcher else []
    settings = ("runner.train_reader_path=spoiled_reader", "runner.train_batch_size=8", several)
    output = tmp_path / "output"
    sentence = diverged(output, *settings, launcher=[*launcher, *log], config=SINUSOID)
    assert sentence == (
        "trainer.py: epoch 1, batch 1: support_y (task 13) is not finite: correct the data; "
        "RecDataset.task(1, 13) draws the task again; the last good checkpoint is "
        f"{output / '0'}: go on with -o runner.resume=true."
    )
    saved(output)


def test_a_task_is_drawn_again():
    config = load_config(str(CONFIG), [*TINY, "hyper_parameters.rotation=true"])
    reader = create_loader(config, "train").reader
    assert isinstance(reader, TaskDataset)
    reader.epoch = 3
    for index, task in enumerate(reader):
        for part, again in zip(task, reader.task(3, index)):
            np.testing.assert_array_equal(part, again)


def test_a_parameter_or_a_moment_that_is_not_finite_is_not_saved():
    layer = paddle.nn.Linear(2, 1)
    optimizer = paddle.optimizer.Adam(parameters=layer.parameters())
    position = checkpoint.Position(2, 5, 25)
    check_finite(layer, optimizer, position)
    (layer(paddle.ones([1, 2])) * 1e30).sum().backward()  # finite, but not its square
    optimizer.step()
    with pytest.raises(Diverged, match="moment2_0 is not finite after epoch 2, batch 4: lower the"):
        check_finite(layer, optimizer, position)
    layer.weight.set_value(layer.weight * float("nan"))
    optimizer = paddle.optimizer.SGD(parameters=layer.parameters())
    with pytest.raises(Diverged, match="^weight is not finite"):
        check_finite(layer, optimizer, position)


def test_a_meta_test_that_explodes_is_told_of(trained, tmp_path):
    output = shutil.copytree(trained, tmp_path / "output", symlinks=True)
    done = run_tool("infer", output, EXPLODING)
    (sentence,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert re.fullmatch(
        rf"infer.py: {output / 'best'}: 20 of 20 tasks have no finite loss, the first is task 0 "
        r"after inner step [12] \(RecDataset.task\(0, 0\) draws it again\): lower hyper_parameters"
        r".base_optimizer.learning_rate or hyper_parameters.update_step_test, or set .*clip_norm.",
        sentence,
    )
    assert "          0  " in done.stdout and "nan" in done.stdout
    assert not (output / "meta_test.json").exists()


def test_a_validation_that_explodes_is_not_the_best(tool, tmp_path):
    """The inner loop is the validation's alone: training takes no inner step."""
    untrained = "hyper_parameters.update_step=0"
    tool("trainer", tmp_path, untrained, "runner.epochs=1")
    printed = tool("trainer", tmp_path, untrained, EXPLODING, "runner.resume=true")
    assert "WARNING - validation of epoch 1: 8 of 8 tasks have no finite loss" in printed
    assert (tmp_path / "best").resolve().name == "0"
    assert {"0", "1"} <= {path.name for path in tmp_path.iterdir()}
    report = subprocess.run([sys.executable, str(ROOT / "tools/report.py"), str(tmp_path)])
    assert report.returncode == 0


@pytest.mark.parametrize("config", [CONFIG, SINUSOID], ids=["accuracy", "error"])
def test_adapting_that_does_not_help_is_told_of_once(tool, tmp_path, config):
    still = "hyper_parameters.base_optimizer.learning_rate=1.0e-30"
    still = still, "runner.train_batch_size=8"
    printed = tool("trainer", tmp_path, *still, "runner.epochs=1", config=config)
    lines = [line for line in printed.splitlines() if "adapting makes" in line]
    assert len(lines) == 1 and "WARNING - validation of epoch 0: " in lines[0]
    assert re.search(r"no better, (.+) before and \1 after \d+ inner steps: try another", lines[0])
    printed = tool("infer", tmp_path, *still, config=config)
    assert printed.count("adapting makes") == 1
    assert "adapting makes" in json.loads((tmp_path / "meta_test.json").read_text())["no_better"]


def test_adapting_that_helps_is_not_told_of(trained):
    assert "adapting makes" not in (trained.parent / "log").read_text()
