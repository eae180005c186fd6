"""Directories of image classes, on real files."""

from __future__ import annotations

import numpy as np
import pytest
from paddle_maml.errors import UserError
from paddle_maml.image_classes import save_image_classes
from paddle_maml.image_directory import load_image_classes
from paddle_maml.image_files import to_uint8
from PIL import Image
from trees import drawing, same, write_tree


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


@pytest.mark.parametrize(("side", "channels"), [(28, 2), (0, 1)])
def test_impossible_forms_are_refused(side, channels, tree):
    with pytest.raises(ValueError, match="must be"):
        to_uint8(drawing(0), side, channels)
    with pytest.raises(ValueError, match="must be"):
        load_image_classes(tree, side, channels)


def test_tree_is_sorted_and_counted(tree):
    classes = load_image_classes(tree)
    assert classes.names == ("a", "b", "b/x")
    assert len(classes) == 3
    assert [classes.count(c) for c in range(3)] == [3, 1, 2]
    assert classes.starts.dtype == np.int64 and classes.starts.tolist() == [0, 3, 4, 6]
    first_of_x, _ = classes.of(2)
    assert np.array_equal(first_of_x, to_uint8(drawing(1), 28, 1))


def test_of_refuses_a_class_that_is_not_there(tree):
    classes = load_image_classes(tree)
    assert np.array_equal(classes.of(-1), classes.of(2))
    with pytest.raises(IndexError):
        classes.of(3)


def test_packed_form_is_converted_on_request(tmp_path):
    for seed in range(3):
        (tmp_path / "tree/a").mkdir(parents=True, exist_ok=True)
        drawing(seed, "RGB").save(tmp_path / f"tree/a/{seed}.png")
    save_image_classes(tmp_path, load_image_classes(tmp_path / "tree", side=105, channels=3))
    converted = load_image_classes(tmp_path, side=28, channels=1)
    assert same(converted, load_image_classes(tmp_path / "tree", side=28, channels=1))
    assert load_image_classes(tmp_path, side=28, channels=3).images.shape == (3, 3, 28, 28)


def test_missing_directory_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        load_image_classes(tmp_path / "nowhere")


def test_directory_without_images_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images .*empty"):
        load_image_classes(tmp_path / "empty")


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_unreadable_image_is_named(tree, keep):
    broken = tree / "a/3.png"
    broken.write_bytes(broken.read_bytes()[:keep])
    with pytest.raises(UserError, match="3.png"):
        load_image_classes(tree)


@pytest.mark.parametrize("side", [9500, 14000])  # Pillow warns of the one and refuses the other
def test_an_image_of_too_many_pixels_is_refused(tmp_path, side, recwarn):
    (tmp_path / "a").mkdir()
    file = tmp_path / "a/bomb.png"
    Image.new("1", (side, side)).save(file)
    assert side**2 > Image.MAX_IMAGE_PIXELS and file.stat().st_size < 50_000
    with pytest.raises(UserError, match="cannot read the image .*bomb.png .*decompression bomb"):
        load_image_classes(tmp_path)
    assert not recwarn.list


def test_the_classes_chosen_are_read_and_no_others(tree):
    (tree / "b/1.png").write_text("broken, but not chosen")
    seen = {}

    def choose(counts):
        seen.update(counts)
        return ["a", "b/x"]

    classes = load_image_classes(tree, choose=choose)
    assert seen == {"a": 3, "b": 1, "b/x": 2}
    assert classes.counts() == {"a": 3, "b/x": 2}


@pytest.mark.parametrize("side", [28, 12])
def test_classes_are_chosen_of_the_packed_form_too(tree, tmp_path, side):
    save_image_classes(tmp_path / "packed", load_image_classes(tree))
    for names in (["b/x"], ["a", "b/x"], []):
        found = load_image_classes(tmp_path / "packed", side, choose=lambda _, n=names: n)
        expected = load_image_classes(tree, choose=lambda _, n=names: n)
        assert found.counts() == expected.counts()
        assert found.images.shape == (len(expected.images), 1, side, side)
        if side == 28:
            assert same(found, expected)


def test_broken_files_are_passed_over_up_to_a_number_with_a_warning_each(tree):
    whole = load_image_classes(tree)
    (tree / "a/2.gif").write_bytes(b"")
    (tree / "b/x/2.png").write_bytes((tree / "b/x/2.png").read_bytes()[:60])
    with pytest.warns(UserWarning) as told:
        classes = load_image_classes(tree, broken=2)
    assert ["2.gif" in str(told[0].message), "b/x/2.png" in str(told[1].message)] == [True, True]
    assert len(told) == 2
    assert classes.counts() == {"a": 2, "b": 1, "b/x": 1}
    assert np.array_equal(classes.images, whole.images[[0, 2, 3, 4]])
    with pytest.raises(
        UserError,
        match=r"^2 images in .*tree cannot be read, more than runner.broken_images = 1: "
        r".*2.gif \(the file is empty\); .*2.png \(.*\): .* set runner.broken_images: 2$",
    ):
        load_image_classes(tree, broken=1)
    with pytest.raises(UserError, match="cannot read the image .*2.gif"):
        load_image_classes(tree)


def test_of_many_broken_files_the_first_are_named_and_all_are_counted(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(9):
        (tmp_path / f"a/{number}.jpg").touch()
    with pytest.raises(UserError, match=r"^9 images .*a/4.jpg \(.*\); and 4 more: ") as refused:
        load_image_classes(tmp_path, broken=8)
    assert "5.jpg" not in str(refused.value)
    with pytest.warns(UserWarning):
        assert load_image_classes(tmp_path, broken=9).counts() == {"a": 0}


def test_an_image_of_too_many_pixels_counts_as_broken(tree):
    Image.new("1", (9500, 9500)).save(tree / "a/bomb.png")
    with pytest.warns(UserWarning, match="bomb.png .*decompression bomb"):
        assert load_image_classes(tree, broken=1).counts()["a"] == 3


def test_images_that_lie_in_no_directory_of_their_class_are_told_of(tmp_path):
    for number in range(3):
        drawing(number).save(tmp_path / f"{number}.png")
    with pytest.raises(
        UserError, match=r"holds 3 images itself \(0.png\) but no .*: give each class a directory"
    ):
        load_image_classes(tmp_path)
