"""Every network of the project, exported and run by Paddle Inference."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
from net import Conv4
from paddle import inference
from paddle_maml import Learner, exported
from paddle_maml.errors import UserError
from paddle_maml.functional import trainable

SETTINGS = {
    "strided": {"hyper_parameters.conv_stride": 2},
    "pooled": {"hyper_parameters.conv_stride": 1},
    "colour": {"hyper_parameters.channels": 3},
    "mlp": {"hyper_parameters.network": "mlp"},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_an_exported_network_has_the_same_logits(tmp_path, kind):
    paddle.seed(0)
    config = {"hyper_parameters.imgsize": 20, "hyper_parameters.bn_channel": 8, **SETTINGS[kind]}
    model_class = DygraphModel()
    maml = model_class.create_model(config)
    x = paddle.rand([10, config.get("hyper_parameters.channels", 1), 20, 20])
    export = model_class.export(maml, config)
    exported.write(tmp_path / "model", export)
    (found,) = exported.run(exported.predictor(tmp_path / "model"), [x.numpy()])
    expected = export.layer(x).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("pool", [False, True])
def test_channels_last_networks_run_in_paddle_inference_as_it_is_by_default(tmp_path, pool):
    """There oneDNN and the merging of batch norm into convolutions fail on channels-last ones."""
    paddle.seed(0)
    net, x = Conv4(3, 16, filters=8, pool=pool, channels_last=True), paddle.rand([6, 1, 16, 16])
    learner = Learner(net, trainable(net))
    for layer in (learner.standalone(), learner.standalone(x)):
        spec = [paddle.static.InputSpec([None, 1, 16, 16], "float32", "image")]
        exported.write(tmp_path / "model", exported.Export(layer, spec, {}))
        (program,) = (f for f in (tmp_path / "model").iterdir() if f.suffix in exported.PROGRAMS)
        settings = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
        settings.enable_mkldnn()  # 2.6.2 leaves it off
        settings.disable_glog_info()
        (found,) = exported.run(inference.create_predictor(settings), [x.numpy()])
        np.testing.assert_allclose(found, layer(x).numpy(), atol=1e-5)


def write(directory, width: int):
    layer = paddle.nn.Linear(width, 2)
    layer.eval()
    spec = [paddle.static.InputSpec([None, width], "float32", "x")]
    exported.write(directory, exported.Export(layer, spec, {"width": width}))


def width_of(directory) -> int:
    """Of an export that is whole."""
    width = exported.describe(directory)["width"]
    x = np.ones((1, width), np.float32)
    (found,) = exported.run(exported.predictor(directory), [x])
    assert found.shape == (1, 2)
    return width


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (".model.unfinished", OSError(errno.EIO, "cannot write")),
        (".model.unfinished", KeyboardInterrupt("cannot write")),
        ("model", OSError(errno.EBUSY, "cannot write")),  # as of a mount point
    ],
)
def test_what_fails_leaves_the_earlier_export(tmp_path, monkeypatch, place, error):
    def failing(path, target):
        if path.name == place:
            raise error
        return rename(path, target)

    rename = Path.rename
    write(tmp_path / "model", 3)
    with monkeypatch.context() as patch, pytest.raises((UserError, KeyboardInterrupt), match="can"):
        patch.setattr(Path, "rename", failing)
        write(tmp_path / "model", 4)
    assert os.listdir(tmp_path) == ["model"] and width_of(tmp_path / "model") == 3
    write(tmp_path / "model", 4)
    assert os.listdir(tmp_path) == ["model"] and width_of(tmp_path / "model") == 4


def end_before_renaming(end: str) -> None:
    """End this process before it renames a path with this end."""

    def hook(event, arguments):
        if event == "os.rename" and os.fspath(arguments[0]).endswith(end):
            os._exit(9)

    sys.addaudithook(hook)


def test_a_kill_leaves_the_earlier_export_beside_its_place(tmp_path):
    write(tmp_path / "model", 3)
    for _ in range(2):
        child = os.fork()
        if not child:
            try:
                end_before_renaming("unfinished")
                (tmp_path / "unfinished").mkdir(exist_ok=True)
                exported._put_in_place(tmp_path / "unfinished", tmp_path / "model")
            finally:
                os._exit(0)  # this is no other run of the tests
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert width_of(tmp_path / ".model.replaced") == 3
    (tmp_path / "unfinished").rmdir()
    write(tmp_path / "model", 4)
    assert os.listdir(tmp_path) == ["model"] and width_of(tmp_path / "model") == 4
