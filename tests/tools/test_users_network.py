"""A network of the user's own beside the configuration, through the tools."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest
import yaml
from dygraph_model import DygraphModel
from paddle_maml import exported
from tools.conftest import CONFIG, ROOT
from utils import checkpoint
from utils.config import load_config

FEW = ["hyper_parameters.k_query_test=2", "hyper_parameters.network=my_nets.narrow"]
CHARACTERS = ROOT / "models/maml/data/sample_data/test/Alphabet_13"
NETS = """\
import paddle
from networks.resnet12 import ResNet12
from paddle import nn

def narrow(n_way, channels, imgsize):
    return ResNet12(n_way, channels, imgsize, widths=(4, 4, 8, 8))

def too_many(n_way, channels, imgsize):
    return narrow(n_way + 1, channels, imgsize)

class Impossible(nn.Layer):
    def __init__(self, n_way, channels, imgsize):
        super().__init__()
        self.linear = nn.Linear(channels * imgsize**2, n_way)
    def forward(self, x):
        x = self.linear(x.flatten(1))
        return paddle.renorm(x, 2.0, 0, 1.0) * paddle.linalg.svd(x)[1].sum()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A directory of a user's: the quick start's configuration, and a module of networks."""
    directory = tmp_path_factory.mktemp("project")
    config = yaml.safe_load(CONFIG.read_text())
    config["workspace"] = str(CONFIG.parent)
    for split in ("train", "valid", "test"):
        key = f"{split}_data_dir"
        config["runner"][key] = str(CONFIG.parent / config["runner"][key])
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    (directory / "my_nets.py").write_text(NETS)
    return directory


@pytest.fixture(scope="module")
def trained(tool, project):
    output = project / "output"
    tool("trainer", output, *FEW, config=project / "config.yaml")
    tool("infer", output, *FEW, config=project / "config.yaml")
    return output


def parameters(output) -> dict[str, np.ndarray]:
    found = paddle.load(str(output / "1/rec.pdparams"))
    return {name: value.numpy() for name, value in found.items()}


def test_it_is_trained_and_meta_tested(trained):
    summary = json.loads((trained / "meta_test.json").read_text())
    assert len(summary["accuracy_per_step"]) == 4 and summary["tasks"] == 20
    found = parameters(trained)
    assert found["net.blocks.3.body.4.0.weight"].shape == (8, 8, 3, 3)
    assert found["net.classifier.weight"].shape == (8, 5)


def test_two_processes_train_it_to_the_same(tool, trained, project):
    output = project / "two"
    tool("trainer", output, *FEW, "runner.processes=2", config=project / "config.yaml")
    one, two = parameters(trained), parameters(output)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-5)


def run(name, *options):
    command = [sys.executable, str(ROOT / f"tools/{name}.py"), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_report_names_it_and_has_its_episodes(trained, tmp_path):
    run("report", trained, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "second-order MAML on my_nets.narrow" in page and '<div class="episodes">' in page


def test_it_is_exported_as_a_classifier(trained, project, tmp_path):
    for character in sorted(CHARACTERS.iterdir())[:5]:
        (tmp_path / "support" / character.name).mkdir(parents=True)
        for file in sorted(character.iterdir())[:2]:
            shutil.copy(file, tmp_path / "support" / character.name)
    config = project / "config.yaml"
    where = ["-o", *FEW, f"runner.infer_load_path={trained}"]
    support = ["--support", tmp_path / "support", "--steps", 2, "--out", tmp_path / "out"]
    run("to_static", "-m", config, *support, *where)

    config, model_class = load_config(str(config), FEW), DygraphModel()
    maml = model_class.create_model(config)
    checkpoint.load(checkpoint.best_or_last(trained), maml)
    maml.eval()
    task = model_class.adapt(maml, config, str(tmp_path / "support"), steps=2)
    (found,) = exported.run(exported.predictor(tmp_path / "out"), [task.support_x])
    expected = task.learner(paddle.to_tensor(task.support_x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("my_nets.wide", "my_nets.py has no function or class wide"),
        ("my_nets.too_many", "gives outputs of shape [6, 6] for 6 images"),
    ],
)
def test_what_is_no_network_is_refused_before_the_training(refusal, project, network, sentence):
    override = f"hyper_parameters.network={network}"
    assert sentence in refusal("trainer", override, config=project / "config.yaml")


def test_operators_without_a_second_derivative_are_named_before_the_training(
    refusal, tool, project
):
    overrides = ["hyper_parameters.network=my_nets.Impossible", "runner.epochs=1"]
    config = project / "config.yaml"
    sentence = refusal("trainer", *overrides, config=config)
    assert "network = my_nets.Impossible: Paddle cannot differentiate twice: renorm (" in sentence
    assert "svd (compute it outside" in sentence and "or take order=1" in sentence
    tool("trainer", project / "first", *overrides, "hyper_parameters.order=1", config=config)
