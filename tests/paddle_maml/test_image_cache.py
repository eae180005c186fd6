"""The decoded images that are kept."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from paddle_maml import image_directory
from paddle_maml.errors import UserError
from paddle_maml.image_directory import load_image_classes
from trees import drawing, same, write_tree


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "made/cache"


@pytest.fixture
def reads(monkeypatch):
    """The files decoded so far."""
    files = []

    def counted(file, *form):
        files.append(file)
        return original(file, *form)

    original = image_directory.read_image
    monkeypatch.setattr(image_directory, "read_image", counted)
    return files


def test_a_second_start_decodes_nothing_and_maps_the_same_images(tree, cache, reads):
    first = load_image_classes(tree, cache=cache)
    assert len(reads) == 6
    second = load_image_classes(tree, cache=cache)
    assert len(reads) == 6
    assert same(first, second) and same(second, load_image_classes(tree))
    for classes in (first, second):
        assert isinstance(classes.images.base, np.memmap)
    (entry,) = cache.iterdir()
    assert sorted(file.name for file in entry.iterdir()) == [
        "broken.json",
        "classes.tsv",
        "images.npy",
    ]


def replace(tree):
    drawing(77).save(tree / "a/3.png")


def touch(tree):
    status = (tree / "a/3.png").stat()
    os.utime(tree / "a/3.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        replace,
        touch,
        lambda tree: (tree / "a/3.png").unlink(),
        lambda tree: drawing(9).save(tree / "b/9.png"),
        lambda tree: (tree / "b/1.png").rename(tree / "b/0.png"),
        lambda tree: (tree / "b").rename(tree / "c"),
    ],
    ids=["other content", "other time", "gone", "another", "other name", "other class"],
)
def test_what_changes_is_decoded_again(tree, cache, change):
    load_image_classes(tree, cache=cache)
    change(tree)
    assert same(load_image_classes(tree, cache=cache), load_image_classes(tree))
    assert len(list(cache.iterdir())) == 2


def test_each_form_and_choice_has_its_own_entry(tree, cache):
    forms = [(28, 1, "stretch"), (28, 3, "stretch"), (12, 1, "stretch"), (28, 1, "crop")]
    for _ in range(2):
        for form in forms:
            found = load_image_classes(tree, *form, cache=cache)
            assert same(found, load_image_classes(tree, *form))
        found = load_image_classes(tree, choose=lambda _: ["b"], cache=cache)
        assert found.names == ("b",)
    assert len(list(cache.iterdir())) == 5


def test_broken_files_are_told_of_again(tree, cache, reads):
    (tree / "a/2.gif").write_bytes(b"")
    for _ in range(2):
        with pytest.warns(UserWarning, match="2.gif"):
            assert load_image_classes(tree, broken=1, cache=cache).counts()["a"] == 2
    assert len(reads) == 6
    with pytest.raises(UserError, match="more than runner.broken_images = 0"):
        load_image_classes(tree, cache=cache)


@pytest.mark.parametrize("name", ["images.npy", "classes.tsv", "broken.json"])
def test_a_damaged_entry_is_made_again(tree, cache, name):
    load_image_classes(tree, cache=cache)
    (entry,) = cache.iterdir()
    (entry / name).write_bytes((entry / name).read_bytes()[:-1])
    assert same(load_image_classes(tree, cache=cache), load_image_classes(tree))
    assert [path.name for path in cache.iterdir()] == [entry.name]
    shutil.rmtree(tree / "a")  # the entry is whole again
    assert load_image_classes(tree, cache=cache).names == ("b", "b/x")


def test_without_room_for_it_images_are_read_all_the_same(tree, tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="not kept in .*file"):
        found = load_image_classes(tree, cache=tmp_path / "file")
    assert same(found, load_image_classes(tree))


def test_no_class_that_is_large_enough_is_the_same_as_without_it(tree, cache, recwarn):
    found = load_image_classes(tree, choose=lambda _: [], cache=cache)
    assert same(found, load_image_classes(tree, choose=lambda _: []))
    assert not recwarn.list and not cache.exists()


def test_a_class_that_no_index_can_hold_is_read_all_the_same(tree, cache):
    (tree / "b").rename(tree / "b\tc")
    with pytest.warns(UserWarning, match="not kept"):
        found = load_image_classes(tree, cache=cache)
    assert found.names == ("a", "b\tc", "b\tc/x")
    assert list(cache.iterdir()) == []
