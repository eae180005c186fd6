"""What people have of Omniglot and miniImageNet, prepared by the command."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import pickle
import shutil
import sys
import zipfile

import numpy as np
import pytest
from dataset_scripts import script
from fuzzing.conftest import fuzzed
from fuzzing.guard import judged
from fuzzing.mutations import TEXTS, altered, mutated, odd_values
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

SIDE = 8
SPLIT = {"train": ["n01", "n02"], "val": ["n03"], "test": ["n04"]}
CHARACTERS = {"train": ["A/1", "A/2"], "val": ["B/1"], "test": ["B/2"]}


class Refused(Exception):
    exit_code = 2


def run(main, *arguments) -> None:
    """Run a command in this process; raises what it refuses with."""
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        code = main(list(map(str, arguments)))
    if code == 2:
        raise Refused(told.getvalue().rstrip("\n"))
    assert code == 0


def png(level: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("1", (9, 9), level).save(file, "PNG")
    return file.getvalue()


PNG = png()
MEMBERS = {
    part: {f"{part}/{alphabet}/{c}/{i}.png": PNG for c in "12" for i in "12"}
    for part, alphabet in (("images_background", "A"), ("images_evaluation", "B"))
}
PATHS = [f"images_background/A/1/{name}" for name in ("1.png", "3.png", ".png", "é.png", "1.PNG")]
PATHS += ["images_background/A/3/1.png", "/etc/x.png", "C:/x.png", "../x.png", "a\\..\\x.png"]
PATHS += ["images_background/A/../../x.png", "images_background", "images_background/", *TEXTS]
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
OF_ZIPS = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08", b"\1\0", b"\x63\0"]
OF_ZIPS += [
    b"\x0c\0",
    b"\x0e\0",
    b"\x08\0",
    b"\0\x08",
    b"\1\0\x1c\0",
    b"\xff" * 8,
    b"../",
    b"\\",
    PNG,
]


def zipped(members: dict, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            with contextlib.suppress(UnicodeEncodeError):
                archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


@pytest.fixture
def omniglot(target, monkeypatch):
    """omniglot(archive): prepare it as images_background.zip, of four characters in all."""
    prepare = script("omniglot/prepare.py")
    monkeypatch.setattr(prepare, "vinyals_split", lambda: CHARACTERS)
    monkeypatch.setattr(prepare, "IMAGES_PER_CLASS", 2)
    source, out = target / "source", target / "out"
    source.mkdir()
    (source / "images_evaluation.zip").write_bytes(zipped(MEMBERS["images_evaluation"]))

    def call(archive: bytes):
        shutil.rmtree(out, ignore_errors=True)
        (source / "images_background.zip").write_bytes(archive)
        run(prepare.main, "--out", out, "--source", source, "--side", SIDE)

    for method in METHODS:  # whatever is imported when it is needed is imported by now
        call(zipped(MEMBERS["images_background"], method))
    return call


@fuzzed
@given(archive=mutated([zipped(MEMBERS["images_background"], m) for m in METHODS], OF_ZIPS))
def test_a_changed_archive(omniglot, target, archive):
    judged(lambda: omniglot(archive), target)


@fuzzed
@given(
    changes=st.dictionaries(st.sampled_from(PATHS), mutated([PNG]), min_size=1, max_size=3),
    method=st.sampled_from(METHODS),
)
def test_an_archive_of_other_members(omniglot, target, changes, method):
    archive = zipped({**MEMBERS["images_background"], **changes}, method)
    judged(lambda: omniglot(archive), target)


@pytest.fixture
def mini_imagenet(target, monkeypatch):
    """mini_imagenet(files): prepare from a directory of these, 2 images of each of 4 classes."""
    prepare = script("mini_imagenet/prepare.py")
    monkeypatch.setattr(prepare, "ravi_split", lambda: SPLIT)
    monkeypatch.setattr(prepare, "IMAGES_PER_CLASS", 2)
    monkeypatch.setattr(sys.modules["mini_imagenet.sources"], "CACHED_SIDE", SIDE)
    source, out = target / "source", target / "out"

    def call(files: dict[str, bytes], record: bytes | None = None):
        if record is None:
            shutil.rmtree(out, ignore_errors=True)
        else:
            (out / "prepared.json").write_bytes(record)
        shutil.rmtree(source, ignore_errors=True)
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
        run(prepare.main, "--out", out, "--source", source, "--side", SIDE)

    for files in (CACHES, TABLES):
        call(files)
    return call


def cache(names: list[str]) -> dict:
    images = np.full((2 * len(names), SIDE, SIDE, 3), 7, np.uint8)
    return {
        "class_dict": {n: [2 * i, 2 * i + 1] for i, n in enumerate(names)},
        "image_data": images,
    }


def table(names: list[str]) -> bytes:
    text = io.StringIO(newline="")
    rows = [["filename", "label"], *([f"{name}{i}.jpg", name] for name in names for i in "12")]
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


JPEG = io.BytesIO()
Image.new("RGB", (9, 9)).save(JPEG, "JPEG")
CACHES = {f"mini-imagenet-cache-{s}.pkl": pickle.dumps(cache(n), 2) for s, n in SPLIT.items()}
IMAGES = {
    f"images/{n}{i}.jpg": JPEG.getvalue() for names in SPLIT.values() for n in names for i in "12"
}
TABLES = {f"{s}.csv": table(names) for s, names in SPLIT.items()} | IMAGES
WHOLE = [pickle.dumps(cache(SPLIT["train"]), protocol) for protocol in range(6)]
OF_TABLES = [
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"filename",
    b"label",
    b"n01",
    b"n04",
    b"../x.jpg",
]
OF_TABLES += ["é".encode(), b"\x1b[2J", b"n011.jpg", b"x" * 200_000]


@fuzzed
@given(
    written=mutated(
        WHOLE, [b"class_dict", b"image_data", b"n01", b"n04", b"cos\nsystem\n", b"N", b"K"]
    )
)
def test_a_changed_cache(mini_imagenet, target, written):
    judged(lambda: mini_imagenet({**CACHES, "mini-imagenet-cache-train.pkl": written}), target)


def odd_arrays() -> st.SearchStrategy:
    shapes = st.lists(st.sampled_from((0, 1, 2, 3, SIDE)), max_size=4)
    types = st.sampled_from(("u1", "i8", "f4", "?", "S3", "U2", "c8"))
    return st.builds(np.ones, shapes, types)


@fuzzed
@given(
    content=altered(cache(SPLIT["train"]), odd_arrays() | odd_values()), protocol=st.integers(0, 5)
)
def test_a_cache_of_other_content(mini_imagenet, target, content, protocol):
    written = pickle.dumps(content, protocol)
    judged(lambda: mini_imagenet({**CACHES, "mini-imagenet-cache-train.pkl": written}), target)


@fuzzed
@given(written=mutated([TABLES["train.csv"], TABLES["val.csv"]], OF_TABLES))
def test_a_changed_table(mini_imagenet, target, written):
    judged(lambda: mini_imagenet({**TABLES, "train.csv": written}), target)


@fuzzed
@given(data=st.data())
def test_a_changed_record(mini_imagenet, target, data):
    """What an earlier preparation says of itself."""
    mini_imagenet(TABLES)
    whole = (target / "out/prepared.json").read_bytes()
    if data.draw(st.booleans()):
        record = json.dumps(
            data.draw(altered(json.loads(whole))), default=str, skipkeys=True
        ).encode()
    else:
        wholes = [whole, whole, b"[" * 100_000]
        record = data.draw(mutated(wholes, [b"[", b"{", b'"', b"9" * 5000, b"NaN"]))
    judged(lambda: mini_imagenet(TABLES, record), target)
