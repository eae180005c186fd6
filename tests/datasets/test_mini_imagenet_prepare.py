"""Preparing miniImageNet, from small stand-ins in each of its three forms."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_scripts import DATASETS, script
from paddle_maml.image_directory import load_image_classes
from paddle_maml.image_files import to_uint8
from PIL import Image

SCRIPT = DATASETS / "mini_imagenet/prepare.py"
SPLITS = ("train", "val", "test")
SPLIT = {
    "train": ["n01532829", "n01558993", "n01704323"],
    "val": ["n01855672"],
    "test": ["n01930112", "n01981276"],
}
COUNT = 4
CACHE = "mini-imagenet-cache-{}.pkl"


@pytest.fixture(scope="module")
def prepare():
    return script("mini_imagenet/prepare.py")


@pytest.fixture(scope="module")
def generate():
    return script("mini_imagenet/generate.py")


@pytest.fixture
def small(prepare, monkeypatch):
    """The same preparation for 3, 1 and 2 classes of 4 images."""
    monkeypatch.setattr(prepare, "ravi_split", lambda: SPLIT)
    monkeypatch.setattr(prepare, "IMAGES_PER_CLASS", COUNT)
    return prepare


@pytest.fixture(scope="module")
def made(generate, tmp_path_factory):
    """made(form): the same textures in that form."""
    root = tmp_path_factory.mktemp("made")
    for form in generate.FORMS:
        generate.generate(root / form, form, SPLIT, COUNT)
    return lambda form: root / form


@pytest.fixture
def copied(made, tmp_path):
    """copied(form): a copy to spoil."""
    return lambda form: shutil.copytree(made(form), tmp_path / form)


@pytest.fixture
def run(small, tmp_path, capsys):
    """run(*sources): the result's splits, its record and what was printed."""

    def prepared(*sources, side=84):
        arguments = ["--out", tmp_path / "out", "--side", side, "--source", *sources]
        assert small.main(list(map(str, arguments))) == 0
        splits = {s: load_image_classes(tmp_path / "out" / s, side, 3) for s in SPLITS}
        assert all(isinstance(classes.images.base, np.memmap) for classes in splits.values())
        record = json.loads((tmp_path / "out/prepared.json").read_text())
        return splits, record, capsys.readouterr().out

    return prepared


@pytest.fixture
def refused(small, tmp_path, capsys):
    """refused(*sources): the one sentence with which they are refused; nothing is written."""

    def sentence(*sources) -> str:
        arguments = ["--out", tmp_path / "out", "--source", *sources]
        assert small.main(list(map(str, arguments))) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert [f for f in (tmp_path / "out").rglob("*") if f.is_file()] == []
        return line

    return sentence


@pytest.fixture(scope="module")
def drawn(generate):
    """The images as they were generated, by split: (images, 3, 84, 84)."""
    splits = {}
    for number, split in enumerate(SPLITS):
        classes = (
            generate.texture(np.random.default_rng([0, number, c]), 84)
            for c in range(len(SPLIT[split]))
        )
        images = np.stack([draw() for draw in classes for _ in range(COUNT)])
        splits[split] = images.transpose(0, 3, 1, 2)
    return splits


def test_a_cache_keeps_every_pixel(run, made, drawn):
    splits, record, _ = run(made("cache"))
    for split, classes in splits.items():
        assert classes.names == tuple(SPLIT[split])
        assert np.array_equal(classes.images, drawn[split])
    assert record == {
        "side": 84,
        "form": "cache",
        "selection": "Ravi and Larochelle's",
        "train": {"classes": 3, "images": 12},
        "val": {"classes": 1, "images": 4},
        "test": {"classes": 2, "images": 8},
    }


def test_folders_and_tables_have_the_images_of_their_jpegs(run, made, drawn):
    for form in ("csv", "folders"):
        splits, record, printed = run(made(form))
        for split, classes in splits.items():
            assert classes.names == tuple(SPLIT[split])
            for i, image in enumerate(classes.images):  # JPEG makes them near, not equal
                distances = np.abs(drawn[split].astype(float) - image).mean((1, 2, 3))
                assert distances.argmin() == i
        assert record["form"] == form
        assert "note" not in printed
    first = splits["val"].of(0)[0]
    with Image.open(made("folders") / "val/n01855672/n01855672_1.JPEG") as image:
        assert np.array_equal(first, to_uint8(image, 84, 3))


def test_images_of_another_size_are_resized_by_lanczos(run, made):
    (cached, *_), (listed, *_) = (run(made(form), side=20) for form in ("cache", "csv"))
    content = pickle.loads((made("cache") / CACHE.format("train")).read_bytes())
    image = Image.fromarray(content["image_data"][content["class_dict"]["n01558993"][2]])
    expected = np.array(image.resize((20, 20), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.array_equal(cached["train"].of(1)[2], expected)
    with Image.open(made("csv") / "images/n0155899300000003.jpg") as image:
        expected = np.array(image.resize((20, 20), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.array_equal(listed["train"].of(1)[2], expected)


def test_tables_and_images_may_lie_apart(run, copied, tmp_path):
    source = copied("csv")
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_bytes((source / f"{split}.csv").read_bytes())
        (source / f"{split}.csv").unlink()
    tables = [tmp_path / f"{split}.csv" for split in SPLITS]
    assert run(source / "images", *tables)[1]["form"] == "csv"


def test_without_tables_the_first_images_of_imagenets_folders_are_taken(run, copied):
    source = copied("folders")
    extra = source / "train/n01558993"
    shutil.copy(extra / "n01558993_1.JPEG", extra / "n01558993_10.JPEG")
    (source / "train/n99999999").mkdir()  # of the other nine hundred
    splits, record, printed = run(source)
    assert record["selection"] == "the first 4 by name"
    assert "note: there are more than 4 images of a class, and the first 4 by name" in printed
    images = splits["train"].of(1)  # 1, 10, 2, 3
    assert np.array_equal(images[0], images[1]) and not np.array_equal(images[0], images[2])


def test_tables_choose_from_imagenets_folders_by_place(run, copied, made, tmp_path):
    """n0155899300000003.jpg is the third of the class by its number, which is no text."""
    source = copied("folders")
    for numbers, name in ((f.stem.split("_"), f) for f in source.rglob("*.JPEG")):
        name.rename(name.with_name(f"{numbers[0]}_{7 * int(numbers[1])}.JPEG"))  # 7, 14, 21, 28
    for split in SPLITS:
        table = (made("csv") / f"{split}.csv").read_text()
        (source / f"{split}.csv").write_text(table.replace("04.jpg", "05.jpg"))
    for folder in source.glob("*/*"):
        shutil.copy(next(folder.glob("*_7.JPEG")), folder / f"{folder.name}_100.JPEG")
    splits, record, _ = run(source)
    assert (record["form"], record["selection"]) == ("csv", "Ravi and Larochelle's")
    for classes in splits.values():
        for c in range(len(classes)):
            images = classes.of(c)
            assert len(np.unique(images, axis=0)) == 3
            assert np.array_equal(images[0], images[3])  # the first and the fifth, number 100


def test_a_missing_image_is_not_replaced_by_another(refused, copied, made):
    source = copied("csv")
    (source / "images/n0155899300000002.jpg").unlink()
    assert "lists n0155899300000002.jpg, which is not in" in refused(source)


def test_a_second_run_does_nothing_and_another_form_replaces_it(run, small, made, tmp_path, capsys):
    run(made("folders"))
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*")}
    assert "nothing to do" in run(made("folders"))[2]
    assert small.main(["--out", str(tmp_path / "out")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*")} == before
    assert run(made("cache"))[1]["form"] == "cache"
    left = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert left == ["prepared.json", "test", "train", "val"]


def test_what_fails_leaves_an_earlier_result_as_it_was(run, small, made, copied, tmp_path, capsys):
    run(made("folders"))
    before = {f: f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    source = copied("csv")
    (source / "images/n0198127600000004.jpg").write_bytes(b"no image")
    assert small.main(["--out", str(tmp_path / "out"), "--source", str(source)]) == 2
    assert "cannot read the image" in capsys.readouterr().err
    assert {f: f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()} == before


def spoiled_cache(source: Path, split: str, **changes) -> Path:
    file = source / CACHE.format(split)
    content = pickle.loads(file.read_bytes())
    file.write_bytes(pickle.dumps({**content, **changes}))
    return source


def indices(**changes) -> dict:
    """The class_dict of `val`, changed."""
    return {"n01855672": list(range(COUNT)), **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_dict": {"n01930112": [0, 1, 2, 3]}}, "n01855672 has 0 images .* instead of 4"),
        ({"class_dict": indices(n01930112=[0, 1, 2, 3])}, "n01930112 has 4 .* instead of 0"),
        ({"class_dict": indices(n01855672=[0, 1, 2])}, "n01855672 has 3 .* instead of 4"),
        ({"class_dict": indices(n01855672=[0, 1, 2, 2])}, "counts images twice"),
        ({"class_dict": indices(n01855672=[0, 1, 2, 4])}, "names images beyond its 4"),
        ({"class_dict": indices(n01855672=[-1, 1, 2, 3])}, "names images beyond its 4"),
        ({"class_dict": indices(n01855672=0.5)}, "n01855672 has 1 images"),
        ({"class_dict": indices(n01855672=["a", "b", "c", "d"])}, "no numbers of images"),
        ({"class_dict": [0, 1, 2, 3]}, "holds no image_data and class_dict"),
        ({"class_dict": {**indices(), 7: [0]}}, "holds no image_data and class_dict"),
        ({"image_data": np.zeros((4, 84, 84), np.uint8)}, r"uint8 \(4, 84, 84\) instead of uint8"),
        ({"image_data": np.zeros((4, 3, 84, 84), np.uint8)}, r"\(4, 3, 84, 84\) instead of"),
        ({"image_data": np.zeros((4, 80, 80, 3), np.uint8)}, r"\(4, 80, 80, 3\) instead of"),
        ({"image_data": np.zeros((4, 84, 84, 3), np.float32)}, "float32 .* instead of uint8"),
        ({"image_data": "pixels"}, "instead of uint8"),
    ],
)
def test_a_cache_with_other_content_is_refused(refused, copied, changes, words):
    assert re.search(words, refused(spoiled_cache(copied("cache"), "val", **changes)))


def test_a_cache_whose_indices_are_a_column_is_read(run, copied, drawn):
    column = np.arange(COUNT)[:, np.newaxis]
    source = spoiled_cache(copied("cache"), "val", class_dict=indices(n01855672=column))
    splits, *_ = run(source)
    assert np.array_equal(splits["val"].images, drawn["val"])


def test_a_cut_off_cache_is_refused(refused, copied):
    source = copied("cache")
    file = source / CACHE.format("test")
    whole = file.read_bytes()
    for content in (b"", whole[:1000], whole[:-1], whole[100:], b"no pickle"):
        file.write_bytes(content)
        assert f"cannot read the pickle {file}" in refused(source)


def test_a_cache_that_would_run_a_command_is_refused(refused, copied, tmp_path):
    class Command:
        def __reduce__(self):
            return subprocess.call, (["touch", str(tmp_path / "ran")],)

    source = spoiled_cache(copied("cache"), "train", more=Command())
    assert "is refused (it asks for subprocess.call, which is no array" in refused(source)
    assert not (tmp_path / "ran").exists()


def test_an_incomplete_folder_is_named(refused, copied):
    source = copied("folders")
    (source / "test/n01981276/n01981276_2.JPEG").unlink()
    sentence = refused(source)
    assert "class n01981276 has 3 images in" in sentence and "instead of 4" in sentence
    shutil.rmtree(source / "test/n01981276")
    assert "class n01981276 has 0 images in" in refused(source)


def test_a_class_in_two_places_is_refused(refused, copied):
    source = copied("folders")
    shutil.copytree(source / "train/n01532829", source / "val/n01532829")
    assert "class n01532829 is both in" in refused(source)


@pytest.mark.parametrize("form", ["csv", "cache"])
def test_a_missing_file_of_a_form_is_named(refused, copied, form):
    source = copied(form)
    name = {"csv": "val.csv", "cache": CACHE.format("val")}[form]
    (source / name).unlink()
    assert f"there is no {name} in {source}" in refused(source)


def test_a_table_of_other_classes_or_columns_is_refused(refused, copied):
    source = copied("csv")
    table = (source / "val.csv").read_text()
    (source / "val.csv").write_text(table.replace(",n01855672", ",n01930112"))
    assert "class n01855672 has 0 images in" in refused(source)
    (source / "val.csv").write_text("\n".join(table.splitlines()[:-1]))
    assert "class n01855672 has 3 images in" in refused(source)
    for content in ("", "n0185567200000001.jpg,n01855672\n", "filename,label\nn01855672\n"):
        (source / "val.csv").write_text(content)
        assert "no table with the columns filename and label" in refused(source)


def test_a_broken_image_is_named(refused, copied):
    source = copied("folders")
    file = source / "test/n01981276/n01981276_4.JPEG"
    file.write_bytes(file.read_bytes()[:300])
    assert f"cannot read the image {file}" in refused(source)


def test_nothing_like_it_and_nothing_at_all(refused, small, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "no miniImageNet in" in refused(tmp_path / "empty")
    assert "nowhere does not exist" in refused(tmp_path / "nowhere")
    assert small.main(["--out", str(tmp_path / "out")]) == 2
    assert "--source" in capsys.readouterr().err


def test_the_published_split_has_64_16_and_20_classes(prepare):
    split = prepare.ravi_split()
    assert [len(split[s]) for s in SPLITS] == [64, 16, 20]
    assert len({name for names in split.values() for name in names}) == 100
    assert prepare.IMAGES_PER_CLASS == 600


def test_on_the_command_line(made, tmp_path):
    """The small stand-in is not the whole: the published split is in force."""
    command = [sys.executable, "-W", "ignore", SCRIPT, "--out", tmp_path / "out", "--source"]
    done = subprocess.run([*command, made("cache")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("prepare.py: class n01532829 has 4 images in")
    assert line.endswith("instead of 600: this is not the published split of miniImageNet")
