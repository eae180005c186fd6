"""The tools on a regression: a short training on sinusoids, its meta-test, report and VisualDL."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest
from conftest import ROOT
from dygraph_model import DygraphModel
from paddle_maml import exported
from PIL import Image
from test_report import Parsed, read_page, report
from utils import checkpoint
from utils.config import load_config
from visualdl import LogReader

RECIPE = ROOT / "models/maml/configs/sinusoid_10shot.yaml"
SMALL = [
    "runner.epochs=3",
    "runner.print_interval=20",
    "runner.valid_tasks=50",
    "runner.infer_tasks=75",
    "hyper_parameters.tasks_per_epoch=2500",
]


@pytest.fixture(scope="module")
def run(tool, tmp_path_factory):
    """A training of 300 meta-steps and its meta-test; `log` beside it is what was printed."""
    output = tmp_path_factory.mktemp("regression") / "output"
    printed = tool("trainer", output, *SMALL, "runner.use_visual=true", config=RECIPE)
    printed += tool("infer", output, *SMALL, config=RECIPE)
    (output.parent / "log").write_text(printed)
    return output


@pytest.fixture(scope="module")
def summary(run):
    return json.loads((run / "meta_test.json").read_text())


def validations(run) -> list[dict]:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] == "valid"]


def test_training_lowers_the_error(summary):
    """Zero everywhere would have E[a^2] / 2 = 4.25 over the paper's amplitudes."""
    assert summary["mse"] < 2.5
    assert summary["mse_per_step"][0] > summary["mse_per_step"][1] > summary["mse"]


def test_the_best_epoch_is_that_of_the_lowest_error(run):
    errors = [line["values"]["mse"] for line in validations(run)]
    assert (run / "best").resolve().name == str(int(np.argmin(errors)))


def test_the_meta_test_says_what_was_measured(run, summary):
    wanted = {"measure": "mse", "tasks": 75, "shot": 10, "query": 100, "steps": 10}
    assert {key: summary[key] for key in wanted} == wanted
    assert summary["inner_lr"] == 0.01 and not {"way", "accuracy", "rotation"} & {*summary}
    printed = (run.parent / "log").read_text()
    assert "inner steps  mse" in printed and "75 tasks, 10-shot, " in printed
    rows = re.findall(r"^ +(\d+)  ([\d.]+) ± ([\d.]+)$", printed, re.MULTILINE)
    assert [int(step) for step, *_ in rows] == list(range(11))
    found = [float(mean) for _, mean, _ in rows]
    assert found == pytest.approx(summary["mse_per_step"], rel=1e-3)


def test_the_report_shows_errors_and_curves(run, summary):
    parsed = Parsed(read_page(run))
    assert "10-shot regression: second-order MAML on MLP" in parsed.text
    assert f"{summary['mse']:.4g} ± {summary['ci95']:.2g}" in parsed.text
    assert "Meta-test: mean squared error on queries after adaptation" in parsed.text
    assert "Accuracy" not in parsed.text
    labels = [svg["aria-label"] for svg in parsed.all("svg")]
    assert any(label.startswith("Mean squared error over meta-steps: ") for label in labels)
    tasks = [label for label in labels if label.startswith("Task ")]
    assert len(tasks) == 4
    for number, label in enumerate(tasks, 1):
        assert label.startswith(f"Task {number}: predictions and truth over x; mean squared error ")
        assert label.endswith(" after inner steps 0, 1, 10.")


def test_without_a_meta_test_the_report_names_the_lowest_validation(run, tmp_path):
    untested = shutil.copytree(run, tmp_path / "run", symlinks=True)
    (untested / "meta_test.json").unlink()
    best = min(validations(run), key=lambda line: line["values"]["mse"])
    text = Parsed(read_page(untested)).text
    assert f"Validation: Mean squared error, best epoch: {best['epoch']}" in text
    assert f"{best['values']['mse']:.4g} ± {best['values']['ci95']:.2g}" in text


def test_a_meta_test_without_its_error_is_refused(run, summary, tmp_path):
    damaged = shutil.copytree(run, tmp_path / "run", symlinks=True)
    del summary["mse_per_step"]
    (damaged / "meta_test.json").write_text(json.dumps(summary))
    done = report(damaged)
    assert done.returncode == 2 and "meta_test.json has no mse: meta-test again" in done.stderr


def test_visualdl_has_the_errors_and_the_curves(run):
    (log,) = (run / "visualDL_log/train").glob("*.log")
    reader = LogReader(file_path=str(log))
    last = reader.get_data("scalar", "valid/mse_after_inner_step_10")[-1].value
    assert last == pytest.approx(validations(run)[-1]["values"]["mse"])
    assert set(reader.get_tags()["image"]) == {f"valid/episode_{n}" for n in range(4)}


def test_the_network_is_exported_and_answers_as_it_was_trained(run, tmp_path):
    where = [f"runner.infer_load_path={run}", *SMALL]
    command = [sys.executable, str(ROOT / "tools/to_static.py"), "-m", str(RECIPE)]
    command += ["--out", str(tmp_path / "exported")]
    subprocess.run([*command, "-o", *where], check=True, timeout=300)
    config = load_config(str(RECIPE), where)
    model = DygraphModel().create_model(config)
    checkpoint.load(run / "best", model)
    x = np.linspace(-5, 5, 7, dtype=np.float32)[:, None]
    (y,) = exported.run(exported.predictor(tmp_path / "exported"), [x])
    np.testing.assert_allclose(y, model.net(paddle.to_tensor(x)).numpy(), atol=1e-5)
    assert exported.describe(tmp_path / "exported")["inputs"] == ["x"]


def test_points_are_not_turned(run, refusal):
    sentence = refusal("infer", *SMALL, "runner.infer_views=8", output=run, config=RECIPE)
    assert "points are not to be turned: leave it out." in sentence


@pytest.mark.parametrize("name", ["to_static", "adapt"])
def test_adapting_to_images_is_refused(run, tmp_path, name):
    command = [sys.executable, str(ROOT / f"tools/{name}.py"), "-m", str(RECIPE)]
    command += ["--support", str(tmp_path), "--out", str(tmp_path / "out.csv")]
    command += ["--query", str(tmp_path)] if name == "adapt" else []
    done = subprocess.run(
        [*command, "-o", f"runner.infer_load_path={run}"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2 and "hyper_parameters.loss is mse: use" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_figure_has_a_panel_per_run(run, tmp_path):
    sizes = []
    for runs in ([run], [run, run]):
        command = [sys.executable, str(ROOT / "benchmarks/sinusoid.py"), *map(str, runs)]
        subprocess.run([*command, "--out", str(tmp_path / "figure.png")], check=True, timeout=300)
        sizes.append(Image.open(tmp_path / "figure.png").size)
    (one, height), (two, same) = sizes
    assert two == 2 * one and same == height
