"""A model directory written for PaddleRec's tools, under these."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from tools.conftest import ROOT

NUMBER = r"\d+\.\d+"
TIMES = (
    rf" avg_reader_cost: {NUMBER} sec, avg_batch_cost: {NUMBER} sec, avg_samples: {NUMBER}, "
    rf"ips: {NUMBER} ins/s"
)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    """The model directory, with 5 batches of training data and 3.6 of test data."""
    directory = tmp_path_factory.mktemp("checkout") / "foreign_model"
    shutil.copytree(Path(__file__).parent / "foreign_model", directory)
    generator = np.random.default_rng(0)
    for split, lines in (("train", 40), ("test", 18)):
        items = generator.integers(20, size=lines)
        labels = generator.random(lines) < items / 20
        (directory / "data" / split).mkdir(parents=True)
        text = "".join(f"{item},{label:d}\n" for item, label in zip(items, labels))
        (directory / "data" / split / "part-0").write_text(text)
    (directory / "data/item_weight.txt").write_text("1.0\n" * 20)
    (directory / "data/item_weight_half.txt").write_text("0.5\n" * 20)
    return directory


@pytest.fixture(scope="module")
def run(tool, foreign):
    """run(name, output, *overrides): a tool on the model directory; returns what it printed."""
    return lambda *arguments: tool(*arguments, config=foreign / "config.yaml")


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """The output directory of a training, what was printed beside it."""
    output = tmp_path_factory.mktemp("foreign") / "output"
    (output.parent / "log").write_text(run("trainer", output))
    return output


@pytest.fixture(scope="module")
def paddlerecs(foreign):
    """What tools that behave like PaddleRec's print; their checkpoints are in foreign/output."""

    def run(name) -> str:
        script = ROOT / f"tests/paddlerec/tools/{name}.py"
        command = [
            sys.executable,
            str(script),
            "-m",
            "config.yaml",
            "-o",
            "runner.print_interval=1",
        ]
        done = subprocess.run(command, cwd=foreign, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stderr

    return {name: run(name) for name in ("trainer", "infer")}


def parameters(output, epoch) -> bytes:
    return (output / str(epoch) / "rec.pdparams").read_bytes()


def metrics(printed) -> list[tuple[str, str, str, str]]:
    """Epoch, batch, auc and loss of each log line, however PaddleRec spaces them."""
    place = r"epoch: (\d+)(?:, batch_id: (\d+)| done)"
    return re.findall(rf"{place}, auc: ?({NUMBER}),(?: ?loss:({NUMBER}))?", printed)


def test_files_and_log_lines_are_those_of_paddlerec(trained):
    saved = {str(path.relative_to(trained)) for path in trained.glob("*/rec.*")}
    assert saved == {f"{epoch}/rec.{kind}" for epoch in (0, 1) for kind in ("pdparams", "pdopt")}
    log = (trained.parent / "log").read_text()
    batch = rf"epoch: \d, batch_id: \d, auc:{NUMBER}, loss:{NUMBER},{TIMES}"
    done = rf"epoch: \d done, auc: {NUMBER},loss:{NUMBER}, epoch time: {NUMBER} s"
    told = [line.partition(" - INFO - ")[2] for line in log.splitlines() if " epoch: " in line]
    assert len(told) == 12
    for pattern, line in zip([*[batch] * 5, done] * 2, told):
        assert re.fullmatch(pattern, line)


def test_an_epoch_without_tensors_to_print_is_told_of(tool, trained, foreign, tmp_path):
    model = shutil.copytree(foreign, tmp_path / "model")
    code = (model / "dygraph_model.py").read_text()
    (model / "dygraph_model.py").write_text(code.replace('{"loss": loss}', "None"))
    printed = tool("trainer", tmp_path / "output", config=model / "config.yaml")
    log = (trained.parent / "log").read_text()
    assert metrics(printed) == [(*line[:3], "") for line in metrics(log)]


def test_training_is_that_of_paddlerecs_trainer(trained, paddlerecs, foreign):
    log = (trained.parent / "log").read_text()
    assert len(metrics(log)) == 12
    assert metrics(log) == metrics(paddlerecs["trainer"])
    for epoch in (0, 1):
        assert parameters(trained, epoch) == parameters(foreign / "output", epoch)


@pytest.mark.skipif(
    paddle.__version__.startswith("2."),
    reason="PaddleRec's infer prints nothing under Paddle 2.6",
)
def test_infer_is_that_of_paddlerecs_infer(run, trained, paddlerecs):
    chosen = "runner.infer_end_epoch=1"  # of further ones PaddleRec's metrics are not begun anew
    found = metrics(run("infer", trained, chosen))
    assert [batch for _, batch, *_ in found] == ["0", "1", "2", ""]  # the incomplete one is dropped
    assert found == metrics(paddlerecs["infer"])[:4]


def test_metrics_begin_anew_for_each_checkpoint(run, trained):
    both = metrics(run("infer", trained))
    assert both[4:] == metrics(run("infer", trained, "runner.infer_start_epoch=1"))


def test_a_reader_that_draws_random_numbers_draws_the_same_in_each_infer(
    tool, trained, foreign, tmp_path
):
    model = shutil.copytree(foreign, tmp_path / "model")
    code = (model / "click_reader.py").read_text()
    shuffled = code.replace("for line in file:", "for line in np.random.permutation(list(file)):")
    (model / "click_reader.py").write_text(shuffled)
    one, other = (metrics(tool("infer", trained, config=model / "config.yaml")) for _ in range(2))
    assert len(one) == 8
    assert one == other


def test_keys_that_the_tools_do_not_read_are_named_and_reach_the_model(run, trained, tmp_path):
    weights = "runner.item_weight_path=data/item_weight_half.txt"
    printed = run("trainer", tmp_path, weights, "runner.sync_mode=async", "hyper_parameters.new=1")
    (warning,) = re.findall(r" - WARNING - (not read by these tools.*)", printed)
    names = ["item_weight_path", "use_inference", "thread_num", "sync_mode"]
    assert warning.partition(": ")[2] == ", ".join(f"runner.{name}" for name in names)
    assert parameters(tmp_path, 1) != parameters(trained, 1)


def test_reader_processes_change_nothing(run, trained, tmp_path):
    workers = "runner.num_workers=2"
    printed = run("trainer", tmp_path, workers)
    assert metrics(printed) == metrics((trained.parent / "log").read_text())
    assert parameters(tmp_path, 1) == parameters(trained, 1)
    assert metrics(run("infer", trained, workers)) == metrics(run("infer", trained))


def test_a_learning_rate_schedule_is_stepped(run, tmp_path):
    run("trainer", tmp_path, "hyper_parameters.optimizer.decay=0.5", "runner.epochs=1")
    history = map(json.loads, (tmp_path / "history.jsonl").read_text().splitlines())
    rates = [line["values"]["learning_rate"] for line in history]
    assert rates == pytest.approx([0.01 * 0.5**step for step in range(5)])


def test_validation_marks_the_best_epoch_by_the_first_metric(run, foreign, tmp_path):
    printed = run("trainer", tmp_path, "runner.valid_data_dir=data/test")
    found = re.findall(rf"validation done, auc: ({NUMBER})", printed)
    assert (tmp_path / "best").resolve().name == str(np.argmax([float(auc) for auc in found]))


def test_a_model_without_infer_forward_is_refused_by_infer(tool, refusal, random_model, tmp_path):
    config = random_model / "config.yaml"
    tool("trainer", tmp_path / "output", "runner.epochs=1", config=config)
    settings = ["runner.test_data_dir=data", "runner.infer_batch_size=2"]
    sentence = refusal("infer", *settings, config=config)
    assert "has no infer_forward: evaluate such a model with its own script" in sentence
