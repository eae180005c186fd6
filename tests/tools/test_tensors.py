"""Parameters as safetensors, out and in."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import paddle
import pytest
from tools.conftest import CONFIG, ROOT, TINY
from utils import checkpoint, tensors
from utils.errors import UserError

safetensors = pytest.importorskip("safetensors.numpy")


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    file = tmp_path_factory.mktemp("written") / "parameters.safetensors"
    command = [sys.executable, str(ROOT / "tools/to_static.py"), "-m", str(CONFIG)]
    command += ["--parameters", str(file), "-o", *TINY, f"runner.infer_load_path={trained}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return file


def test_the_best_parameters_are_written(trained, written):
    expected = paddle.load(str(trained / "best/rec.pdparams"))
    found = safetensors.load_file(written)
    assert {*found} == {*expected}
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value.numpy(), strict=True)


def test_training_starts_from_them_as_from_the_checkpoint(tool, trained, written, tmp_path):
    for name, start in (("one", trained / "best"), ("other", written)):
        tool("trainer", tmp_path / name, "runner.epochs=1", f"runner.model_init_path={start}")
    one, other = ((tmp_path / name / "0/rec.pdparams").read_bytes() for name in ("one", "other"))
    assert one == other


def test_files_that_do_not_fit_are_named(written, tmp_path):
    file = tmp_path / "file.safetensors"
    with pytest.raises(UserError, match="there is no file .*file.safetensors"):
        tensors.read(file)
    whole = written.read_bytes()
    huge = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    for content in (b"", whole[:-1], whole[:100], len(huge).to_bytes(8, "little") + huge.encode()):
        file.write_bytes(content)
        with pytest.raises(UserError, match="file.safetensors cannot be read"):
            tensors.read(file)
    with pytest.raises(UserError, match="belongs to another network"):
        checkpoint.load(written, paddle.nn.Linear(1, 1))
