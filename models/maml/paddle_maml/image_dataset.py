"""Tasks drawn from a directory of image classes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .episodes import Episode, check_enough, check_number, draw_episode
from .image_classes import SUFFIXES, class_files, load_image_classes, read_image
from .pixel_scale import PixelScale
from .settings import Settings
from .task_dataset import TaskDataset


class ImageDataset(TaskDataset):
    """Tasks of images: float32 (way * images, channels, side, side), on the scale `scale`.

    Labels are int64 (way * images,). Classes are rotated in training as
    `hyper_parameters.rotation` says, in validation and meta-test as `rotation_test` says.

    With `runner.inference`, which PaddleRec's tools for exported models set, yields every image of
    the directory or of its folders instead, as a list of one array (channels, side, side); their
    paths are in `names`. `form` has the hyper-parameters that those tools leave out.
    """

    scale: PixelScale
    form: dict = {}

    def __init__(self, file_list, config):
        self.images = None
        if config.get("runner.inference", False):
            setting = Settings.from_config({**self.form, **config})
            self.names, self.images = load_images(
                os.path.dirname(file_list[0]), setting.imgsize, setting.channels
            )
            return
        super().__init__(file_list, config)
        setting = self.setting
        self.rotation = setting.rotation if self.training else setting.rotation_test
        self.classes = load_image_classes(self.directory, setting.imgsize, setting.channels)
        check_enough(self.classes, self.directory, self.way, self.shot, self.query)
        if self.numbered:
            check_number(self.classes, self.directory, self.rotation, setting.pretrain_classes)

    def draw(self, rng) -> Episode:
        task = draw_episode(self.classes, rng, self.way, self.shot, self.query, self.rotation)
        support_x, query_x = (self.scale.values(x) for x in (task.support_x, task.query_x))
        return task._replace(support_x=support_x, query_x=query_x)

    def __len__(self):
        return super().__len__() if self.images is None else len(self.images)

    def __iter__(self):
        if self.images is not None:
            return ([self.scale.values(image)] for image in self.images)
        return super().__iter__()


def load_images(directory, side, channels):
    """Images in a directory or, if it has none, in its folders: names and uint8 pixels, by path."""
    directory = Path(directory)
    files = [f for f in directory.iterdir() if f.suffix.lower() in SUFFIXES and f.name[0] != "."]
    files = sorted(files) or [f for found in class_files(directory).values() for f in found]
    if files:
        names = [file.relative_to(directory).as_posix() for file in files]
        return names, np.stack([read_image(file, side, channels) for file in files])
    classes = load_image_classes(directory, side, channels)
    names = [f"{name}/{i}" for c, name in enumerate(classes.names) for i in range(classes.count(c))]
    return names, classes.images
