"""What all readers of few-shot tasks share: which tasks a process reads, and their seeds."""

from __future__ import annotations

import os
import warnings

import paddle
from paddle.io import IterableDataset

from .class_split import SPLITS
from .episodes import Episode, episode_rng
from .errors import UserError
from .settings import Settings
from .sharing import meta_batch, share


class TaskDataset(IterableDataset):
    """Yields tasks as lists [support_x, support_y, query_x, query_y] of numpy arrays.

    A subclass says by `draw` what a task is. The directory that `file_list` lies in holds the data
    of one split and no other; which split it is, and so how many tasks there are, the key `split`
    says or, without it, whether the config names it as train, valid or test directory.

    Task i of epoch e is drawn from (seed, split, e, i) alone. The trainer may say which epoch it is
    by setting `epoch`, as this project's does. PaddleRec's does not; there `DygraphModel` counts in
    the config they share how many meta-steps were made, and the epoch follows from that: however
    often an iterator is opened and dropped, and whatever process reads.

    An algorithm that is pretrained gets a fifth array in training: the numbers of the task's
    classes among all training classes, int64 (way,).

    With `hyper_parameters.query_set: support` a training task's queries are its support examples
    themselves, and `query`, the number per class to draw, is 0.

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
        self.setting = setting = Settings.from_config(config)
        self.config = config
        self.epoch = None
        self.directory = os.path.dirname(file_list[0])
        self.split = _split(self.directory, config, setting)
        self.training = training = self.split == "train"
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
        self.support_again = training and setting.query_set == "support"
        self.numbered = training and setting.pretrains
        self.way, self.shot = setting.n_way, setting.k_spt
        self.query = 0 if self.support_again else setting.query(training)

    def draw(self, rng) -> Episode:
        """Draw a task, as the network takes it, from a `numpy.random.Generator`."""
        raise NotImplementedError

    def __len__(self):
        return self.tasks

    def __iter__(self):
        epoch = self._epoch()
        for index in self._share():
            yield self.task(epoch, index)

    def task(self, epoch: int, index: int) -> list:
        """Task `index` of `epoch`, from 0 both: the same however often it is drawn.

        The epoch of a validation or meta-test is 0.
        """
        task = self.draw(episode_rng(self.seed, self.split, epoch, index))
        if self.support_again:
            task = task._replace(query_x=task.support_x, query_y=task.support_y)
        return list(task if self.numbered else task[:4])

    def _epoch(self):
        if not self.training:
            return 0
        if self.epoch is not None:
            return self.epoch
        return self.config.get("meta_steps", 0) * self.batch_size // self.tasks

    def _share(self):
        """The tasks that this process and worker draws: of training a part, of others all."""
        if not self.training:
            return share(self.tasks, self.batch_size)
        ranks, rank = paddle.distributed.get_world_size(), paddle.distributed.get_rank()
        return share(self.tasks, self.batch_size, ranks, rank)


def path_of(config, path) -> str:
    """The real path of what the config names; relative ones start from the config's directory."""
    base = config.get("config_abs_dir", "")
    try:
        return os.path.realpath(os.path.join(base, os.path.expanduser(path)))
    except ValueError as error:  # characters that no path has
        raise UserError(f"there is no way to {path} ({error}): correct the path.") from error


def _split(directory, config, setting):
    """What the config says, or which of its data directories this is, or "test".

    Where the train and the test directory are one, a training is known by its meta-steps, which
    `DygraphModel.create_optimizer` begins to count.
    """
    keys = {split: f"runner.{split}_data_dir" for split in SPLITS}
    named = {split: path_of(config, config[key]) for split, key in keys.items() if config.get(key)}
    here = os.path.realpath(directory)
    found = [split for split, path in named.items() if path == here]
    if setting.split is None and "train" in found and len(found) > 1:
        warnings.warn(
            f"{directory} is the {' and the '.join(found)} directory: its accuracy says nothing "
            "about new classes.",
            stacklevel=4,
        )
    if setting.split is not None and found and len(found) < len(named):
        other = next(split for split in named if split not in found)
        raise UserError(
            f"hyper_parameters.split divides the classes of one directory, but {keys[found[0]]} is "
            f"{here} and {keys[other]} is {named[other]}: name the same, or leave the split out."
        )
    if "split" in config:
        return config["split"]
    if len(found) > 1 and "train" in found:
        return "train" if "meta_steps" in config else "test"
    return found[0] if found else "test"
