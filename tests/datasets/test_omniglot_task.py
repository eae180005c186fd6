"""Folders of an alphabet's test characters, drawn from what only looks like Omniglot."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dataset_scripts import DATASETS, script

TABLE = (DATASETS / "omniglot/vinyals_split.tsv").read_text().splitlines()
TEST = [line.partition("images_evaluation/")[2] for line in TABLE if line.startswith("test\t")]
KANNADA = [name.split("/")[1] for name in TEST if name.startswith("Kannada/")]


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "ignore", DATASETS / "omniglot/task.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run the command line in this process and return the one sentence with which it refuses."""
    monkeypatch.syspath_prepend(DATASETS / "omniglot")
    task = script("omniglot/task.py")

    def sentence(*arguments) -> str:
        assert task.main(list(map(str, arguments))) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return sentence


@pytest.fixture
def source(tmp_path):
    """Kannada's test characters; each image's content is its name."""
    (tmp_path / "images_background").mkdir()
    for character in KANNADA:
        folder = tmp_path / "images_evaluation/Kannada" / character
        folder.mkdir(parents=True)
        for number in range(20):
            (folder / f"{number:02d}.png").write_text(f"{character} {number}")
    return tmp_path


def test_each_character_is_divided_into_support_and_queries(source, tmp_path):
    done = run("--source", source, "--out", tmp_path / "new/task", "--classes", 7, "--shot", 4)
    assert done.returncode == 0, done.stderr
    assert "7 characters of Kannada, 4 support images and 16 queries each" in done.stdout
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["task"]
    for part, numbers in (("support", range(4)), ("query", range(4, 20))):
        files = {path: path.read_text() for path in (tmp_path / "new/task" / part).glob("*/*")}
        assert sorted({path.parent.name for path in files}) == KANNADA[:7]
        assert len(files) == 7 * len(numbers)
        assert {int(text.split()[1]) for text in files.values()} == {*numbers}
        assert all(text.split()[0] == path.parent.name for path, text in files.items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--alphabet", "Gurmukhi"], "Gurmukhi has 4 test characters, fewer than 20: lower"),
        (["--shot", 20], "--shot 20 leaves no queries"),
        (["--out", "."], ". is there: name a directory that is not"),
        (["--source", "nowhere"], "nowhere does not exist"),
    ],
)
def test_a_users_mistake_is_said_in_a_sentence(source, tmp_path, refused, options, words):
    line = refused("--source", source, "--out", tmp_path / "task", *options)
    assert line.startswith("task.py: ") and words in line
    assert not (tmp_path / "task").exists()


def test_a_character_of_too_few_images_is_named(source, tmp_path, refused):
    (source / "images_evaluation/Kannada" / KANNADA[3] / "07.png").unlink()
    line = refused("--source", source, "--out", tmp_path / "task")
    assert f"class Kannada/{KANNADA[3]} has 19 images instead of 20" in line
    assert not (tmp_path / "task").exists()
