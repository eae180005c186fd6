"""Preparing Omniglot, from archives and directories that only look like it."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from dataset_scripts import DATASETS, script
from hypothesis import given, settings
from hypothesis import strategies as st
from paddle_maml.errors import UserError
from paddle_maml.image_directory import load_image_classes
from PIL import Image

SCRIPT = DATASETS / "omniglot/prepare.py"
PARTS = ("images_background", "images_evaluation")
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def prepare():
    return script("omniglot/prepare.py")


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def refused(prepare, capsys):
    """Run the command line in this process and return the one sentence with which it refuses."""

    def sentence(*arguments) -> str:
        assert prepare.main(list(map(str, arguments))) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return sentence


def png() -> bytes:
    image = Image.new("1", (9, 9), 1)
    image.putpixel((4, 4), 0)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def make_zip(file: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """All 1623 classes of 20 images: one tiny image under 32460 names."""
    root = tmp_path_factory.mktemp("omniglot")
    image = root / "image.png"
    image.write_bytes(png())
    table = (SCRIPT.parent / "vinyals_split.tsv").read_text().splitlines()[1:]
    for line in table:
        folder = root / line.split("\t")[1]
        folder.mkdir(parents=True)
        for i in range(20):
            os.link(image, folder / f"{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def prepared(unpacked, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    done = run("--source", unpacked, "--out", out, "--side", 6)
    assert done.returncode == 0, done.stderr
    return out, done


def test_published_split_is_prepared(prepared):
    out, done = prepared
    splits = [load_image_classes(out / split, side=6) for split in SPLITS]
    assert [len(classes) for classes in splits] == [1028, 172, 423]
    assert all(len(classes.images) == 20 * len(classes) for classes in splits)
    assert len({name for classes in splits for name in classes.names}) == 1623
    assert "Alphabet_of_the_Magi/character01" in splits[0].names
    record = json.loads((out / "prepared.json").read_text())
    assert record["split"] == "vinyals" and record["test"] == {"classes": 423, "images": 8460}
    assert done.stdout.splitlines()[-1].endswith("python tools/trainer.py -m config.yaml")
    assert sorted(p.name for p in out.iterdir()) == ["prepared.json", "test", "train", "val"]


def test_second_run_does_nothing(prepared):
    out, _ = prepared
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*")}
    done = run("--out", out, "--side", 6)
    assert done.returncode == 0 and "nothing to do" in done.stdout
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*")} == before


def test_other_settings_or_a_damaged_result_are_no_earlier_run(prepare, prepared):
    out, _ = prepared
    settings = {"split": "vinyals", "seed": None, "side": 6}
    assert prepare.is_prepared(out, settings)
    assert not prepare.is_prepared(out, {**settings, "split": "paper", "seed": 0})
    index = out / "val/classes.tsv"
    content = index.read_text()
    index.unlink()
    assert not prepare.is_prepared(out, settings)
    index.write_text(content)
    assert prepare.is_prepared(out, settings)
    record = out / "prepared.json"
    content = record.read_text()
    for damaged in (content[:-9], "[]", "{}", 100_000 * "["):
        record.write_text(damaged)
        assert not prepare.is_prepared(out, settings)
    record.write_text(content)


def test_other_settings_replace_the_result(prepare, unpacked, prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path, dirs_exist_ok=True)
    prepare.prepare(tmp_path, [unpacked], "paper", seed=3, side=4)
    splits = [load_image_classes(tmp_path / split, side=4) for split in SPLITS]
    assert [len(classes) for classes in splits] == [1100, 100, 423]
    assert len({name for classes in splits for name in classes.names}) == 1623
    assert prepare.is_prepared(tmp_path, {"split": "paper", "seed": 3, "side": 4})


def test_paper_split_follows_its_seed(prepare):
    names = [f"{i:04d}" for i in range(1623)]
    split = prepare.paper_split(names, seed=0)
    assert [len(split[s]) for s in SPLITS] == [1100, 100, 423]
    assert sorted(sum(split.values(), [])) == names
    assert split == prepare.paper_split(names[::-1], seed=0)
    assert split != prepare.paper_split(names, seed=1)


@given(st.integers(0, 2**64))
@settings(max_examples=30)
def test_no_class_is_in_two_splits_whatever_the_seed(prepare, seed):
    names = [f"{i:04d}" for i in range(1623)]
    assert sorted(sum(prepare.paper_split(names, seed).values(), [])) == names


def test_the_published_split_has_every_class_once(prepare):
    published = sum(prepare.vinyals_split().values(), [])
    assert len(published) == len({*published}) == 1623


def test_an_archive_packed_anew_is_read_and_named_as_such(prepare, tmp_path, capsys):
    file = make_zip(tmp_path / "images_background.zip", {"images_background/A/c/1.png": png()})
    md5 = prepare.md5_of(file)
    assert prepare.read_part("images_background", file) == ({"A/c": {"1.png": png()}}, md5)
    assert f"is not the official archive (md5 {md5})" in capsys.readouterr().out


def test_the_official_archive_is_read_without_a_word(prepare, tmp_path, monkeypatch, capsys):
    file = make_zip(tmp_path / "images_background.zip", {"images_background/A/c/1.png": png()})
    monkeypatch.setitem(prepare.MD5, "images_background", prepare.md5_of(file))
    prepare.read_part("images_background", file)
    assert capsys.readouterr().out == ""


def test_incomplete_archives_on_the_command_line(refused, tmp_path):
    files = [make_zip(tmp_path / f"{part}.zip", {f"{part}/A/c/1.png": png()}) for part in PARTS]
    for source in (files, [tmp_path]):
        assert "not the whole of Omniglot" in refused(
            "--out", tmp_path / "out", "--source", *source
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        "/etc/evil.png",
        "../evil.png",
        "images_background/A/../../../evil.png",
        "C:/evil.png",
        "images_background\\..\\..\\evil.png",
    ],
)
def test_members_that_lead_outside_are_refused(prepare, tmp_path, name):
    (tmp_path / "in").mkdir()
    members = {"images_background/A/c/1.png": png(), name: png()}
    file = make_zip(tmp_path / "in/images_background.zip", members)
    with pytest.raises(UserError, match="outside"):
        prepare.read_zip(file)
    assert list(tmp_path.rglob("*")) == [tmp_path / "in", file]


def test_links_in_archives_are_refused(prepare, tmp_path):
    link = zipfile.ZipInfo("images_background/A/c/1.png")
    link.external_attr = 0o120777 << 16
    file = make_zip(tmp_path / "images_background.zip", {link: b"/etc/passwd"})
    with pytest.raises(UserError, match="outside"):
        prepare.read_zip(file)


def test_an_archive_that_unpacks_to_too_much_is_refused(prepare, tmp_path):
    file = tmp_path / "images_background.zip"
    members = {f"images_background/A/c/{i}.png": bytes(1 << 24) for i in range(9)}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert file.stat().st_size < 1 << 18
    with pytest.raises(UserError, match="would unpack to 150994944 bytes"):
        prepare.read_zip(file)


def test_an_archive_that_understates_what_it_holds_is_refused(prepare, tmp_path):
    file = make_zip(tmp_path / "images_background.zip", {"images_background/A/c/1.png": png()})
    size = len(png()).to_bytes(4, "little")
    file.write_bytes(file.read_bytes().replace(size, (1).to_bytes(4, "little")))
    with pytest.raises(UserError, match="images_background.zip"):
        prepare.read_zip(file)


@pytest.mark.parametrize("method", [0, 8, 12, 14], ids=["stored", "deflate", "bzip2", "lzma"])
def test_damaged_archive_is_refused(prepare, tmp_path, method):
    file = tmp_path / "images_background.zip"
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("images_background/A/c/1.png", png())
    whole, first = file.read_bytes(), 30 + len("images_background/A/c/1.png")
    altered = whole[: first + 8] + bytes(byte ^ 85 for byte in whole[first + 8 : -120])
    for content in (b"", whole[:-30], altered + whole[-120:]):
        file.write_bytes(content)
        with pytest.raises(UserError, match="images_background.zip"):
            prepare.read_zip(file)


def test_archive_and_directory_read_the_same(prepare, tmp_path):
    members = {f"images_background/A/c{c}/{i}.png": png() for c in (1, 2) for i in (1, 2)}
    members["images_background/readme.txt"] = b"no image"
    file = make_zip(tmp_path / "images_background.zip", members)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path)
    directory = tmp_path / "images_background"
    assert prepare.read_zip(file) == prepare.read_directory(directory)


def test_parts_are_found_in_any_mixture(prepare, tmp_path):
    file = make_zip(tmp_path / "images_background.zip", {})
    folder = tmp_path / "elsewhere/images_evaluation"
    folder.mkdir(parents=True)
    parts = {"images_background": file, "images_evaluation": folder}
    assert prepare.found([tmp_path, folder.parent]) == parts
    assert prepare.found([folder, file]) == parts
    with pytest.raises(UserError, match="images_evaluation"):
        prepare.found([tmp_path])


def test_missing_source_is_named(tmp_path):
    done = run("--out", tmp_path / "out", "--source", tmp_path / "nowhere")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "nowhere" in done.stderr
    assert not (tmp_path / "out").exists()


def test_incomplete_source_names_the_first_class_that_differs(refused, tmp_path):
    for part in PARTS:
        (tmp_path / part / "Aardvark/character01").mkdir(parents=True)
        (tmp_path / part / "Aardvark/character01/1.png").write_bytes(png())
    sentence = refused("--out", tmp_path / "out", "--source", tmp_path)
    assert "class Aardvark/character01 has 1 images instead of 0" in sentence
    assert not (tmp_path / "out").exists()


def test_every_class_is_counted(prepare):
    images = {f"{i}.png": b"" for i in range(20)}
    prepare.verify({"a": images, "b": images}, ["a", "b"])
    for classes, name in (({"a": images}, "b"), ({"a": {}, "b": images}, "a")):
        with pytest.raises(UserError, match=f"class {name} has 0 images instead of 20"):
            prepare.verify(classes, ["a", "b"])


def test_unreadable_image_is_named(prepare):
    classes = {"Greek/character01": {"1.png": b"no image"}}
    with pytest.raises(UserError, match="Greek/character01/1.png"):
        prepare.convert(classes, list(classes), 28, prepare.bar())


@pytest.fixture
def server(tmp_path):
    """An address that serves the files of a directory, and the directory."""
    (tmp_path / "served").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/", tmp_path / "served"
        listening.shutdown()


def test_download_keeps_only_what_arrived_whole(prepare, server, tmp_path):
    url, served = server
    (served / "a.zip").write_bytes(b"archive")
    target = tmp_path / "archives/a.zip"
    with pytest.raises(UserError, match="damaged"):
        prepare.download(url + "a.zip", target, "0" * 32)
    with pytest.raises(UserError, match="cannot download .*--source"):
        prepare.download(url + "b.zip", target, "0" * 32)
    assert list(target.parent.iterdir()) == []
    prepare.download(url + "a.zip", target, prepare.md5_of(served / "a.zip"))
    assert target.read_bytes() == b"archive"


def test_interrupted_download_goes_on_with_what_is_missing(prepare, server, tmp_path, monkeypatch):
    url, served = server
    monkeypatch.setattr(prepare, "URL", url)
    for part in PARTS:
        make_zip(served / f"{part}.zip", {"name": part.encode()})
        monkeypatch.setitem(prepare.MD5, part, prepare.md5_of(served / f"{part}.zip"))
    files = prepare.downloaded(tmp_path / "archives")
    (served / "images_background.zip").unlink()
    files["images_evaluation"].write_bytes(b"damaged")
    assert prepare.downloaded(tmp_path / "archives") == files
    assert prepare.md5_of(files["images_evaluation"]) == prepare.MD5["images_evaluation"]


def test_no_network_says_what_to_do(refused, tmp_path, monkeypatch):
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    sentence = refused("--out", tmp_path / "out")
    assert "cannot download" in sentence and "--source" in sentence
    assert not list(tmp_path.rglob("*.zip*"))


@pytest.mark.parametrize("option", [("--side", "0"), ("--seed", "-1"), ("--split", "other")])
def test_impossible_options_are_refused(prepare, option, capsys):
    with pytest.raises(SystemExit) as stopped:
        prepare.main(list(option))
    assert stopped.value.code == 2 and option[0] in capsys.readouterr().err
