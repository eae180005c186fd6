"""Tasks drawn from a directory of image classes."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from .augmentation import Augmentation
from .class_split import check_split, draw_split
from .episodes import Episode, check_enough, check_number, draw_episode
from .errors import UserError
from .image_classes import INDEX
from .image_directory import load_image_classes
from .image_files import READABLE, BrokenImage, class_files, image_names, read_image
from .pixel_scale import PixelScale
from .settings import Settings
from .task_dataset import TaskDataset, path_of

DIVIDED = ("train", "training", "val", "valid", "validation", "test", "testing")
NAMED = 10  # of the classes that are left out


class ImageDataset(TaskDataset):
    """Tasks of images: float32 (way * images, channels, side, side), on the scale `scale`.

    Labels are int64 (way * images,). Classes are rotated in training as
    `hyper_parameters.rotation`, `reflection` and `rotation_of` say, in validation and meta-test as
    `rotation_test` says; the images of training tasks are changed as
    `hyper_parameters.augmentation` says.

    With `hyper_parameters.split` the classes of the directory are drawn for training, validation
    and test, and `splits` names those of each; else it is None, and they all are of one split.

    With `runner.inference`, which PaddleRec's tools for exported models set, yields every image of
    the directory or of its folders instead, as a list of one array (channels, side, side); their
    paths are in `names`. `form` has the hyper-parameters that those tools leave out.
    """

    scale: PixelScale
    form: dict = {}
    splits: dict[str, list[str]] | None = None

    def __init__(self, file_list, config):
        self.images = None
        if config.get("runner.inference", False):
            of_any_size = {"hyper_parameters.network": "mlp"}  # conv4 takes images from 16 pixels
            setting = Settings.from_config({**of_any_size, **self.form, **config})
            self.scale = setting.scale(self.scale)
            self.names, self.images = load_images(os.path.dirname(file_list[0]), setting.form)
            return
        super().__init__(file_list, config)
        setting = self.setting
        if setting.loss == "mse":
            raise UserError(
                f"hyper_parameters.loss is 'mse', but {type(self).__module__} has classes to tell "
                "apart: set it to cross_entropy."
            )
        self.turns = setting.turns(self.training)
        self.together = self.training and setting.rotation_of == "task"
        self.scale = setting.scale(self.scale)
        self.augment = setting.augmentation if self.training else Augmentation()
        self.classes = self._load(config)
        key = "k_query" if self.training else "k_query_test"
        check_enough(self.classes, self.directory, self.way, self.shot, self.query, key)
        if self.numbered:
            check_number(self.classes, self.directory, self.turns, setting.pretrain_classes)

    def draw(self, rng) -> Episode:
        form = self.way, self.shot, self.query, self.turns, self.together
        task = draw_episode(self.classes, rng, *form)
        support_x, query_x = (
            self.scale.values(self.augment(x, rng)) for x in (task.support_x, task.query_x)
        )
        return task._replace(support_x=support_x, query_x=query_x)

    def _load(self, config):
        cache = config.get("runner.image_cache")
        try:
            classes = load_image_classes(
                self.directory,
                *self.setting.form,
                choose=self._choose,
                broken=config.get("runner.broken_images", 0),
                cache=cache and path_of(config, cache),
            )
        except BrokenImage as error:
            raise UserError(
                f"{error}, or set runner.broken_images, which passes over as many as it says"
            ) from error
        return classes.only(self._large(classes.counts()))  # without the broken ones

    def _large(self, counts):
        """Of classes with their numbers of images, those with enough."""
        least = self.setting.min_images
        small = [name for name in counts if counts[name] < least]
        if small:
            more = f" and {len(small) - NAMED} more" if len(small) > NAMED else ""
            warnings.warn(
                f"{len(small)} of {len(counts)} classes in {self.directory} are left out, with "
                f"fewer images than hyper_parameters.min_images = {least}: "
                f"{', '.join(small[:NAMED])}{more}",
                stacklevel=3,
            )
        return [name for name in counts if counts[name] >= least]

    def _choose(self, counts):
        """Of the classes of the directory, with their numbers of images, those of this split."""
        setting, names = self.setting, self._large(counts)
        if setting.split is None:
            return names
        check_layout(self.directory)
        self.splits = draw_split(names, setting.split, setting.split_seed)
        check_split(self.splits, self.directory, setting.split, setting.n_way, self.split)
        return self.splits[self.split]

    def __len__(self):
        return super().__len__() if self.images is None else len(self.images)

    def __iter__(self):
        if self.images is not None:
            return ([self.scale.values(image)] for image in self.images)
        return super().__iter__()


def check_layout(directory: str) -> None:
    """Raise UserError if the directory looks divided already."""
    folders = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    divided = [name for name in folders if name.lower() in DIVIDED]
    if len(divided) > 1:
        raise UserError(
            f"{directory} has folders {', '.join(divided)}, which hyper_parameters.split would "
            "mix: leave the split out and name them in runner.train_data_dir, valid_data_dir and "
            "test_data_dir."
        )


def load_images(directory, form, broken: list | None = None):
    """Images in a directory and its folders: names and uint8 pixels, by path.

    Those that cannot be read are passed over if there is a list to add their errors to.
    """
    directory = Path(directory)
    files = [directory / name for name in image_names(os.listdir(directory))]
    files = sorted([*files, *(f for found in class_files(directory).values() for f in found)])
    if not files and (directory / INDEX).is_file():
        classes = load_image_classes(directory, *form)
        numbered = ((n, i) for c, n in enumerate(classes.names) for i in range(classes.count(c)))
        return [f"{name}/{i}" for name, i in numbered], classes.images
    if not files:
        raise UserError(
            f"there are no images in {directory} or its folders: put some there, as "
            f"{', '.join(READABLE)} files"
        )
    names, images = [], []
    for file in files:
        try:
            images.append(read_image(file, *form))
            names.append(file.relative_to(directory).as_posix())
        except BrokenImage as error:
            if broken is None:
                raise
            broken.append(error)
    if not images:
        raise UserError(f"none of the {len(files)} images in {directory} can be read: replace them")
    return names, np.stack(images)
