"""Configuration files and the words after -o, up to the readers and the output directory."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from fuzzing.conftest import fuzzed
from fuzzing.guard import judged
from fuzzing.mutations import TEXTS, altered, mutated, odd_values
from hypothesis import given
from hypothesis import strategies as st
from infer import checkpoints
from paddle_maml.image_classes import ImageClasses, save_image_classes
from paddle_maml.settings import Settings
from sinusoid_reader import RANGES
from trainer import batches, create_loaders, make_save_path
from utils import processes
from utils.config import RUNNER, load_config, path_of, required
from utils.model import load_model_class

MODEL = Path(__file__).parents[2] / "models/maml"
RECIPES = [file.read_bytes() for file in sorted(MODEL.glob("**/*.yaml"))]
FIELDS = [field.name.replace("__", ".") for field in dataclasses.fields(Settings)]
KEYS = [f"runner.{key}" for key in RUNNER] + [f"hyper_parameters.{key}" for key in FIELDS]
KEYS += ["workspace", "runner", "hyper_parameters", "runner.use_xpu", "other", "a.b", ""]
TOKENS = [b": ", b"- ", b"? ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"<<: *a", b"---\n", b"...\n"]
TOKENS += [b"|\n", b">\n", b'"', b"'", b"#", b"\t", b"\n  ", b"\r", b"%YAML 9.9\n", b"\xef\xbb\xbf"]
TOKENS += [b"\xff\xfe", b"\0", b"!!binary ", b"!!timestamp ", b"!!set ", b"!!omap ", b"!!pairs "]
TOKENS += [b"!!int ", b"!!float ", b"!!bool ", b"!!python/object/apply:os.system [echo] ", b"!a "]
TOKENS += [
    b"1:2:3",
    b"2001-99-99",
    b"0x",
    b"0b",
    b".nan",
    b"1e999",
    b"-.inf",
    b"=",
    b"~",
    b"9" * 5000,
]
READERS = [
    "omniglot_reader",
    "",
    ".",
    "..x",
    "net",
    "omniglot_reader.x",
    "a b",
    "\0",
    "\ud800",
    "é",
]


READERS = ["omniglot_reader", "mini_imagenet_reader", "sinusoid_reader"]
VALID = {
    "workspace": str(MODEL),
    "runner": {
        "train_data_dir": "train",
        "valid_data_dir": "valid",
        "test_data_dir": "test",
        "train_reader_path": "omniglot_reader",
        "infer_reader_path": "omniglot_reader",
        "use_gpu": False,
        "train_batch_size": 2,
        "infer_batch_size": 2,
        "epochs": 1,
        "model_save_path": "out",
    },
    "hyper_parameters": {
        "tasks_per_epoch": 4,
        "imgsize": 16,
        "base_optimizer": {"class": "SGD", "learning_rate": 0.1},
    },
}


@pytest.fixture
def start(target, monkeypatch):
    """start(config, overrides): what trainer and infer do with a configuration before they work."""
    images = np.zeros((80, 1, 18, 18), np.uint8)
    classes = ImageClasses(tuple("abcde"), images, np.arange(0, 81, 16))
    for split in ("train", "valid", "test"):
        save_image_classes(target / split, classes)
        shutil.copy(
            MODEL / "data/sinusoid" / split.replace("valid", "val") / RANGES, target / split
        )
    (target / "out/0").mkdir(parents=True)
    for reader in READERS:
        importlib.import_module(reader)

    def run(text: bytes, overrides=()):
        (target / "config.yaml").write_bytes(text)
        config = load_config(str(target / "config.yaml"), list(overrides))
        with monkeypatch.context() as context:
            context.setattr(sys, "path", [*sys.path])
            load_model_class(config)
        processes.share(required(config, "runner.train_batch_size"), processes.wanted(config))
        required(config, "runner.epochs")
        for loader in create_loaders(config):
            if loader is not None:
                batches(loader)
                next(iter(loader.reader))
        if target in path_of(config, config.get("runner.model_save_path", "out")).parents:
            checkpoints(make_save_path(config), config, lower_is_better=False)

    run(dumped(VALID))  # whatever is imported when it is needed is imported by now
    return run


def dumped(tree) -> bytes:
    return yaml.safe_dump(tree).encode()


def test_the_valid_configuration_is_taken(start, target):
    assert judged(lambda: start(dumped(VALID)), target) == "taken"


@fuzzed
@given(text=mutated([*RECIPES, dumped(VALID)], TOKENS))
def test_a_changed_text(start, target, text):
    there = [f"runner.{split}_data_dir={split}" for split in ("train", "valid", "test")]
    there += [f"workspace={MODEL}", "runner.model_save_path=out"]
    judged(lambda: start(text, there), target)


@fuzzed
@given(tree=altered(VALID))
def test_a_changed_value(start, target, tree):
    judged(lambda: start(dumped(tree)), target)


WORDS = ["maml_pp", "reptile", "proto_net", "fine_tune", "mse", "mlp", "support", "cosine", "auto"]
WORDS += ["out", "train", "true", "false", *READERS]


@st.composite
def overrides(draw):
    key = draw(st.sampled_from([*KEYS, *TEXTS]))
    value = draw(odd_values() | st.sampled_from(WORDS) | st.integers(-1, 20) | st.floats(0, 2))
    return f"{key}={draw(st.sampled_from((str, repr, as_yaml)))(value)}"


def as_yaml(value) -> str:
    return yaml.safe_dump(value, default_flow_style=True)


@fuzzed
@given(words=st.lists(overrides(), min_size=1, max_size=2))
def test_words_after_o(start, target, words):
    judged(lambda: start(dumped(VALID), words), target)


RANGES_OF_TRAINING = (MODEL / "data/sinusoid/train" / RANGES).read_bytes()
SINUSOIDS = {
    **VALID,
    "runner": {**VALID["runner"], "train_reader_path": READERS[2], "infer_reader_path": READERS[2]},
    "hyper_parameters": {"loss": "mse", "network": "mlp", "tasks_per_epoch": 4},
}


@fuzzed
@given(
    text=mutated([RANGES_OF_TRAINING], TOKENS)
    | altered(yaml.safe_load(RANGES_OF_TRAINING)).map(dumped)
)
def test_changed_ranges_of_sinusoids(start, target, text):
    (target / "train" / RANGES).write_bytes(text)
    judged(lambda: start(dumped(SINUSOIDS)), target)
