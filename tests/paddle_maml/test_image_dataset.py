"""Tasks of images from one's own directory: drawn splits, normalised and augmented images."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from mini_imagenet_reader import RecDataset
from paddle_maml.class_split import SPLITS, draw_split
from paddle_maml.errors import UserError
from paddle_maml.image_directory import load_image_classes
from paddle_maml.pixel_scale import PixelScale
from trees import write_photographs

CLASSES, IMAGES, SIDE = 20, 6, 16
SHARES = [0.5, 0.25, 0.25]
AUGMENTATION = {
    "augmentation.flip": True,
    "augmentation.padding": 2,
    "augmentation.brightness": 0.4,
    "augmentation.contrast": 0.4,
}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp("photographs"), CLASSES, IMAGES)


def reader(root, of="train", runner=None, files=None, **changes):
    """As this project's trainer makes it."""
    config = {f"runner.{name}_data_dir": str(root) for name in SPLITS}
    config |= {"runner.train_batch_size": 4, "runner.valid_tasks": 8, "runner.infer_tasks": 8}
    config["split"] = of
    config |= {f"runner.{name}": value for name, value in (runner or {}).items()}
    settings = {"n_way": 5, "k_spt": 2, "k_query": 3, "tasks_per_epoch": 8, "rotation": False}
    settings |= {"imgsize": SIDE, "channels": 3, "fit": "crop", "split": SHARES} | changes
    config |= {f"hyper_parameters.{name}": value for name, value in settings.items()}
    return RecDataset(files or [str(path) for path in root.iterdir()], config)


def as_bytes(tasks) -> list[bytes]:
    return [b"".join(np.ascontiguousarray(a).tobytes() for a in task) for task in tasks]


def test_each_split_has_the_classes_drawn_for_it(root):
    drawn = draw_split([f"class{c:02d}" for c in range(CLASSES)], SHARES, 0)
    for split in SPLITS:
        dataset = reader(root, split)
        assert dataset.splits == drawn
        assert list(dataset.classes.names) == drawn[split]
        assert len(list(dataset)) == 8


def test_the_draw_has_a_seed_of_its_own(root):
    first = reader(root).splits
    assert reader(root, runner={"seed": 7}).splits == first
    assert reader(root, split_seed=1).splits != first
    assert as_bytes(reader(root, runner={"seed": 7})) != as_bytes(reader(root))


def test_the_order_in_which_the_system_lists_files_does_not_matter(root, monkeypatch):
    first, scan = reader(root), os.scandir

    class Backwards:
        def __init__(self, path):
            self.entries = iter(sorted(scan(path), key=lambda entry: entry.name, reverse=True))

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.entries)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    backwards = reader(root, files=sorted(map(str, root.iterdir()), reverse=True))
    assert backwards.splits == first.splits
    assert as_bytes(backwards) == as_bytes(first)


@pytest.mark.parametrize("counting", [True, False])
def test_without_being_told_a_training_is_known_by_its_meta_steps(root, counting):
    """As under PaddleRec's tools, where train and test directory are one."""
    config = {"config_abs_dir": str(root.parent)}
    config |= {f"runner.{split}_data_dir": root.name for split in ("train", "test")}
    config |= {f"hyper_parameters.{key}": v for key, v in (("split", SHARES), ("k_query", 3))}
    config |= {"meta_steps": 0} if counting else {}
    config["hyper_parameters.imgsize"] = SIDE
    dataset = RecDataset([str(root / "class00")], config)
    assert dataset.split == ("train" if counting else "test")
    assert list(dataset.classes.names) == dataset.splits[dataset.split]


def test_a_split_of_two_directories_is_refused(root, tmp_path):
    with pytest.raises(UserError, match=r"one directory, but .*train_data_dir is .* name the same"):
        reader(root, runner={"test_data_dir": str(tmp_path)})


@pytest.mark.parametrize("folders", [["train", "val", "test"], ["Train", "Test"]])
def test_a_directory_that_is_divided_already_is_not_drawn_from(tmp_path, folders):
    for folder in folders:
        write_photographs(tmp_path / folder, 5, 1)
    with pytest.raises(UserError, match="which hyper_parameters.split would mix: leave the split"):
        reader(tmp_path)


def test_too_few_classes_for_each_split_to_fill_a_task(root):
    for split in SPLITS:
        with pytest.raises(UserError, match="has 20 classes, .* leaves 5 for validation, fewer"):
            reader(root, split, n_way=6)


def test_one_class_alone(tmp_path):
    write_photographs(tmp_path, 1, 1)
    with pytest.raises(UserError, match="has 1 class, fewer than hyper_parameters.n_way = 5"):
        reader(tmp_path, split=None)


@pytest.mark.parametrize("cache", ["", "kept"])
def test_no_class_with_enough_images(root, tmp_path, cache):
    runner = {"image_cache": cache and str(tmp_path / cache)}
    with pytest.warns(UserWarning, match="left out"), pytest.raises(UserError, match="0 classes"):
        reader(root, runner=runner, min_images=1000, split=None)


def test_a_loss_for_numbers(root):
    changes = {"loss": "mse", "network": "mlp"}
    with pytest.raises(UserError, match="loss is 'mse', but mini_imagenet_reader .* cross_entropy"):
        reader(root, **changes)


@pytest.fixture
def uneven(tmp_path):
    """Classes of 7, 4, 7, 7 and 3 images."""
    write_photographs(tmp_path, 5, 7)
    for c, count in ((1, 4), (4, 3)):
        for i in range(count, 7):
            (tmp_path / f"class{c:02d}/{i}.jpg").unlink()
    return tmp_path


def test_small_classes_are_left_out_if_asked_for(uneven):
    task = {"n_way": 3, "split": None}
    with pytest.raises(
        UserError,
        match=r"class class04 .* has 3 images, fewer than k_spt \+ k_query = 2 \+ 3: set "
        r"hyper_parameters.k_query: 1, or set hyper_parameters.min_images: 5 to leave 2 such out",
    ):
        reader(uneven, **task)
    with pytest.raises(UserError, match=r"k_spt \+ k_query_test = 2 \+ 4: set .*k_query_test: 1,"):
        reader(uneven, "valid", k_query_test=4, **task)
    with pytest.raises(UserError, match=r"= 3 \+ 3: lower k_spt, or"):
        reader(uneven, k_spt=3, **task)
    with pytest.warns(UserWarning, match="^2 of 5 .* left out, .*: class01, class04$"):
        dataset = reader(uneven, min_images=5, **task)
    assert dataset.classes.names == ("class00", "class02", "class03")


def test_small_classes_are_left_out_before_the_draw(uneven):
    with pytest.warns(UserWarning, match="left out"):
        splits = reader(uneven, n_way=3, split=[1, 0, 0], min_images=5).splits
    assert splits["train"] == ["class00", "class02", "class03"]


def test_a_broken_image_is_named_with_what_passes_it_over(uneven):
    (uneven / "class00/1.jpg").write_bytes(b"")
    task = {"n_way": 3, "min_images": 5, "split": None}
    with pytest.warns(UserWarning), pytest.raises(UserError, match="1.jpg .*runner.broken_images"):
        reader(uneven, **task)
    with pytest.warns(UserWarning, match="1.jpg"):
        dataset = reader(uneven, runner={"broken_images": 1}, **task)
    assert dataset.classes.counts()["class00"] == 6


def test_a_class_that_broken_images_made_small_is_left_out_like_others(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    whole = reader(root)
    broken = whole.classes.names[3]
    (tmp_path / "copy" / broken / "0.jpg").write_bytes(b"")
    runner = {"broken_images": 1} | {f"{s}_data_dir": str(tmp_path / "copy") for s in SPLITS}
    left_out = pytest.warns(UserWarning, match=f"^1 of 10 classes .* left out, .*: {broken}$")
    with pytest.warns(UserWarning, match="0.jpg"), left_out:
        dataset = reader(tmp_path / "copy", runner=runner, min_images=IMAGES)
    assert dataset.classes.names == tuple(n for n in whole.classes.names if n != broken)
    assert dataset.splits == whole.splits


def test_images_are_kept_in_the_cache_beside_the_configuration(root, tmp_path):
    plain = reader(root)
    config = {"config_abs_dir": str(tmp_path), "runner.image_cache": "kept"}
    kept = RecDataset([str(root / "class00")], {**plain.config, **config})
    assert as_bytes(kept) == as_bytes(plain)
    assert len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_images_are_normalised_in_every_split_and_can_be_looked_at(root, split):
    plain, normalised = reader(root, split), reader(root, split, **IMAGENET)
    assert normalised.scale == PixelScale.normalising(*IMAGENET.values())
    mean, std = (np.reshape(IMAGENET[key], (3, 1, 1)) for key in ("mean", "std"))
    for one, other in zip(plain, normalised):
        for place in (0, 2):
            np.testing.assert_allclose(
                other[place], (one[place] - mean) / std, rtol=1e-4, atol=1e-5
            )
            shown = normalised.scale.pixels(other[place])
            assert np.array_equal(shown, plain.scale.pixels(one[place]))
        assert np.array_equal(one[1], other[1]) and np.array_equal(one[3], other[3])


def test_inference_reads_images_as_the_network_takes_them(root):
    config = {"runner.inference": True, "hyper_parameters.fit": "crop"}
    config |= {f"hyper_parameters.{name}": value for name, value in IMAGENET.items()}
    dataset = RecDataset([str(root / "class00")], config)
    images = np.stack([image for (image,) in dataset])
    classes = load_image_classes(root, 84, 3, "crop")
    assert np.array_equal(images, PixelScale.normalising(**IMAGENET).values(classes.images))


def test_only_the_images_of_training_are_augmented(root):
    for split in SPLITS:
        plain, augmented = (list(reader(root, split, **keys)) for keys in ({}, AUGMENTATION))
        for one, other in zip(plain, augmented):
            assert np.array_equal(one[1], other[1]) and np.array_equal(one[3], other[3])
            assert one[0].shape == other[0].shape and other[0].dtype == np.float32
        assert (as_bytes(plain) == as_bytes(augmented)) == (split != "train")


def test_augmented_tasks_depend_on_nothing_but_their_number(root):
    first = as_bytes(reader(root, **AUGMENTATION))
    dataset = reader(root, tasks_per_epoch=16, **AUGMENTATION)
    assert as_bytes(dataset)[:8] == first
    dataset.epoch = 1
    assert not {*as_bytes(dataset)} & {*first}
    dataset = reader(root, tasks_per_epoch=16, **AUGMENTATION)
    dataset.config["meta_steps"] = 4  # of 4 tasks: the second epoch
    assert not {*as_bytes(dataset)} & {*first}


def test_the_same_image_differs_from_task_to_task(root):
    """One class has six images; in 32 tasks without augmentation none else is seen."""
    keys = {"n_way": 5, "tasks_per_epoch": 32, "augmentation.flip": True}
    seen = {image.tobytes() for task in reader(root, **keys) for image in task[0]}
    plain = {image.tobytes() for task in reader(root, tasks_per_epoch=32) for image in task[0]}
    assert len(plain) <= 10 * IMAGES < len(seen) <= 20 * IMAGES


def test_queries_that_are_the_support_set_are_changed_as_it_is(root):
    for support_x, _, query_x, _ in reader(root, query_set="support", **AUGMENTATION):
        assert np.array_equal(support_x, query_x)
