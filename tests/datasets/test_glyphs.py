"""The synthetic characters, and the sample of them that the model directory contains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from paddle_maml.image_directory import load_image_classes
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "datasets/glyphs/generate.py"
SAMPLE = ROOT / "models/maml/data/sample_data"
SPLITS = ("train", "val", "test")


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def contents(directory: Path) -> dict[str, bytes]:
    files = (file for file in directory.rglob("*") if file.is_file())
    return {file.relative_to(directory).as_posix(): file.read_bytes() for file in files}


def small(out: Path, *options) -> dict[str, bytes]:
    done = run("--out", out, "--classes", 24, "--images", 2, *options)
    assert done.returncode == 0, done.stderr
    return contents(out)


@pytest.fixture(scope="module")
def sample():
    return [load_image_classes(SAMPLE / split) for split in SPLITS]


def test_same_seed_draws_the_same_bytes(tmp_path):
    first = small(tmp_path / "1")
    assert len(first) == 48
    assert small(tmp_path / "2") == first
    other = small(tmp_path / "3", "--seed", 1)
    assert other.keys() == first.keys() and other != first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2", "3"]


def test_sample_is_what_the_script_draws(tmp_path):
    done = run("--out", tmp_path / "sample")
    assert done.returncode == 0, done.stderr
    names = contents(tmp_path / "sample").keys()
    assert names == contents(SAMPLE).keys()
    # Pixels, not bytes: how a GIF is compressed is the business of the Pillow at hand.
    for name in names:
        with Image.open(SAMPLE / name) as kept, Image.open(tmp_path / "sample" / name) as drawn:
            assert kept.convert("L").tobytes() == drawn.convert("L").tobytes(), name


def test_sample_is_small_and_complete(sample):
    assert [len(classes) for classes in sample] == [80, 16, 24]
    assert all(classes.count(c) == 20 for classes in sample for c in range(len(classes)))
    assert sum(map(len, contents(SAMPLE).values())) < 3e6


def test_no_alphabet_is_in_two_splits(sample):
    alphabets = [{name.split("/")[0] for name in classes.names} for classes in sample]
    assert sum(map(len, alphabets)) == len(set.union(*alphabets)) == 15


def test_files_are_like_omniglots():
    file = SAMPLE / "train/Alphabet_01/character02/0002_03.gif"
    with Image.open(file) as image:
        assert image.size == (105, 105)
        assert set(image.convert("L").tobytes()) == {0, 255}


def test_every_drawing_has_its_ink_on_the_canvas():
    for split in SPLITS:
        images = load_image_classes(SAMPLE / split, side=105).images[:, 0]
        border = np.ones((105, 105), bool)
        border[2:-2, 2:-2] = False
        assert (images[:, border] == 255).all()
        ink = (images == 0).mean((1, 2))
        assert 0.005 < ink.min() and ink.max() < 0.3


def test_pixels_alone_do_not_tell_the_characters_apart(sample):
    """Nearest neighbour on 5-way 1-shot tasks: better than chance (20 %), far from solved."""
    test, rng = sample[2], np.random.default_rng(0)
    pixels = test.images.reshape(len(test), 20, -1) / 255
    accuracies = []
    for _ in range(300):
        task = pixels[rng.choice(len(test), 5, replace=False)][:, rng.permutation(20)[:6]]
        support, query = task[:, 0], task[:, 1:]
        distances = ((query[:, :, None] - support) ** 2).sum(-1)
        accuracies.append((distances.argmin(-1) == np.arange(5)[:, None]).mean())
    assert 0.45 < np.mean(accuracies) < 0.75


def test_directory_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    done = run("--out", tmp_path)
    assert done.returncode == 2 and "not empty" in done.stderr
    assert contents(tmp_path) == {"mine": b"mine"}


@pytest.mark.parametrize("option", [("--classes", 8), ("--images", 100), ("--seed", -1)])
def test_impossible_options_are_refused(tmp_path, option):
    done = run("--out", tmp_path / "out", *option)
    assert done.returncode == 2 and option[0] in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
