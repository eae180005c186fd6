"""The batches of a reader, which Paddle reads ahead of the training in a thread or in processes."""

from __future__ import annotations

import traceback
from itertools import repeat
from typing import NoReturn

import numpy as np
from paddle.distributed import get_rank
from paddle.io import DataLoader, Dataset, IterableDataset, get_worker_info
from paddle.io.dataloader.collate import default_collate_fn

from utils.errors import UserError


class Loader(DataLoader):
    """Paddle's DataLoader, but what a reader raises is raised where its batch would have come.

    Paddle's own waits for ever once the thread that reads has ended by an exception; of one in a
    worker process it raises another, which does not say what was wrong.
    """

    def __init__(self, reader, **options):
        kind = _Stream if isinstance(reader, IterableDataset) else _Items
        super().__init__(kind(reader), collate_fn=_collate, **options)
        self.reader = reader

    def __iter__(self):
        for batch in super().__iter__():
            if isinstance(batch, list) and isinstance(batch[-1], Failure):
                batch[-1].tell()
            yield batch


class Failure:
    """An exception in place of a sample, as text: not every one comes through to another process.

    `exit_code` is that of a user's mistake.
    """

    def __init__(self, error: Exception):
        self.exit_code = getattr(error, "exit_code", None)
        self.text = str(error)
        if self.exit_code is None:
            trace = traceback.format_exception(type(error), error, error.__traceback__)
            self.text = "".join(trace)

    def tell(self) -> NoReturn:
        if self.exit_code is None:
            raise RuntimeError(f"the reader failed:\n{self.text}")
        error = UserError(self.text)
        error.exit_code = self.exit_code
        raise error


class BatchesInTurn(IterableDataset):
    """A reader that knows nothing of processes, with its batches taken by them in turn.

    Without it each process that trains and each worker that reads would take all of the data. The
    DataLoader asks its workers in turn, so batches come as from one; of `ranks` training processes
    none takes a batch before there is one for each. A reader that does know says so by
    `shares_workers`.
    """

    def __init__(self, reader, batch_size: int, ranks: int = 1):
        super().__init__()
        self.reader, self.batch_size, self.ranks = reader, batch_size, ranks

    def __iter__(self):
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        mine = []
        for place, sample in enumerate(self.reader):
            turn, rank = divmod(place // self.batch_size, self.ranks)
            if rank == get_rank() % self.ranks and turn % workers == number:
                mine.append(sample)
            if (place + 1) % (self.batch_size * self.ranks) == 0:
                yield from mine
                mine = []
        if self.ranks == 1:
            yield from mine


class _Stream(IterableDataset):
    def __init__(self, reader):
        super().__init__()
        self.reader = reader

    def __iter__(self):
        try:
            yield from self.reader
        except Exception as error:
            yield from repeat(Failure(error))  # lest its batch be incomplete, and so dropped


class _Items(Dataset):
    def __init__(self, reader):
        super().__init__()
        self.reader = reader

    def __len__(self):
        return len(self.reader)

    def __getitem__(self, index):
        try:
            return self.reader[index]
        except Exception as error:
            return Failure(error)


def _collate(samples: list):
    failure = next((sample for sample in samples if isinstance(sample, Failure)), None)
    if failure is None:
        try:
            return default_collate_fn(samples)
        except Exception as error:
            failure = Failure(error)
    return [np.zeros(1), failure]  # a batch without an array would end the epoch
