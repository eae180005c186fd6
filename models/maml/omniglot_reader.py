"""Few-shot tasks from Omniglot, or from any folder of grey or colour images."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import paddle
from paddle.io import IterableDataset
from paddle_maml.episodes import check_enough, draw_episode, episode_rng
from paddle_maml.image_classes import SUFFIXES, class_files, ink, load_image_classes, read_image
from paddle_maml.settings import Settings
from paddle_maml.sharing import meta_batch, share


class RecDataset(IterableDataset):
    """Yields tasks as lists [support_x, support_y, query_x, query_y] of numpy arrays.

    Images are float32 (way * images, channels, side, side), ink 1 and paper 0; labels are int64.
    The directory that `file_list` lies in holds the classes of one split and no other; which split
    it is, and so whether classes are rotated and how many tasks there are, the key `split` says or,
    without it, whether the config names it as train, valid or test directory.

    Task i of epoch e is drawn from (seed, split, e, i) alone. The trainer may say which epoch it is
    by setting `epoch`, as this project's does. PaddleRec's does not; there `DygraphModel` counts in
    the config they share how many meta-steps were made, and the epoch follows from that: however
    often an iterator is opened and dropped, and whatever process reads.

    With `runner.inference`, which PaddleRec's tools for exported models set, yields every image of
    the directory or of its folders instead, as a list of one array (channels, side, side); their
    paths are in `names`.

    Parameters
    ----------
    file_list : list of str
        What `os.listdir` finds in the data directory, as paths.
    config : dict
        The flat config; see `paddle_maml.settings.Settings` for the hyper-parameters.
    """

    shares_workers = True

    def __init__(self, file_list, config):
        super().__init__()
        setting = Settings.from_config(config)
        directory = os.path.dirname(file_list[0])
        self.images = self.epoch = None
        if config.get("runner.inference", False):
            side, channels = setting.imgsize, setting.channels
            self.names, self.images = load_images(directory, side, channels)
            return
        self.config = config
        self.split = _split(directory, config)
        training = self.split == "train"
        self.seed = config.get("runner.seed", 12345)
        self.tasks = {
            "train": setting.tasks_per_epoch,
            "valid": config.get("runner.valid_tasks", 200),
            "test": config.get("runner.infer_tasks", 600),
        }[self.split]
        self.batch_size = (
            meta_batch(config) if training else config.get("runner.infer_batch_size", 1)
        )
        if training:  # whole batches only, so that every process has as many
            self.tasks -= self.tasks % self.batch_size
        self.way, self.shot, self.query = setting.n_way, setting.k_spt, setting.query(training)
        self.rotation = training and setting.rotation
        self.classes = load_image_classes(directory, setting.imgsize, setting.channels)
        check_enough(self.classes, directory, self.way, self.shot, self.query)

    def __len__(self):
        return self.tasks if self.images is None else len(self.images)

    def __iter__(self):
        if self.images is not None:
            yield from ([ink(image)] for image in self.images)
            return
        epoch = self._epoch()
        for index in self._share():
            rng = episode_rng(self.seed, self.split, epoch, index)
            task = draw_episode(self.classes, rng, self.way, self.shot, self.query, self.rotation)
            yield [ink(task.support_x), task.support_y, ink(task.query_x), task.query_y]

    def _epoch(self):
        if self.split != "train":
            return 0
        if self.epoch is not None:
            return self.epoch
        return self.config.get("meta_steps", 0) * self.batch_size // self.tasks

    def _share(self):
        """The tasks that this process and worker draws: of training a part, of others all."""
        if self.split != "train":
            return share(self.tasks, self.batch_size)
        ranks, rank = paddle.distributed.get_world_size(), paddle.distributed.get_rank()
        return share(self.tasks, self.batch_size, ranks, rank)


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


def _split(directory, config):
    """What the config says, or which of its data directories this is, or "test"."""
    base = config.get("config_abs_dir", "")
    named = {s: config.get(f"runner.{s}_data_dir") for s in ("train", "valid", "test")}
    here = os.path.realpath(directory)
    found = [s for s, d in named.items() if d and os.path.realpath(os.path.join(base, d)) == here]
    if "train" in found and len(found) > 1:
        warnings.warn(
            f"{directory} is the {' and the '.join(found)} directory: its accuracy says nothing "
            "about new classes.",
            stacklevel=3,
        )
    return config.get("split") or (found[0] if found else "test")
