"""The tutorial's commands, one after the other, on less data."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
SMALLER = {
    "imgsize: 42": "imgsize: 16",
    "tasks_per_epoch: 400": "tasks_per_epoch: 8",
    "valid_tasks: 50": "valid_tasks: 4",
    "infer_tasks: 100": "infer_tasks: 4",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def clone(tmp_path):
    """A copy of what the tutorial needs, without anyone's data and outputs."""
    left_out = shutil.ignore_patterns("data", "output_*", "image_cache", "__pycache__")
    for directory in ("models", "tools", "datasets"):
        shutil.copytree(ROOT / directory, tmp_path / directory, ignore=left_out)
    return tmp_path


def test_the_commands_lead_to_a_classifier(clone):
    install, *commands = blocks("bash")
    assert "pip install" in install
    script = "\n".join(["set -e", *commands])
    for given, smaller in SMALLER.items():
        assert given in script
        script = script.replace(given, smaller)
    script += f"\npython - <<'END'\n{blocks('python')[0]}END\n"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "models" / "maml"),
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=clone, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()[-50:]
    assert all(re.fullmatch(r"n\d+_1\d\.JPEG n\d+ [01]\.\d{4}", line) for line in answers)
    assert (clone / "predictions.csv").exists()
    assert (clone / "models/maml/configs/output_model_mine/report.html").exists()
