"""benchmarks/meta_step.py with the project's real worker on a tiny setting."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import meta_step
import numpy as np
import paddle
import pytest
from comparison import start
from job import SETTINGS, Job, Setting, problem
from net import Conv4
from paddle_maml import MAML

TINY = Setting(way=3, query=2, tasks=4, inner_steps=2, filters=4, pool=False, image_side=16)


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """run(*arguments): the command on the setting `tiny` -> exit code, table, rows."""
    monkeypatch.setitem(SETTINGS, "tiny", TINY)

    def command(*arguments):
        file = tmp_path / "rows.json"
        given = ["--setting", "tiny", "--json", str(file), "--environments", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["meta_step.py", *given, *arguments])
        with pytest.raises(SystemExit) as ended:
            meta_step.main()
        return ended.value.code, capsys.readouterr().out, json.loads(file.read_text())

    return command


def test_the_project_is_timed_and_who_is_missing_named(run):
    code, table, rows = run("--only", "project,jax,paddlerec", "--iters", "2", "--order", "1")
    assert code == 0
    assert [(row["setting"], row["order"], row["who"]) for row in rows] == [
        ("tiny", 1, name) for name in ("project", "jax", "paddlerec")
    ]
    project, jax, paddlerec = rows
    assert 0 < project["min_ms"] <= project["median_ms"] <= project["max_ms"]
    assert project["peak_mib"] > 50
    assert jax["median_ms"] is paddlerec["median_ms"] is None
    lines = table.splitlines()
    assert lines[0].startswith("| setting | order | who | median ms | min ms | max ms | relative ")
    assert lines[2].startswith(f"| tiny | 1 | project | {project['median_ms']:.0f} |")
    assert "environments.sh" in lines[3] and "--paddlerec" in lines[4]


def test_the_worker_shares_the_tasks_and_finds_their_meta_gradient(tmp_path):
    theta, batch = problem(Job(TINY, dtype="float64"))
    given, answer = tmp_path / "given.npz", tmp_path / "gradient.npz"
    np.savez(given, *theta, *batch)
    team = start("project", Job(TINY, dtype="float64", given=str(given)), tmp_path, limit=300)
    team.ask(f"gradient {answer}")
    team.close()

    paddle.set_default_dtype("float64")
    try:
        maml = MAML(Conv4(3, 16, filters=4, pool=False), TINY.inner_lr, TINY.inner_steps)
    finally:
        paddle.set_default_dtype("float32")
    own = [p for p in maml.parameters() if not p.stop_gradient]
    for parameter, value in zip(own, theta):
        parameter.set_value(value)
    maml(*map(paddle.to_tensor, batch))[0].backward()
    with np.load(answer) as file:
        assert len(file.files) == len(own)
        for name, parameter in zip(file.files, own):
            np.testing.assert_allclose(file[name], parameter.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_gradients_that_differ_fail_the_check(run, monkeypatch):
    right = meta_step.start

    def start_two(name, job, *rest):
        """The project's worker again, in jax's place with another inner learning rate."""
        if name == "jax":
            setting = meta_step.replace(job.setting, inner_lr=job.setting.inner_lr * (1 + 1e-6))
            job = meta_step.replace(job, setting=setting)
        return right("project", job, *rest)

    monkeypatch.setattr(meta_step, "start", start_two)
    code, _, rows = run("--check", "--only", "project,torch_loop")
    assert code == 0
    assert [row["relative_error"] for row in rows] == pytest.approx([0, 0], abs=1e-12)
    code, table, rows = run("--check", "--only", "project,jax,paddlerec")
    assert code == 1
    assert rows[1]["relative_error"] > 1e-8
    assert "reason" in rows[2] and "relative error" in table


def test_a_name_that_is_none_is_refused():
    script = Path(meta_step.__file__)
    done = subprocess.run(
        [sys.executable, str(script), "--only", "torch"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no 'torch': choose from project, torch_loop" in done.stderr
