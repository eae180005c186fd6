"""The algorithms that MAML is compared with, from training to the report."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from tools.conftest import ROOT

FEW = ["runner.epochs=1", "runner.valid_tasks=4", "runner.infer_tasks=4"]


@pytest.mark.parametrize(
    ("algorithm", "processes", "steps"),
    [
        ("proto_net", 2, 0),
        ("matching_net", 1, 0),
        ("siamese", 1, 0),
        ("fine_tune", 2, 3),
        ("nearest_neighbor", 1, 0),
    ],
)
def test_one_key_chooses_the_algorithm(tool, tmp_path, algorithm, processes, steps):
    chosen = [*FEW, f"hyper_parameters.algorithm={algorithm}"]
    tool("trainer", tmp_path, *chosen, f"runner.processes={processes}")
    printed = tool("infer", tmp_path, *chosen)
    rows = re.findall(r"^ +(\d+)  \d+\.\d\d ± \d+\.\d\d %$", printed, re.MULTILINE)
    assert rows == [str(step) for step in range(steps + 1)]
    summary = json.loads((tmp_path / "meta_test.json").read_text())
    assert summary["transductive"] is False
    assert summary.get("steps", 0) == steps
    assert "order" not in summary


def test_what_takes_no_steps_is_shown_without_them(tool, tmp_path):
    chosen = [*FEW, "hyper_parameters.algorithm=proto_net"]
    tool("trainer", tmp_path, *chosen, "runner.use_visual=true")
    tool("infer", tmp_path, *chosen)
    assert not (tmp_path / "visualDL_log/inner_loop").exists()
    report = [sys.executable, str(ROOT / "tools/report.py"), str(tmp_path)]
    subprocess.run(report, check=True, capture_output=True, timeout=300)
    html = (tmp_path / "report.html").read_text()
    assert "5-way 1-shot: prototypical networks on Conv4" in html
    assert "predicted: " in html and "before: " not in html
    assert "inner step" not in html.lower()


def test_the_number_of_training_classes_is_told(refusal):
    chosen = ["hyper_parameters.algorithm=fine_tune", "hyper_parameters.pretrain_classes=80"]
    sentence = refusal("trainer", *chosen)
    assert "80 classes and 3 rotations of each: set it to 320" in sentence
