"""Every network of the project, exported and run by Paddle Inference."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
from net import Conv4
from paddle import inference
from paddle_maml import Learner, exported
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
