"""The image classes, on real files."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from paddle_maml.image_classes import (
    ImageClasses,
    UserError,
    load_image_classes,
    pack_image_classes,
    save_image_classes,
    to_uint8,
)
from PIL import Image, ImageDraw


def drawing(seed: int, mode: str = "1", side: int = 105) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new(mode, (side, side), "white")
    ink = "black" if mode == "1" else tuple(rng.integers(0, 200, 3).tolist())
    ImageDraw.Draw(image).line([tuple(p) for p in rng.integers(5, side - 5, (4, 2))], ink, 3)
    return image


@pytest.fixture
def tree(tmp_path):
    """Three classes at two depths, of 2, 3 and 1 images, among files that do not count."""
    root = tmp_path / "tree"
    files = ["b/x/2.png", "b/x/1.PNG", "a/3.png", "a/1.bmp", "a/2.gif", "b/1.png"]
    for seed, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        drawing(seed).save(root / file)
    (root / "a/notes.txt").write_text("no image")
    (root / "a/._1.png").write_text("hidden")
    (root / ".hidden").mkdir()
    (root / ".hidden/1.png").write_text("hidden")
    (root / "preview.png").write_text("in no class")
    return root


def same(a: ImageClasses, b: ImageClasses) -> bool:
    return (
        a.names == b.names
        and np.array_equal(a.starts, b.starts)
        and np.array_equal(a.images, b.images)
    )


def test_one_bit_images_are_made_grey_before_they_are_resized():
    pixels = to_uint8(drawing(0), 28, 1)
    assert pixels.shape == (1, 28, 28) and pixels.dtype == np.uint8
    assert len(np.unique(pixels)) > 2


def test_colour_keeps_its_channels():
    image = Image.new("RGB", (40, 30), (10, 20, 30))
    pixels = to_uint8(image, 8, 3)
    assert pixels.shape == (3, 8, 8)
    assert [np.unique(c).tolist() for c in pixels] == [[10], [20], [30]]


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


def test_packed_form_equals_the_tree(tree, tmp_path):
    classes = load_image_classes(tree)
    save_image_classes(tmp_path / "packed", classes)
    packed = load_image_classes(tmp_path / "packed")
    assert same(packed, classes)
    assert isinstance(packed.images.base, np.memmap) and not packed.images.flags.writeable
    assert sorted(p.name for p in (tmp_path / "packed").iterdir()) == ["classes.tsv", "images.npy"]


def test_packed_form_can_replace_the_one_it_was_read_from(tree, tmp_path):
    save_image_classes(tmp_path, load_image_classes(tree, side=32))
    packed = load_image_classes(tmp_path, side=32)
    save_image_classes(tmp_path, packed)
    assert same(load_image_classes(tmp_path, side=32), packed)


def test_packed_form_is_converted_on_request(tmp_path):
    for seed in range(3):
        (tmp_path / "tree/a").mkdir(parents=True, exist_ok=True)
        drawing(seed, "RGB").save(tmp_path / f"tree/a/{seed}.png")
    save_image_classes(tmp_path, load_image_classes(tmp_path / "tree", side=105, channels=3))
    converted = load_image_classes(tmp_path, side=28, channels=1)
    assert same(converted, load_image_classes(tmp_path / "tree", side=28, channels=1))
    assert load_image_classes(tmp_path, side=28, channels=3).images.shape == (3, 3, 28, 28)


def test_failed_save_leaves_the_old_form(tree, tmp_path):
    classes = load_image_classes(tree)
    save_image_classes(tmp_path / "packed", classes)
    for names, starts in ((("a", "b\tc", "d"), classes.starts), (classes.names, [0, 3, 3, 6])):
        with pytest.raises(UserError, match="b"):
            save_image_classes(
                tmp_path / "packed", ImageClasses(names, classes.images, np.array(starts))
            )
    assert same(load_image_classes(tmp_path / "packed"), classes)


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


@pytest.mark.parametrize(
    "index",
    [
        "",
        "class\tfirst\tcount\n",
        "class\tfirst\tcount\na\t0\t3\n",
        "class\tfirst\tcount\na\t0\t3\nb\t4\t3\n",
        "class\tfirst\tcount\na\t0\tmany\n",
        "class\tfirst\tcount\na\t0\n",
        "name\tfirst\tcount\na\t0\t6\n",
    ],
)
def test_index_that_does_not_fit_is_refused(tree, tmp_path, index):
    save_image_classes(tmp_path / "packed", load_image_classes(tree))
    (tmp_path / "packed/classes.tsv").write_text(index)
    with pytest.raises(UserError, match="classes.tsv"):
        load_image_classes(tmp_path / "packed")


def test_array_that_does_not_fit_is_refused(tree, tmp_path):
    packed = tmp_path / "packed"
    save_image_classes(packed, load_image_classes(tree))
    whole = (packed / "images.npy").read_bytes()
    for content in (b"", b"no array", whole[:-1]):
        (packed / "images.npy").write_bytes(content)
        with pytest.raises(UserError, match="images.npy"):
            load_image_classes(packed)
    for array in (np.zeros((6, 1, 28, 28)), np.zeros((6, 28, 28), np.uint8)):
        np.save(packed / "images.npy", array)
        with pytest.raises(UserError, match="images.npy"):
            load_image_classes(packed)
    (packed / "images.npy").unlink()
    with pytest.raises(UserError, match="images.npy"):
        load_image_classes(packed)


def test_images_are_packed_while_they_are_made(tmp_path):
    """32 MiB of them, never more than one MiB at a time."""
    made = (np.full((1, 1, 1024, 1024), c, np.uint8) for c in range(32))
    tracemalloc.start()
    pack_image_classes(tmp_path, ["a", "b"], [8, 24], made)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 2**20
    classes = load_image_classes(tmp_path, side=1024)
    assert classes.names == ("a", "b") and classes.starts.tolist() == [0, 8, 32]
    assert classes.images[:, 0, 0, 0].tolist() == list(range(32))


@pytest.mark.parametrize("made", [0, 2, 4])
def test_a_wrong_number_of_images_is_no_packed_form(tmp_path, made):
    with pytest.raises(ValueError, match=f"{made} images instead of 3"):
        pack_image_classes(tmp_path, ["a"], [3], [np.zeros((1, 1, 4, 4), np.uint8)] * made)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", [9500, 14000])  # Pillow warns of the one and refuses the other
def test_an_image_of_too_many_pixels_is_refused(tmp_path, side, recwarn):
    (tmp_path / "a").mkdir()
    file = tmp_path / "a/bomb.png"
    Image.new("1", (side, side)).save(file)
    assert side**2 > Image.MAX_IMAGE_PIXELS and file.stat().st_size < 50_000
    with pytest.raises(UserError, match="cannot read the image .*bomb.png .*decompression bomb"):
        load_image_classes(tmp_path)
    assert not recwarn.list
