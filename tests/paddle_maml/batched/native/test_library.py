"""When there are compiled kernels, and what happens where there are none."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys

import pytest
from paddle_maml.batched.native import library as native


@pytest.fixture(autouse=True)
def forgotten(monkeypatch, tmp_path):
    """Nothing loaded, an empty cache."""
    module = sys.modules["paddle_maml.batched.native.library"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PADDLE_MAML_KERNELS", raising=False)
    module._loaded.cache_clear()
    yield
    module._loaded.cache_clear()


def compiler(directory, script):
    """A g++ of our own, the only one on the path."""
    path = directory / "bin" / "g++"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path.parent)


def test_they_are_compiled_once(tmp_path, monkeypatch):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    assert native("float32") is not None
    (made,) = (tmp_path / "cache" / "paddle_maml").iterdir()
    before = made.stat().st_mtime_ns
    sys.modules["paddle_maml.batched.native.library"]._loaded.cache_clear()
    assert native("float32") is not None
    assert list(made.parent.iterdir()) == [made] and made.stat().st_mtime_ns == before


def test_not_if_paddles_are_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("PADDLE_MAML_KERNELS", "paddle")
    assert native("float32") is None and not (tmp_path / "cache").exists()


def test_not_for_other_types():
    assert native("float16") is None


def test_without_a_compiler_it_is_said_once(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert native("float32") is None and native("float32") is None
    assert [r.getMessage() for r in caplog.records] == [
        "There is no g++: meta-steps run on Paddle's kernels, several times slower."
    ]


def test_what_a_failing_compiler_says_is_passed_on(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("PATH", compiler(tmp_path, "echo no such flag >&2; exit 1"))
    with caplog.at_level(logging.WARNING):
        assert native("float32") is None
    assert "no such flag" in caplog.text
    assert not list((tmp_path / "cache" / "paddle_maml").iterdir())


def test_a_cache_that_cannot_be_made_is_no_failure(monkeypatch, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file")
    assert native("float32") is None and "Paddle's kernels" in caplog.text


def test_kernels_damaged_on_the_disk_are_made_anew(tmp_path):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    module = sys.modules["paddle_maml.batched.native.library"]
    made = module._compiled("g++", "float")
    made.write_bytes(bytes(made.stat().st_size))
    assert native("float32") is not None and any(made.read_bytes())


def test_no_home_directory_is_no_failure(monkeypatch, caplog):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert native("float32") is None and "home directory" in caplog.text


def test_a_training_goes_on_without(tmp_path):
    """The same loss on Paddle's kernels, in a process that finds no compiler."""
    program = (
        "import paddle; from net import Conv4; from paddle_maml import MAML; paddle.seed(1);"
        "net = Conv4(3, 16, filters=16); x = paddle.randn([2, 6, 1, 16, 16]);"
        "y = paddle.to_tensor([[0, 1, 2, 0, 1, 2]] * 2); loss, _ = MAML(net, 0.1)(x, y, x, y);"
        "print(float(loss))"
    )
    path = os.pathsep.join(sys.path)
    losses = []
    for directory in (str(tmp_path), os.environ["PATH"]):
        environment = {**os.environ, "PATH": directory, "PYTHONPATH": path}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        losses.append(float(done.stdout.split()[-1]))
        assert ("There is no g++" in done.stderr) == (directory == str(tmp_path))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
