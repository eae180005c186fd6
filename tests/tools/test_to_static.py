"""tools/to_static.py and tools/paddle_infer.py, as users run them."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import paddle
import pytest
import yaml
from conftest import CHARACTERS, CONFIG, ROOT, TINY
from dygraph_model import DygraphModel
from paddle_maml import exported
from paddle_maml.image_dataset import load_images
from paddle_maml.pixel_scale import INK
from utils import checkpoint
from utils.config import load_config

READER = ROOT / "models/maml/omniglot_reader.py"
PHOTOGRAPHS = READER.with_name("mini_imagenet_reader.py")
SUFFIX = ".json" if paddle.__version__ >= "3" else ".pdmodel"


def to_static(*options, overrides=()):
    command = [sys.executable, str(ROOT / "tools/to_static.py"), "-m", str(CONFIG)]
    command += [*map(str, options), "-o", *TINY, *overrides]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def paddle_infer(*options):
    command = [sys.executable, str(ROOT / "tools/paddle_infer.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def export(trained, images, tmp_path_factory):
    """export(*options): what to_static.py wrote."""

    def run(*options):
        out = tmp_path_factory.mktemp("export") / "model"
        done = to_static("--out", out, *options, overrides=[f"runner.infer_load_path={trained}"])
        assert done.returncode == 0, done.stderr
        return out

    return run


@pytest.fixture(scope="module")
def classifier(export, images):
    return export("--support", images / "support", "--steps", 3)


@pytest.fixture(scope="module")
def model(trained):
    """The trained model in this process."""
    config, model_class = load_config(str(CONFIG), TINY), DygraphModel()
    maml = model_class.create_model(config)
    checkpoint.load(checkpoint.best_or_last(trained), maml)
    maml.eval()
    return maml


def assert_equal_to_1e_5(found, expected):
    """Relative to the largest logit."""
    assert np.abs(np.subtract(found, expected)).max() <= 1e-5 * np.abs(expected).max()


def read(directory):
    return INK.values(load_images(directory, (28, 1, "stretch"))[1])


def test_an_exported_classifier_has_the_learners_logits(classifier, images, model):
    support_x, query_x = (paddle.to_tensor(read(images / part)) for part in ("support", "query"))
    support_y = paddle.arange(10) // 2
    learner = model.adapt(support_x, support_y, steps=3)
    predictor = exported.predictor(classifier)
    (found,) = exported.run(predictor, [support_x.numpy()])
    assert_equal_to_1e_5(found, learner(support_x).numpy())
    (found,) = exported.run(predictor, [query_x.numpy()])
    expected = learner.standalone(support_x)(query_x).numpy()
    assert_equal_to_1e_5(found, expected)
    alone = [exported.run(predictor, [image[None]])[0][0] for image in query_x.numpy()]
    assert_equal_to_1e_5(alone, found)


def test_an_exported_network_has_the_unadapted_learners_logits(export, images, model):
    query_x = read(images / "query")
    (found,) = exported.run(exported.predictor(export()), [query_x])
    x = paddle.to_tensor(query_x)
    unadapted = model.adapt(x, paddle.arange(15) // 3, steps=0)
    assert_equal_to_1e_5(found, unadapted(x).numpy())


def test_the_files_are_paddle_inferences_and_a_description(classifier, trained):
    names = {file.name for file in classifier.iterdir()} - {"tostatic.pdiparams.info"}
    assert names == {f"tostatic{SUFFIX}", "tostatic.pdiparams", "infer_cfg.yml"}
    description = yaml.safe_load((classifier / "infer_cfg.yml").read_text())
    assert description["classes"] == [f"character0{number}" for number in range(1, 6)]
    assert description["image"] == {
        **{"side": 28, "channels": 1, "fit": "stretch"},
        **{"black": 1.0, "white": 0.0},
    }
    assert description["batch_norm"] == "fixed to the support images"
    assert description["checkpoint"] == str((trained / "best").resolve())


def test_paddle_infer_names_a_class_and_its_probability_for_each_image(classifier, images):
    query = images / "query"
    done = paddle_infer(
        "--model_dir", classifier, "--data_dir", query, "--reader_file", READER, "--batchsize", 4
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [
        file.relative_to(query).as_posix() for file in sorted(query.rglob("*.gif"))
    ]
    (logits,) = exported.run(exported.predictor(classifier), [read(query)])
    odds = np.exp(logits)
    assert [row[1] for row in rows] == [f"character0{c + 1}" for c in logits.argmax(1)]
    probabilities = odds.max(1) / odds.sum(1)
    assert [float(row[2]) for row in rows] == pytest.approx(list(probabilities), abs=1e-4)


def test_paddle_infer_prints_the_outputs_of_what_names_no_classes(export, images):
    network = export()
    (network / "infer_cfg.yml").unlink()  # as PaddleRec's tools leave it
    done = paddle_infer(
        "--model_dir", network, "--data_dir", images / "query", "--reader_file", READER
    )
    assert done.returncode == 0, done.stderr
    numbers = done.stdout.replace("[", " ").replace("]", " ").split()
    (logits,) = exported.run(exported.predictor(network), [read(images / "query")])
    assert [float(n) for n in numbers] == pytest.approx(logits.ravel().tolist(), abs=1e-5)


def sentence(done) -> str:
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if ".py: " in line]
    assert "Traceback" not in done.stderr
    return line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", 3], "--steps goes with --support"),
        (["--support", "SUPPORT", "--steps", -1], "it takes 0 or more"),
        (["--support", "nowhere"], "there is no directory nowhere"),
        (["--support", "ALPHABET"], "8 classes but the network tells .*n_way = 5 apart: remove"),
        (["--out", str(CONFIG)], "is there and no export"),
        (["--out", "STRANGERS"], "is there and no export"),
        (["--out", "TRAINED"], "is there and no export"),
    ],
)
def test_a_users_mistake_is_said_in_a_sentence(trained, images, tmp_path, options, words):
    strangers = tmp_path / "other"  # of another toolkit, whose file has the same name
    strangers.mkdir()
    (strangers / "infer_cfg.yml").touch()
    (strangers / "precious").touch()
    places = {"SUPPORT": images / "support", "ALPHABET": CHARACTERS, "TRAINED": trained}
    places["STRANGERS"] = strangers
    before = sorted(trained.rglob("*"))
    done = to_static(
        *[places.get(option, option) for option in options],
        overrides=[f"runner.infer_load_path={trained}"],
    )
    assert re.search(words, sentence(done))
    assert sorted(trained.rglob("*")) == before
    assert len(list(strangers.iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model_dir", "IMAGES", "--data_dir", "IMAGES"], "holds no exported models"),
        (["--model_dir", "MODEL", "--data_dir", "nowhere"], "there is nothing in nowhere"),
        (["--model_dir", "MODEL", "--data_dir", "MODEL"], "there are no images in"),
        (
            ["--model_dir", "MODEL", "--data_dir", "IMAGES", "--reader_file", PHOTOGRAPHS],
            "reads black and white as 0.0 and 1.0, but the model takes 1.0 and 0.0",
        ),
    ],
)
def test_paddle_infer_says_so_too(classifier, images, options, words):
    places = {"IMAGES": images / "query", "MODEL": classifier}
    done = paddle_infer(
        "--reader_file", READER, *[places.get(option, option) for option in options]
    )
    assert re.search(words, sentence(done))


def test_a_damaged_export_and_another_file_than_a_reader_are_said_too(export, images, classifier):
    network = export()
    (network / "tostatic.pdiparams").write_bytes(b"x")
    query = ["--data_dir", images / "query"]
    done = paddle_infer("--model_dir", network, *query, "--reader_file", READER)
    assert "damaged" in sentence(done)
    done = paddle_infer(
        "--model_dir", classifier, *query, "--reader_file", READER.with_name("net.py")
    )
    assert "has no RecDataset" in sentence(done)


def test_a_model_directory_without_export_is_said_so(random_model):
    command = [sys.executable, str(ROOT / "tools/to_static.py")]
    command += ["-m", str(random_model / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "has no export()" in sentence(done)


@pytest.mark.skipif(paddle.__version__ < "3", reason="paddle 2.6 writes no other form")
def test_paddle_3_exports_in_the_form_of_paddle_2_too(trained, images, tmp_path, monkeypatch):
    monkeypatch.setenv("FLAGS_enable_pir_api", "0")  # as PaddleRec's tools set it
    out = tmp_path / "model"
    done = to_static("--out", out, overrides=[f"runner.infer_load_path={trained}"])
    assert done.returncode == 0, done.stderr
    assert (out / "tostatic.pdmodel").is_file()
    done = paddle_infer("--model_dir", out, "--data_dir", images / "query", "--reader_file", READER)
    assert done.returncode == 0, done.stderr
