"""tools/adapt.py, as users run it."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import paddle_maml
import pytest
from conftest import CHARACTERS, CONFIG, ROOT, TINY
from dygraph_model import DygraphModel
from paddle_maml.image_dataset import load_images
from paddle_maml.pixel_scale import INK
from PIL import Image
from utils import checkpoint
from utils.config import load_config
from utils.measure import wilson

CLASSES = [f"character0{number}" for number in range(1, 6)]


def adapt(trained, *options, overrides=(), config=CONFIG):
    command = [sys.executable, str(ROOT / "tools/adapt.py"), "-m", str(config)]
    command += [*map(str, options), "-o", *TINY, f"runner.infer_load_path={trained}", *overrides]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def adapted(trained, *options, **more) -> str:
    done = adapt(trained, *options, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sets(images):
    return "--support", images / "support", "--query", images / "query"


@pytest.fixture(scope="module")
def expected(trained, images):
    """expected(fixed): the probabilities by the library in this process."""
    config, model_class = load_config(str(CONFIG), TINY), DygraphModel()
    model = model_class.create_model(config)
    checkpoint.load(checkpoint.best_or_last(trained), model)
    model.eval()
    support_x, query_x = (
        INK.values(load_images(images / p, (28, 1))[1]) for p in ("support", "query")
    )
    learner = model.adapt(paddle.to_tensor(support_x), paddle.arange(10) // 2, steps=3)
    return lambda fixed: learner.predict(query_x, support_x if fixed else None)


def rows(file) -> tuple[list[str], list[list[str]]]:
    with open(file, encoding="utf-8", errors="surrogateescape", newline="") as lines:
        header, *found = csv.reader(lines)
    return header, found


def probabilities(file) -> np.ndarray:
    return np.array([row[2:] for row in rows(file)[1]], np.float32)


def test_every_image_gets_its_probabilities(trained, sets, images, expected, tmp_path):
    out = tmp_path / "new" / "out.csv"
    printed = adapted(trained, *sets, "--out", out, "--export", tmp_path / "classifier")
    header, found = rows(out)
    assert header == ["file", "class", *(f"P({name})" for name in CLASSES)]
    names = [f.relative_to(images / "query").as_posix() for f in (images / "query").rglob("*.gif")]
    assert [row[0] for row in found] == sorted(names)
    odds = probabilities(out)
    np.testing.assert_allclose(odds.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(odds, expected(fixed=True), atol=1e-5)
    assert [row[1] for row in found] == [CLASSES[c] for c in odds.argmax(1)]
    classifier = paddle_maml.load(tmp_path / "classifier")
    files = [images / "query" / name for name in sorted(names)]
    np.testing.assert_allclose(classifier.predict(classifier.read(*files)), odds, atol=1e-5)
    assert classifier.description["checkpoint"] == str((trained / "best").resolve())

    right = sum(row[0].startswith(f"{row[1]}/") for row in found)
    low, high = (100 * end for end in wilson(right, 15))
    interval = f"95 % interval {low:.2f} to {high:.2f} %: {right} of 15 images"
    assert f"accuracy {100 * right / 15:.2f} %, {interval}" in printed
    assert "inner steps: 3; batch norm: fixed to the support images" in printed
    table = re.findall(r"^(\S+\.gif) +(\S+) +(\d\.\d{4})$", printed, re.MULTILINE)
    assert [list(row[:2]) for row in table] == [row[:2] for row in found]
    assert [float(row[2]) for row in table] == pytest.approx(odds.max(1).tolist(), abs=1e-4)
    with Image.open(out.with_suffix(".png")) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 12 * 64  # two support images, ten queries
        assert sheet.height > 5 * 64


def test_batch_norm_of_all_queries_together_is_a_choice(trained, sets, expected, tmp_path):
    out = tmp_path / "out.csv"
    printed = adapted(trained, *sets, "--out", out, "--together")
    assert "batch norm: the batch at hand" in printed
    np.testing.assert_allclose(probabilities(out), expected(fixed=False), atol=1e-5)
    assert np.abs(expected(fixed=False) - expected(fixed=True)).max() > 0.01


def test_fewer_classes_loose_images_and_a_broken_one(trained, images, tmp_path):
    support, query = tmp_path / "support", tmp_path / "query"
    for name in CLASSES[:3]:
        shutil.copytree(images / "support" / name, support / name)
    shutil.copytree(images / "query" / CLASSES[0], query)
    (query / "broken.png").write_bytes(b"no image")
    output = shutil.copytree(trained, tmp_path / "trained", symlinks=True)
    sets = "--support", support, "--query", query
    printed = adapted(output, *sets, "--steps", 1)
    assert f"left out: cannot read the image {query / 'broken.png'}" in printed
    assert "accuracy" not in printed and "inner steps: 1;" in printed
    header, found = rows(output / "predictions.csv")
    assert len(found) == 3 and len(header) == 5
    np.testing.assert_allclose(probabilities(output / "predictions.csv").sum(1), 1, rtol=1e-6)
    before = (output / "predictions.png").read_bytes()
    (support / CLASSES[2]).rename(query / CLASSES[1])  # another task, over the earlier output
    printed = adapted(output, *sets)
    assert "of 2 images" in printed
    assert len(rows(output / "predictions.csv")[1]) == 5
    assert (output / "predictions.png").read_bytes() != before


def test_names_that_are_no_utf8_are_written_as_they_are(trained, images, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    name = os.fsdecode(b"Gr\xfc\xdfe")
    for part in ("support", "query"):
        shutil.copytree(images / part, tmp_path / part)
        (tmp_path / part / CLASSES[0]).rename(tmp_path / part / name)
    image = next((tmp_path / "query" / CLASSES[1]).iterdir())
    image.rename(image.with_name(os.fsdecode(b"\xfc.gif")))
    out, classifier = tmp_path / "out.csv", tmp_path / "classifier"
    for _ in range(2):  # the second time over its own output
        sets = "--support", tmp_path / "support", "--query", tmp_path / "query"
        printed = adapted(trained, *sets, "--out", out, "--export", classifier)
        assert r"Gr\udcfc\udcdfe/" in printed and r"/\udcfc.gif" in printed
        header, found = rows(out)
        assert sorted(header[2:]) == sorted(f"P({c})" for c in (name, *CLASSES[1:]))
        assert all((tmp_path / "query" / row[0]).is_file() for row in found)
        assert sorted(paddle_maml.load(classifier).classes) == sorted([name, *CLASSES[1:]])


def test_comparing_algorithms_take_any_number_of_classes_and_no_steps(tool, images, tmp_path):
    output, chosen = tmp_path / "output", ["hyper_parameters.algorithm=proto_net"]
    tool("trainer", output, "runner.epochs=1", *chosen)
    sets = "--support", CHARACTERS, "--query", images / "query"
    printed = adapted(output, *sets, overrides=chosen)
    assert "classes: 8; support images of each: 20; batch norm: the running statistics" in printed
    done = adapt(output, *sets, "--steps", 1, overrides=chosen)
    assert "adapt.py: proto_net takes no inner steps" in sentence(done)


def sentence(done) -> str:
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if ".py: " in line]
    assert "Traceback" not in done.stderr
    return line


@pytest.fixture(scope="module")
def places(images, trained, tmp_path_factory):
    """Directories to name, right and wrong ones."""
    directory = tmp_path_factory.mktemp("places")
    shutil.copytree(images / "support" / CLASSES[0], directory / "one" / CLASSES[0])
    shutil.copytree(images / "support", directory / "stray")
    shutil.copy(next((images / "query").rglob("*.gif")), directory / "stray/image.gif")
    for name in ("empty", "broken", "taken.csv"):
        (directory / name).mkdir()
    (directory / "broken/image.png").touch()
    (directory / "labels.csv").write_text("file,class\nimage.gif,character01\n")
    Image.new("L", (8, 8)).save(directory / "photo.png")
    found = {path.name: path for path in directory.iterdir()}
    found |= {path.name: path for path in images.iterdir()}
    return found | {"trained": trained, "alphabet": CHARACTERS, "here": directory}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"--support": "nowhere"}, "there is no directory nowhere"),
        ({"--support": "empty"}, "no images in the directories under .*empty"),
        ({"--support": "one"}, "one has only the class character01: add a folder"),
        ({"--support": "stray"}, "stray/image.gif lies in no class folder: move it"),
        ({"--support": "alphabet"}, "8 classes but the network tells .*n_way = 5 apart: remove"),
        ({"--query": "nowhere"}, "--query: there is no directory nowhere"),
        ({"--query": "empty"}, "there are no images in .*empty or its folders"),
        ({"--query": "broken"}, "none of the 1 images in .*broken can be read"),
        ({"--steps": "-1"}, "--steps is -1: it takes 0 or more"),
        ({"--out": "out.txt"}, "--out out.txt: call the file NAME.csv"),
        ({"--out": "taken.csv"}, "taken.csv is there and no earlier output"),
        ({"--out": "labels.csv"}, "labels.csv is there and no earlier output"),
        ({"--out": "{here}/photo.csv"}, "photo.png is there and no earlier output"),
        ({"--out": "{here}/photo.png/out.csv"}, "cannot write to .*photo.png/out.csv .*: name"),
        ({"--export": "trained"}, "is there and no export"),
        ({"-o": "runner.infer_load_path=nowhere"}, "there is no checkpoint in .*nowhere"),
    ],
)
def test_a_users_mistake_is_said_in_a_sentence(trained, places, changed, words):
    options = {"--support": "support", "--query": "query", "--out": "{here}/out.csv", **changed}
    overrides = [options.pop("-o")] if "-o" in options else []
    before = sorted([*places["here"].rglob("*"), *trained.rglob("*")])
    given = [
        part.format(here=places["here"]) if "{" in part else places.get(part, part)
        for option in options.items()
        for part in option
    ]
    assert re.search(words, sentence(adapt(trained, *given, overrides=overrides)))
    assert sorted([*places["here"].rglob("*"), *trained.rglob("*")]) == before
    assert not Path("out.txt").exists()


def test_a_model_directory_that_cannot_adapt_is_said_so(random_model, sets):
    done = adapt(random_model, *sets, config=random_model / "config.yaml")
    assert "has no adapt()" in sentence(done)
