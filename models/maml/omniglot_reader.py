"""Few-shot tasks from Omniglot, or from any folder of grey or colour images."""

from __future__ import annotations

import os
import warnings

import numpy as np
import paddle
from paddle.io import IterableDataset, get_worker_info
from paddle_maml.episodes import check_enough, draw_episode, episode_rng
from paddle_maml.image_classes import load_image_classes
from paddle_maml.settings import Settings


class RecDataset(IterableDataset):
    """Yields tasks as lists [support_x, support_y, query_x, query_y] of numpy arrays.

    Images are float32 (way * images, channels, side, side), ink 1 and paper 0; labels are int64.
    The directory that `file_list` lies in holds the classes of one split and no other; which split
    it is, and so whether classes are rotated and how many tasks there are, follows from whether the
    config names it as train, valid or test directory.

    Task i of epoch e is drawn from (seed, split, e, i) alone. An epoch ends when an iterator is
    exhausted: one that is opened and dropped, as PaddleRec's trainer does, changes nothing, unless
    the epoch is so short (a handful of batches) that the DataLoader's prefetching exhausts it. A
    trainer that uses worker processes has to set `epoch` itself, as this project's does.

    Parameters
    ----------
    file_list : list of str
        What `os.listdir` finds in the data directory, as paths.
    config : dict
        The flat config; see `paddle_maml.settings.Settings` for the hyper-parameters.
    """

    def __init__(self, file_list, config):
        super().__init__()
        setting = Settings.from_config(config)
        directory = os.path.dirname(file_list[0])
        self.split = _split(directory, config)
        training = self.split == "train"
        self.seed = config.get("runner.seed", 12345)
        self.epoch = 0
        self.tasks = {
            "train": setting.tasks_per_epoch,
            "valid": config.get("runner.valid_tasks", 200),
            "test": config.get("runner.infer_tasks", 600),
        }[self.split]
        self.batch_size = config.get(
            "runner.train_batch_size" if training else "runner.infer_batch_size", 1
        )
        if training:  # whole batches only, so that every process has as many
            self.tasks -= self.tasks % self.batch_size
        self.way, self.shot, self.query = setting.n_way, setting.k_spt, setting.query(training)
        self.rotation = training and setting.rotation
        self.classes = load_image_classes(directory, setting.imgsize, setting.channels)
        check_enough(self.classes, directory, self.way, self.shot, self.query)

    def __len__(self):
        return self.tasks

    def __iter__(self):
        for index in self._share():
            rng = episode_rng(self.seed, self.split, self.epoch, index)
            task = draw_episode(self.classes, rng, self.way, self.shot, self.query, self.rotation)
            yield [_ink(task.support_x), task.support_y, _ink(task.query_x), task.query_y]
        if self.split == "train":
            self.epoch += 1

    def _share(self):
        """The tasks of this process: in training by rank one in turn, by worker a batch in turn.

        The DataLoader collects a batch from each worker in turn, so that the batches are the same
        for any number of workers.
        """
        rank, ranks = 0, 1
        if self.split == "train":
            rank, ranks = paddle.distributed.get_rank(), paddle.distributed.get_world_size()
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for place, index in enumerate(range(rank, self.tasks, ranks)):
            if place // (self.batch_size // ranks) % workers == number:
                yield index


def _ink(images):
    """uint8 grey levels, paper white, to float32 with ink 1 and paper 0."""
    return 1 - images.astype(np.float32) / 255


def _split(directory, config):
    """Which of the config's data directories this is; "test" if it is none of them."""
    base = config.get("config_abs_dir", "")
    named = {s: config.get(f"runner.{s}_data_dir") for s in ("train", "valid", "test")}
    here = os.path.realpath(directory)
    found = [s for s, d in named.items() if d and os.path.realpath(os.path.join(base, d)) == here]
    if len(found) > 1:
        warnings.warn(
            f"{directory} is the {' and the '.join(found)} directory: its accuracy says nothing "
            "about new classes.",
            stacklevel=3,
        )
    return found[0] if found else "test"
