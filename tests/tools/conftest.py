"""The tools, run as users run them: as processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

collect_ignore = ["foreign_model"]  # it is run, not imported
ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "models/maml/config.yaml"
CHARACTERS = ROOT / "models/maml/data/sample_data/test/Alphabet_13"
TINY = [
    "runner.epochs=2",
    "runner.print_interval=1",
    "runner.valid_tasks=8",
    "runner.infer_tasks=20",
    "hyper_parameters.tasks_per_epoch=16",
    "hyper_parameters.bn_channel=8",
]


def run_tool(
    name: str, output: Path, *overrides: str, config=CONFIG, stdout=subprocess.PIPE
) -> subprocess.CompletedProcess:
    """Run tools/{name}.py on a tiny setting, its checkpoints in `output`."""
    where = [f"runner.model_save_path={output}", f"runner.infer_load_path={output}"]
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), "-m", str(config)]
    command += ["-o", *TINY, *where, *overrides]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300)


@pytest.fixture(scope="session")
def tool():
    """tool(name, output, *overrides): run a tool that is to succeed; returns what it printed."""

    def run(*arguments, **options) -> str:
        done = run_tool(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def refusal(tmp_path):
    """refusal(name, *overrides): run a tool that is to refuse; returns its one sentence."""

    def run(name, *overrides, output=tmp_path / "output", **options) -> str:
        before = sorted(output.rglob("*"))
        done = run_tool(name, output, *overrides, **options)
        assert "Traceback" not in done.stderr
        (sentence,) = done.stderr.splitlines()
        assert sentence.startswith(f"{name}.py: ")
        assert done.returncode == 2
        assert sorted(output.rglob("*")) == before
        return sentence

    return run


@pytest.fixture(scope="session")
def trained(tool, tmp_path_factory):
    """The output directory of a tiny training."""
    output = tmp_path_factory.mktemp("trained") / "output"
    (output.parent / "log").write_text(tool("trainer", output))
    return output


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """`support`, five characters of two drawings each, and `query`, three others of each."""
    directory = tmp_path_factory.mktemp("images")
    for character in sorted(CHARACTERS.iterdir())[:5]:
        files = sorted(character.iterdir())
        for part, chosen in (("support", files[:2]), ("query", files[2:5])):
            (directory / part / character.name).mkdir(parents=True)
            for file in chosen:
                (directory / part / character.name / file.name).write_bytes(file.read_bytes())
    return directory


@pytest.fixture
def random_model(tmp_path):
    """A model directory whose reader draws from numpy and Python, and its network from Paddle."""
    directory = tmp_path / "random_model"
    (directory / "data").mkdir(parents=True)
    (directory / "data/file").touch()
    (directory / "config.yaml").write_text(
        textwrap.dedent("""\
        runner:
          train_data_dir: data
          train_batch_size: 2
          use_gpu: false
        """)
    )
    (directory / "reader.py").write_text(
        textwrap.dedent("""\
        import random
        import numpy as np
        from paddle.io import IterableDataset
        class RecDataset(IterableDataset):
            def __init__(self, files, config):
                pass
            def __iter__(self):
                for _ in range(24):
                    yield [np.float32([np.random.rand(), random.random()])]
        """)
    )
    (directory / "dygraph_model.py").write_text(
        textwrap.dedent("""\
        import time
        import paddle
        class DygraphModel:
            def create_model(self, config):
                return paddle.nn.Sequential(paddle.nn.Linear(2, 8), paddle.nn.Dropout(0.5))
            def create_optimizer(self, model, config):
                rate = paddle.optimizer.lr.ExponentialDecay(0.1, 0.9)
                return paddle.optimizer.Adam(rate, parameters=model.parameters())
            def create_metrics(self):
                return [], []
            def train_forward(self, model, metrics, batch, config):
                time.sleep(0.03)  # so that the kill comes in time
                loss = (model(batch[0]) ** 2).mean()
                return loss, metrics, {"loss": loss}
        """)
    )
    return directory
