"""Disks that are full or may not be written to."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys

import pytest
from tools.conftest import CONFIG, ROOT, TINY, run_tool
from utils import checkpoint


@pytest.fixture
def mounted(tmp_path):
    """mounted(options): the path of a disk of its own, in memory."""
    paths = []

    def mount(options):
        path = tmp_path / f"disk{len(paths)}"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a disk is not allowed here")
        paths.append(path)
        return path

    yield mount
    for path in paths:
        subprocess.run(["umount", str(path)], check=True)


def refused(output, *overrides, limit=None):
    """The one sentence with which a training ends."""
    settings = [*TINY, f"runner.model_save_path={output}", *overrides]
    command = [sys.executable, str(ROOT / "tools/trainer.py"), "-m", str(CONFIG), "-o", *settings]
    limited = limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=limited)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("trainer.py: ")]
    assert "Traceback" not in done.stderr and len(lines) == 1
    return lines[0]


def printing_to_a_full_disk(name, output):
    """Exit code and lines of a tool whose standard output is /dev/full."""
    with open("/dev/full", "w") as full:
        done = run_tool(name, output, stdout=full)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


def copy_of_first_epoch(trained, output):
    shutil.copytree(trained, output, symlinks=True)
    shutil.rmtree(output / "1")
    checkpoint.mark_best(output)


def assert_goes_on(tool, output, trained):
    tool("trainer", output, "runner.resume=true")
    assert (output / "1/rec.pdparams").read_bytes() == (trained / "1/rec.pdparams").read_bytes()


def assert_same_epochs(output, trained):
    for name in ("0/rec.pdparams", "1/rec.pdparams", "1/rec.pdopt"):
        assert (output / name).read_bytes() == (trained / name).read_bytes()


def contents(output):
    """The files of finished checkpoints, and which one is the best."""
    assert not list(output.glob(".*unfinished"))
    files = {path: path.read_bytes() for path in output.glob("[0-9]*/*")}
    return files, (output / "best").resolve()


def test_a_full_disk(tool, trained, mounted):
    disk = mounted("size=4m")
    output = disk / "output"
    copy_of_first_epoch(trained, output)
    before = contents(output)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
    (disk / "filling").write_bytes(b"x" * (free - 40960))
    for several in ("runner.processes=2", "runner.processes=1"):
        sentence = refused(output, several, "runner.resume=true")
        assert f"cannot write to {output}/" in sentence
        assert "(No space left on device): make room there" in sentence
        assert "what was saved before is whole, and runner.resume=true goes on" in sentence
        assert contents(output) == before
    (disk / "filling").unlink()
    assert_goes_on(tool, output, trained)


def test_a_file_that_grows_too_large(tool, trained, tmp_path):
    output = tmp_path / "output"
    copy_of_first_epoch(trained, output)
    before = contents(output)
    size = (output / "0/rec.pdopt").stat().st_size
    sentence = refused(output, "runner.resume=true", limit=size - 1)
    assert f"cannot write to {output / '1-2'} (File too large): raise the limit" in sentence
    assert contents(output) == before
    assert_goes_on(tool, output, trained)


def test_a_disk_that_is_read_only(mounted):
    disk = mounted("ro")
    sentence = refused(disk / "output")
    assert f"cannot write to {disk}/output, which is runner.model_save_path" in sentence
    assert "(Read-only file system): name another directory." in sentence
    sentence = refused(disk)
    assert f"cannot write to {disk} (Read-only file system): name another directory." in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_to(tmp_path):
    output = tmp_path / "output"
    output.mkdir(mode=0o555)
    sentence = refused(output)
    assert f"cannot write to {output} (Permission denied): name another directory." in sentence


def test_what_cannot_be_printed_is_done_all_the_same(trained, tmp_path):
    goes_on = "cannot write the log to standard output (No space left on device): the work goes on "
    code, lines = printing_to_a_full_disk("trainer", tmp_path)
    assert code == 0 and len([line for line in lines if line.startswith(goes_on)]) == 1
    assert_same_epochs(tmp_path, trained)
    code, lines = printing_to_a_full_disk("infer", tmp_path)
    assert code == 2 and (tmp_path / "meta_test.json").is_file()
    sentence = "cannot write to standard output (No space left on device): make room there."
    assert lines[-1] == f"infer.py: {sentence}"


def test_a_full_disk_under_visualdl_alone(tool, trained, mounted, tmp_path):
    disk = mounted("size=64k")
    (disk / "filling").write_bytes(b"x" * 65536)
    (tmp_path / "visualDL_log").symlink_to(disk)
    tool("trainer", tmp_path, "runner.use_visual=true")
    assert_same_epochs(tmp_path, trained)


def test_no_directory_for_visualdl(tmp_path):
    (tmp_path / "visualDL_log").touch()
    sentence = refused(tmp_path, "runner.use_visual=true")
    assert f"cannot write to {tmp_path}/visualDL_log (Not a directory): name another" in sentence
