"""Two trainings in one directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

from tools.conftest import ROOT

HOLD = """
import sys, time
from pathlib import Path
from utils.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(1000)
"""


def hold(directory):
    """Start a process that has the lock."""
    command = [sys.executable, "-c", HOLD, str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert holder.stdout.readline() == "locked\n"
    return holder


def test_the_second_is_refused_and_the_first_named(refusal, trained, tool, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(trained, output, symlinks=True)
    shutil.rmtree(output / "1")
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    holder = hold(output)
    before[output / ".lock"] = (output / ".lock").read_bytes()
    for overrides in (["runner.resume=true"], ["runner.processes=2"], []):
        sentence = refusal("trainer", *overrides, output=output)
        assert f"process {holder.pid} on " in sentence
        assert f"is training in {output}: wait for its end, end it, or name another" in sentence
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert f"{holder.pid} on " in (output / ".lock").read_text()
    tool("trainer", output, "runner.resume=true")
    assert (output / "1/rec.pdparams").read_bytes() == (trained / "1/rec.pdparams").read_bytes()
