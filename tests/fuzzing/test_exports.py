"""What a saved classifier says of itself in infer_cfg.yml."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import paddle
import paddle_maml
import pytest
import yaml
from fuzzing.conftest import fuzzed
from fuzzing.guard import judged
from fuzzing.mutations import altered, mutated
from fuzzing.test_configurations import MODEL, TOKENS
from hypothesis import given
from paddle_infer import read
from paddle_maml import exported
from paddle_maml.pixel_scale import INK
from PIL import Image

CLASSES = ["alpha", "beta"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A classifier of images of 8 x 8 pixels."""
    paddle.seed(0)
    maml = paddle_maml.MAML(paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(64, 2)), 0.1)
    images = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    learner = maml.adapt(paddle.to_tensor(images), paddle.to_tensor([0, 0, 1, 1]))
    directory = tmp_path_factory.mktemp("saved") / "classifier"
    learner.save(directory, images, CLASSES, INK)
    return directory


@pytest.fixture
def classify(saved, target, monkeypatch):
    """classify(description): what paddle_infer.py and a program do with the classifier."""
    directory, images = target / "classifier", target / "images"
    shutil.copytree(saved, directory)
    images.mkdir()
    Image.new("L", (8, 8), 99).save(images / "1.png")

    def call(description: bytes):
        (directory / exported.DESCRIPTION).write_bytes(description)
        with monkeypatch.context() as context:
            context.setattr(sys, "path", [*sys.path])
            dataset = read(
                str(MODEL / "omniglot_reader.py"), str(images), exported.describe(directory)
            )
        classifier = paddle_maml.load(directory)
        predict_as_described(classifier)
        for pixels in (classifier.read(images / "1.png"), np.stack([x for (x,) in dataset])):
            probabilities = classifier.predict(pixels)
            assert probabilities.shape == (1, len(classifier.classes))
            assert probabilities.sum() == pytest.approx(1)

    call((saved / exported.DESCRIPTION).read_bytes())
    return call


def predict_as_described(classifier):
    shape = classifier.description["input"]["shape"]
    if len(shape) < 9 and all(type(length) is int and 0 <= length < 9 for length in shape):
        classifier.predict(np.zeros((1, *shape)))


def test_the_valid_description_is_taken(classify, saved, target):
    whole = (saved / exported.DESCRIPTION).read_bytes()
    assert judged(lambda: classify(whole), target) == "taken"


DESCRIPTION = {
    "input": {"shape": [1, 8, 8], "dtype": "float32"},
    "image": {"side": 8, "channels": 1, "black": 1.0, "white": 0.0},
    "batch_norm": "none",
    "classes": CLASSES,
}


@fuzzed
@given(text=mutated([yaml.safe_dump(DESCRIPTION).encode()], TOKENS))
def test_a_changed_description(classify, target, text):
    judged(lambda: classify(text), target)


@fuzzed
@given(tree=altered({**DESCRIPTION, "sha256": {"tostatic.json": "0", "": "", "\0": ""}}))
def test_a_description_of_other_values(classify, target, tree):
    judged(lambda: classify(yaml.safe_dump(tree).encode()), target)
