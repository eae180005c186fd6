"""Probabilities of a learner, and the same from what it saved."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import paddle
import paddle_maml
import pytest
import yaml
from few_shot import log_softmax
from net import MLP, Conv4
from paddle_maml import (
    ANIL,
    MAML,
    FineTune,
    MAMLPlusPlus,
    MatchingNet,
    MetaSGD,
    NearestNeighbor,
    ProtoNet,
    Reptile,
    Siamese,
)
from paddle_maml.errors import UserError
from paddle_maml.image_files import read_image
from paddle_maml.pixel_scale import INK, PixelScale
from PIL import Image

SIDE, WAY, CLASSES = 16, 3, ["ant", "bee", "cat"]
PROGRAM = "tostatic.json" if paddle.__version__ >= "3" else "tostatic.pdmodel"


def conv4(way=WAY):
    return Conv4(way, SIDE, filters=4, pool=False)  # computes channels-last


ALGORITHMS = {
    "maml": lambda: MAML(conv4(), 0.4),
    "maml, pooled": lambda: MAML(Conv4(WAY, SIDE, filters=4), 0.4),
    "maml, mlp": lambda: MAML(MLP(SIDE**2, WAY, [8]), 0.4),
    "anil": lambda: ANIL(conv4(), 0.4),
    "meta_sgd": lambda: MetaSGD(conv4(), 0.4),
    "maml_pp": lambda: MAMLPlusPlus(conv4(), 0.4, 3),
    "reptile": lambda: Reptile(conv4(), 0.4),
    "proto_net": lambda: ProtoNet(conv4(None)),
    "matching_net": lambda: MatchingNet(conv4(None)),
    "siamese": lambda: Siamese(conv4(None), 4),
    "fine_tune": lambda: FineTune(conv4(None), 4, 7, 0.1),
    "nearest_neighbor": lambda: NearestNeighbor(conv4(None), 4, 7),
}
EMBEDDING = ("proto_net", "matching_net", "siamese", "fine_tune", "nearest_neighbor")


def images(number):
    return np.random.default_rng(number).random((number, 1, SIDE, SIDE), np.float32)


@pytest.fixture(scope="module", params=ALGORITHMS)
def adapted(request):
    """An algorithm's name, its learner of a task of five images, and these."""
    paddle.seed(0)
    algorithm = ALGORITHMS[request.param]()
    if request.param in EMBEDDING:
        algorithm.embedding(paddle.to_tensor(images(20)))  # other statistics than at the start
    support_x, support_y = images(5), paddle.to_tensor([0, 1, 1, 2, 2])
    algorithm.eval()
    return request.param, algorithm.adapt(paddle.to_tensor(support_x), support_y, 2), support_x


@pytest.fixture
def saved(tmp_path):
    """The directory of a linear network of three outputs."""
    return linear(tmp_path / "saved")


def linear(directory):
    maml = MAML(paddle.nn.Linear(4, 3), 0.1)
    x = paddle.eye(4)
    maml.adapt(x, paddle.to_tensor([0, 1, 2, 2])).save(directory, x, CLASSES)
    return directory


def test_a_linear_networks_probabilities_in_closed_form():
    """One step of rate 0.5 on the mean cross-entropy from zero: W' = -0.5 X^T (1/3 - Y) / n."""
    net = paddle.nn.Linear(2, 3, weight_attr=paddle.nn.initializer.Constant(0.0), bias_attr=False)
    x, labels = np.float64([[1, 0], [0, 2], [3, 1], [1, 1]]), [0, 1, 2, 2]
    weight = -0.5 * x.T @ (1 / 3 - np.eye(3)[labels]) / 4
    query = np.float64([[1, 2], [-1, 0.5]])
    support = paddle.to_tensor(x, "float32"), paddle.to_tensor(labels)
    found = MAML(net, 0.5).adapt(*support, steps=1).predict(query)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.exp(log_softmax(query @ weight)), rtol=1e-6)


def test_probabilities_are_the_softmax_of_the_learner(adapted):
    _, learner, _ = adapted
    query_x = images(7)
    found = learner.predict(query_x)
    expected = np.exp(log_softmax(learner(paddle.to_tensor(query_x)).numpy()))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(found.sum(1), np.ones(7), rtol=1e-6)


def test_with_the_support_images_a_probability_depends_on_its_image_alone(adapted):
    name, learner, support_x = adapted
    query_x = images(7)
    together = learner.predict(query_x, support_x)
    alone = [learner.predict(query_x[n : n + 1], support_x)[0] for n in range(7)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    transductive = np.abs(learner.predict(query_x) - together).max()
    assert transductive < 1e-5 if name in EMBEDDING else transductive > 1e-3


def test_no_images_are_told_of(adapted):
    _, learner, support_x = adapted
    for given in ((support_x[:0],), (support_x[:0], support_x)):
        with pytest.raises(UserError, match="^there are no images to predict: give one or more"):
            learner.predict(*given)


def test_what_is_saved_says_the_same(adapted, tmp_path):
    name, learner, support_x = adapted
    learner.save(tmp_path / "saved", support_x, CLASSES, INK)
    classifier = paddle_maml.load(tmp_path / "saved")
    assert classifier.classes == CLASSES
    query_x = images(300)  # more than are computed at a time
    found = classifier.predict(query_x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, learner.predict(query_x, support_x), atol=1e-5)
    running = name in EMBEDDING
    fixed = "the running statistics of the training" if running else "fixed to the support images"
    assert classifier.description["batch_norm"] == fixed


def test_of_fewer_classes_the_first_outputs_are_taken(tmp_path):
    paddle.seed(0)
    x, query_x = paddle.to_tensor(images(4)), images(6)
    learner = MAML(conv4(), 0.4).adapt(x, paddle.to_tensor([0, 0, 1, 1]), 2)
    first = learner.first(2)
    odds = learner.predict(query_x)[:, :2]
    expected = odds / odds.sum(1, keepdims=True)
    np.testing.assert_allclose(first.predict(query_x), expected, rtol=1e-5)
    first.save(tmp_path / "saved", x, CLASSES[:2])
    found = paddle_maml.load(tmp_path / "saved").predict(query_x)
    np.testing.assert_allclose(found, first.predict(query_x, x), atol=1e-5)


@pytest.mark.parametrize("classes", [np.unique(["cat", "ant", "bee"]), np.arange(3)])
def test_names_and_numbers_may_be_numpys(tmp_path, classes):
    x = paddle.to_tensor(images(3))
    learner = MAML(conv4(), 0.4).adapt(x, paddle.arange(3), 1)
    expected = PixelScale.normalising([0.5], [0.25])
    mean, std = np.float32([0.5]), np.float64([0.25])
    for scale in (PixelScale.normalising(mean, std), PixelScale(*map(np.array, expected))):
        learner.save(tmp_path / "saved", x, classes, scale)
        classifier = paddle_maml.load(tmp_path / "saved")
        assert classifier.classes == [str(name) for name in classes]
        assert PixelScale.described(classifier.description["image"]) == expected


def test_threads_that_share_a_classifier_get_their_own_answers(saved, busy_threads):
    classifier, found = paddle_maml.load(saved), []
    given = [np.random.default_rng(n).normal(size=(n, 4)).astype("float32") for n in (4, 7)]
    expected = [classifier.predict(x) for x in given]

    def ask(x, right):
        found.extend(np.array_equal(classifier.predict(x), right) for _ in range(300))

    threads = [threading.Thread(target=ask, args=task) for task in zip(given, expected)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 600 and all(found)


def test_neither_the_networks_code_nor_a_pickle_is_needed(saved):
    package = Path(paddle_maml.__file__).parents[1]
    program = f"""
import os, sys
sys.path.append({str(package)!r})
import numpy, paddle_maml
sys.addaudithook(lambda event, _: event == "pickle.find_class" and os._exit(9))
classifier = paddle_maml.load({str(saved)!r})
print(classifier.predict(numpy.eye(4)).tolist(), "net" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = paddle_maml.load(saved).predict(np.eye(4)).tolist()
    assert done.stdout.decode().splitlines()[-1] == f"{expected} False"


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_image_files_are_read_as_in_training(tmp_path, fit):
    paddle.seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 24), np.uint8)
    files = [tmp_path / "0.bmp", tmp_path / "1.bmp"]
    for file, image in zip(files, pixels):
        Image.fromarray(image).save(file)
    support_x = INK.values(np.stack([read_image(file, 16, 1, fit) for file in files]))
    middle = np.array_equal(support_x, INK.values(pixels[:, None, :, 4:20]))
    assert middle == (fit == "crop")
    learner = ProtoNet(conv4(None)).adapt(paddle.to_tensor(support_x), paddle.to_tensor([0, 1]))
    learner.save(tmp_path / "saved", support_x, CLASSES[:2], INK, fit)
    classifier = paddle_maml.load(tmp_path / "saved")
    np.testing.assert_array_equal(classifier.read(*files), support_x)
    with pytest.raises(UserError, match="cannot read the image"):
        classifier.read(tmp_path / "saved" / PROGRAM)
    with pytest.raises(UserError, match="^there are no image files to read: name one or more"):
        classifier.read()
    with pytest.raises(ValueError, match="fit must be stretch or crop, not 'squeeze'"):
        learner.save(tmp_path / "other", support_x, CLASSES[:2], INK, "squeeze")


def alter(directory, change):
    file = directory / "infer_cfg.yml"
    description = yaml.safe_load(file.read_text())
    change(description)
    file.write_text(yaml.safe_dump(description))


DAMAGES = {
    "nothing there": (lambda d: d.rename(d.with_name("elsewhere")), "holds no exported models"),
    "empty": (lambda d: [file.unlink() for file in d.iterdir()], "holds no exported models"),
    "no parameters": (lambda d: (d / "tostatic.pdiparams").unlink(), "holds no exported models"),
    "no description": (lambda d: (d / "infer_cfg.yml").unlink(), "exported, but no classifier"),
    "no classes": (lambda d: alter(d, lambda a: a.pop("classes")), "exported, but no classifier"),
    "another kind": (lambda d: (d / "infer_cfg.yml").write_text("mode: x"), "but no classifier"),
    "no list": (lambda d: alter(d, lambda a: a.update(classes=3)), "exported, but no classifier"),
    "no input": (lambda d: alter(d, lambda a: a.update(input={"shape": 3})), "but no classifier"),
    "no yaml": (lambda d: (d / "infer_cfg.yml").write_text("a: ["), "infer_cfg.yml cannot be read"),
    "no keys": (lambda d: (d / "infer_cfg.yml").write_text("[1]"), "infer_cfg.yml cannot be read"),
    "aliases": (lambda d: (d / "infer_cfg.yml").write_text("a: &a [1]\nb: *a"), "cannot be read"),
    "no text": (lambda d: (d / "infer_cfg.yml").write_text("a: !!bool b"), "cannot be read"),
    "no image": (lambda d: alter(d, lambda a: a.update(image="x")), "cannot be read"),
    "no file": (lambda d: alter(d, lambda a: a.update(sha256={"\0": "x"})), "are damaged"),
    "no sums": (lambda d: alter(d, lambda a: a.update(sha256=["x"])), "are damaged"),
    "one bit": (lambda d: flip(d / "tostatic.pdiparams"), "are damaged: export it again"),
    "cut short": (lambda d: cut(d / PROGRAM), "are damaged: export it again"),
}


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-20])


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_or_of_another_kind_is_said_so(saved, damage):
    harm, words = DAMAGES[damage]
    harm(saved)
    with pytest.raises(UserError, match=words):
        paddle_maml.load(saved)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((2, 5)), r"of the shape \[4\], but was given an array of the shape \[2, 5\]"),
        (np.zeros(4), r"was given an array of the shape \[4\]"),
        (np.zeros((0, 4)), "one or more"),
        (np.zeros((1, 4), np.uint8), "these are pixels"),
    ],
)
def test_images_of_another_form_are_refused(saved, given, words):
    with pytest.raises(UserError, match=words):
        paddle_maml.load(saved).predict(given)


def test_a_description_that_does_not_fit_is_noticed(saved):
    alter(saved, lambda a: a.update(classes=["ant"]))
    with pytest.raises(UserError, match="names 1 classes but its program puts out 3 numbers"):
        paddle_maml.load(saved).predict(np.eye(4))
    with pytest.raises(UserError, match="does not say how images become numbers"):
        paddle_maml.load(saved).read()


@pytest.mark.parametrize(
    ("shape", "dtype"), [([5], "float32"), ([4], "int64"), ([4], "object"), ([], "float32")]
)
def test_a_description_that_the_program_does_not_take_is_noticed(saved, shape, dtype):
    alter(saved, lambda a: a.update(input={"shape": shape, "dtype": dtype}))
    with pytest.raises(UserError, match="does not take what infer_cfg.yml beside it says"):
        paddle_maml.load(saved).predict(np.zeros((1, *shape), dtype))


@pytest.mark.parametrize("classes", [["ant"], ["ant", "bee", "bee"], [*CLASSES, "dog"]])
def test_each_class_has_a_name_of_its_own(tmp_path, classes):
    x = paddle.eye(3)
    learner = MAML(paddle.nn.Linear(3, 3), 0.1).adapt(x, paddle.arange(3))
    with pytest.raises(UserError, match="the network tells 3 apart: name each"):
        learner.save(tmp_path / "saved", x, classes)
    assert not os.listdir(tmp_path)


def test_an_earlier_export_is_replaced_and_nothing_else(saved, tmp_path):
    before = (saved / "tostatic.pdiparams").read_bytes()
    linear(saved)
    assert (saved / "tostatic.pdiparams").read_bytes() != before
    (saved / "precious").touch()
    (tmp_path / "file").touch()
    for place, words in (
        (saved, "is there and no export"),
        (tmp_path / "file", "is there and no export"),
        (tmp_path / "file/saved", "cannot write"),
    ):
        with pytest.raises(UserError, match=words):
            linear(place)
    assert sorted(os.listdir(tmp_path)) == ["file", "saved"]
    assert paddle_maml.load(saved).classes == CLASSES
