"""A folder per class, from the recipe to the report: with nothing but YAML."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from dygraph_model import DygraphModel
from paddle_maml.class_split import draw_split
from tools.conftest import ROOT, run_tool
from trees import write_photographs
from utils.config import load_config
from utils.errors import UserError
from utils.model import create_loader

RECIPE = ROOT / "models/maml/configs/own_images.yaml"
SMALL = {
    "hyper_parameters.n_way": 3,
    "hyper_parameters.k_spt": 1,
    "hyper_parameters.k_query": 2,
    "hyper_parameters.imgsize": 16,
    "hyper_parameters.conv_stride": 2,
    "hyper_parameters.update_step": 1,
    "hyper_parameters.update_step_test": 1,
    "hyper_parameters.mean": [0.485, 0.456, 0.406],
    "hyper_parameters.std": [0.229, 0.224, 0.225],
    "runner.image_cache": "",
}
READERS = [ROOT / f"models/maml/{name}_reader.py" for name in ("mini_imagenet", "omniglot")]


def overrides(root, **changes) -> list[str]:
    """The recipe, small, on the images in `root`."""
    settings = {f"runner.{split}_data_dir": root for split in ("train", "valid", "test")}
    settings |= SMALL | {f"runner.{name}": value for name, value in changes.items()}
    return [f"{key}={value}" for key, value in settings.items()]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp("own") / "images", 15, 4)


@pytest.fixture(scope="module")
def output(tool, root, tmp_path_factory):
    """A training's output directory; what was printed is in `log` beside it."""
    output = tmp_path_factory.mktemp("own_output") / "output"
    printed = tool("trainer", output, *overrides(root), config=RECIPE)
    (output.parent / "log").write_text(printed)
    return output


def test_the_trainer_says_which_classes_fell_where(output, root):
    splits = json.loads((output / "splits.json").read_text())
    assert splits == draw_split(
        sorted(folder.name for folder in root.iterdir()), [0.6, 0.2, 0.2], 0
    )
    log = (output.parent / "log").read_text()
    assert f"classes: 9 train, 3 valid, 3 test; their names are in {output / 'splits.json'}" in log


def test_the_test_classes_are_tested_and_the_report_shows_them(tool, output, root):
    tool("infer", output, *overrides(root), config=RECIPE)
    assert json.loads((output / "meta_test.json").read_text())["split"] == "test"
    command = [sys.executable, str(ROOT / "tools/report.py"), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "of the split “test”" in (output / "report.html").read_text()


def test_the_images_to_look_at_are_those_of_the_files(root):
    """However they were normalised for the network."""
    config = load_config(str(RECIPE), overrides(root))
    config["model_dir"] = str(ROOT / "models/maml")
    model_class, tests = DygraphModel(), create_loader(config, "test")
    shown = next(model_class.episodes(model_class.create_model(config), next(iter(tests)), config))
    files = {pixels.transpose(1, 2, 0).tobytes() for pixels in tests.reader.classes.images}
    assert {image.tobytes() for image in (*shown.support_x, *shown.query_x)} < files


def test_augmented_tasks_are_the_same_for_any_number_of_workers(tool, output, root, tmp_path):
    tool("trainer", tmp_path, *overrides(root, num_workers=2), config=RECIPE)
    parameters = [path / "1/rec.pdparams" for path in (output, tmp_path)]
    assert parameters[0].read_bytes() == parameters[1].read_bytes()


def test_an_export_reads_images_as_the_network_takes_them(output, root, tmp_path):
    """Whichever reader reads them: size, channels, fit and normalisation are the model's."""
    for name in json.loads((output / "splits.json").read_text())["test"]:
        shutil.copytree(root / name, tmp_path / "support" / name)
    done = run_tool("to_static", output, "runner.seed=1", *overrides(root), config=RECIPE)
    assert done.returncode == 0, done.stderr
    exported = output / "exported_network"
    image = yaml.safe_load((exported / "infer_cfg.yml").read_text())["image"]
    assert (image["side"], image["channels"], image["fit"]) == (16, 3, "crop")
    mean, std = (np.array(SMALL[f"hyper_parameters.{name}"]) for name in ("mean", "std"))
    np.testing.assert_allclose(image["black"], -mean / std)
    np.testing.assert_allclose(image["white"], (1 - mean) / std)
    printed = []
    for reader in READERS:
        command = [sys.executable, str(ROOT / "tools/paddle_infer.py"), "--model_dir", exported]
        command += ["--data_dir", tmp_path / "support", "--reader_file", reader]
        done = subprocess.run(map(str, command), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert printed[0] == printed[1] and len(printed[0].splitlines()) == 12


@pytest.fixture
def broken(root, tmp_path):
    """The images, with three files of three training classes that are none."""
    copy = shutil.copytree(root, tmp_path / "broken")
    names = draw_split([folder.name for folder in root.iterdir()], [0.6, 0.2, 0.2], 0)["train"][:3]
    whole = (copy / names[0] / "0.jpg").read_bytes()
    for name, content in zip(names, (b"", b"no image", whole[: len(whole) // 2])):
        (copy / name / "3.jpg").write_bytes(content)
    return copy, [copy / name / "3.jpg" for name in names]


def test_broken_images_are_named_and_passed_over(broken, tmp_path):
    copy, files = broken
    done = run_tool("trainer", tmp_path, *overrides(copy, broken_images=3), config=RECIPE)
    assert done.returncode == 0, done.stderr
    for file in files:
        assert done.stderr.count(f"passed over: cannot read the image {file} (") == 1


def test_more_broken_images_than_allowed_end_the_training(broken, refusal):
    copy, files = broken
    sentence = refusal("trainer", *overrides(copy, broken_images=2), config=RECIPE)
    assert f"3 images in {copy} cannot be read, more than runner.broken_images = 2: " in sentence
    assert all(str(file) in sentence for file in files)
    assert sentence.endswith("or set runner.broken_images: 3")


@pytest.fixture
def moved(output, root, tmp_path):
    """The same images but for some folders' names, so that the draw is another."""
    copy = shutil.copytree(root, tmp_path / "moved")
    for number in range(5):
        (copy / f"class{number:02d}").rename(copy / f"other{number:02d}")
    trained = shutil.copytree(output, tmp_path / "output", symlinks=True)
    return copy, trained


def test_a_training_does_not_go_on_with_other_classes(moved, refusal):
    copy, trained = moved
    sentence = refusal("trainer", *overrides(copy, resume="true"), config=RECIPE, output=trained)
    assert "the classes are no longer those of " in sentence


def test_no_class_is_tested_that_was_trained_on(moved, refusal):
    copy, trained = moved
    sentence = refusal("infer", *overrides(copy), config=RECIPE, output=trained)
    assert re.search("of the test classes . were trained or validated on, class", sentence)


def loader(split, *changes, root=None):
    """The loader that a tool makes, in this process."""
    config = load_config(str(RECIPE), [*overrides(root), *changes])
    config["model_dir"] = str(ROOT / "models/maml")
    return create_loader(config, split)


def test_a_path_may_begin_at_home(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    reader = loader("train", root=f"~/{root.name}").reader
    assert reader.split == "train" and len(reader.classes) == 9


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("images", "paths start from the configuration's directory; write .*/images"),
        ("elsewhere", "correct the path, or make the data"),
        ("images/class00/0.jpg", "is a file: unpack it"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_of_with_the_way_out(root, monkeypatch, place, sentence):
    monkeypatch.chdir(root.parent)
    place = root.parent / place if place.endswith("jpg") else place
    with pytest.raises(UserError, match=f"^runner.train_data_dir: .*{sentence}"):
        loader("train", root=place)


def test_a_missing_validation_folder_is_told_of_with_the_way_out(tmp_path):
    for split in ("train", "test"):
        write_photographs(tmp_path / split, 5, 4)
    changes = [f"runner.valid_data_dir={tmp_path / 'val'}", "hyper_parameters.split="]
    changes.append(f"runner.test_data_dir={tmp_path / 'test'}")
    with pytest.raises(UserError, match="/val: .* leave the key out to train without validation"):
        loader("valid", *changes, root=tmp_path / "train")
    train = loader("train", *changes, root=tmp_path / "train").reader
    assert len(train.classes) == 5 and train.splits is None
