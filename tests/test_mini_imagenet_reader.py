"""The reader of photographs, where it is another than Omniglot's."""

from __future__ import annotations

import numpy as np
import pytest
from mini_imagenet_reader import RecDataset
from paddle_maml.image_classes import ImageClasses, save_image_classes
from PIL import Image

SIDE = 8


@pytest.fixture
def packed(tmp_path):
    """Six classes of four images, each of one colour that tells class and image."""
    colours = np.zeros((24, 3, 1, 1), np.uint8)
    colours[:, 0, 0, 0] = 40 * np.repeat(range(6), 4)
    colours[:, 1, 0, 0] = np.tile(range(4), 6)
    colours[:, 2] = 255
    images = np.broadcast_to(colours, (24, 3, SIDE, SIDE))
    save_image_classes(tmp_path, ImageClasses(tuple("abcdef"), images, np.arange(0, 25, 4)))
    return tmp_path


def read(directory, **keys):
    config = {"split": "train", "runner.train_batch_size": 1, "hyper_parameters.tasks_per_epoch": 5}
    config |= {f"hyper_parameters.{name}": value for name, value in keys.items()}
    return RecDataset([str(path) for path in directory.iterdir()], config)


def test_colours_are_brightness_from_zero_to_one(packed):
    tasks = list(read(packed, imgsize=SIDE, channels=3, conv_stride=2, k_spt=1, k_query=3))
    assert len(tasks) == 5
    for support_x, support_y, query_x, query_y in tasks:
        assert support_x.shape == (5, 3, SIDE, SIDE) and query_x.shape == (15, 3, SIDE, SIDE)
        assert support_x.dtype == query_x.dtype == np.float32
        assert (support_x[:, 2] == 1).all() and (query_x[:, 2] == 1).all()
        red = np.rint(255 * support_x[:, 0, 0, 0])
        assert set(red) < {0, 40, 80, 120, 160, 200}
        assert np.array_equal(np.rint(255 * query_x[:, 0, 0, 0]), red[query_y])
        green = 255 * np.concatenate([support_x, query_x])[:, 1, 0, 0]
        labels = np.concatenate([support_y, query_y])
        for label in range(5):
            assert sorted(np.rint(green[labels == label])) == [0, 1, 2, 3]


def test_packed_images_are_not_read_into_memory(packed):
    images = read(packed, imgsize=SIDE, channels=3, conv_stride=2, k_query=1).classes.images
    assert isinstance(images.base, np.memmap)


def test_inference_reads_colour_of_miniimagenets_size(tmp_path):
    Image.new("RGB", (100, 120), (255, 0, 51)).save(tmp_path / "0.bmp")
    config = {"runner.inference": True}  # the only key that PaddleRec's paddle_infer.py gives
    ((image,),) = RecDataset([str(tmp_path / "0.bmp")], config)
    assert image.shape == (3, 84, 84) and image.dtype == np.float32
    assert image[:, 40, 40].tolist() == pytest.approx([1, 0, 0.2])
