"""Every network of the project, exported and run by Paddle Inference."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
from utils import exported

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
    layer, spec, description = model_class.export(maml, config)
    exported.write(tmp_path / "model", layer, spec, description)
    (found,) = exported.run(exported.load(tmp_path / "model"), [x.numpy()])
    expected = layer(x).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
