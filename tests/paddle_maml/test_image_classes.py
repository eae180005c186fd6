"""The image classes and their packed form, on real files."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from paddle_maml.errors import UserError
from paddle_maml.image_classes import ImageClasses, pack_image_classes, save_image_classes
from paddle_maml.image_directory import load_image_classes
from trees import same, write_tree


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


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


def test_failed_save_leaves_the_old_form(tree, tmp_path):
    classes = load_image_classes(tree)
    save_image_classes(tmp_path / "packed", classes)
    for names, starts in ((("a", "b\tc", "d"), classes.starts), (classes.names, [0, 3, 3, 6])):
        with pytest.raises(UserError, match="b"):
            save_image_classes(
                tmp_path / "packed", ImageClasses(names, classes.images, np.array(starts))
            )
    assert same(load_image_classes(tmp_path / "packed"), classes)


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
        "class\tfirst\tcount\na\t0\t3\na\t3\t3\n",
        f"class\tfirst\tcount\na\t0\t{10**20}\n",
        # in 64 bits the sum is 6 again
        f"class\tfirst\tcount\na\t0\t{2**63 - 1}\nb\t{2**63 - 1}\t{2**63 - 1}\nc\t-2\t8\n",
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
    of_python_2 = np.lib.format.magic(1, 0) + b"\6\0{\0:1L\n"
    np.savez(tmp_path / "several.npz", images=np.zeros((6, 1, 28, 28), np.uint8))
    several = (tmp_path / "several.npz").read_bytes()
    for content in (b"", b"no array", whole[:-1], of_python_2, several, several[:-30]):
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


def test_no_classes_at_all_are_no_packed_form(tmp_path):
    with pytest.raises(UserError, match="there are no classes to write to .*packed: name some"):
        pack_image_classes(tmp_path / "packed", [], [], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", [0, 2, 4])
def test_a_wrong_number_of_images_is_no_packed_form(tmp_path, made):
    with pytest.raises(ValueError, match=f"{made} images instead of 3"):
        pack_image_classes(tmp_path, ["a"], [3], [np.zeros((1, 1, 4, 4), np.uint8)] * made)
    assert list(tmp_path.iterdir()) == []
