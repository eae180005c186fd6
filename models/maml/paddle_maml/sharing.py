"""How the tasks of a meta-step are shared out to processes and to their readers' workers."""

from __future__ import annotations

import paddle
from paddle.io import get_worker_info


def meta_batch(config: dict) -> int:
    """Tasks per meta-step, over all processes.

    With `runner.use_fleet` in PaddleRec's trainer, `runner.train_batch_size` is what each process
    takes. In this project's it is the whole; that trainer keeps the key to itself.
    """
    tasks = config.get("runner.train_batch_size", 1)
    return tasks * paddle.distributed.get_world_size() if config.get("runner.use_fleet") else tasks


def index_in_epoch(number: int, place: int, batch: int, ranks: int = 1, rank: int = 0) -> int:
    """Which task of the epoch is at `place` in a process's batch `number`: what `share` yielded.

    Examples
    --------
    >>> [index_in_epoch(1, place, batch=4, ranks=2, rank=1) for place in range(2)]
    [5, 7]
    """
    return rank + ranks * (number * (batch // ranks) + place)


def share(tasks: int, batch: int, ranks: int = 1, rank: int = 0):
    """The numbers of the tasks that fall to this worker of process `rank` among `ranks`.

    Processes take one task in turn, workers a batch in turn: the DataLoader collects a batch from
    each worker in turn, so that the batches are the same for any number of workers.

    Parameters
    ----------
    tasks, batch : int
        Tasks of an epoch, and of one batch over all processes; multiples of `ranks` both.
    ranks, rank : int
        How many processes there are, and which of them this is.

    Yields
    ------
    int
        From 0 to `tasks` - 1.

    Examples
    --------
    >>> list(share(8, batch=4, ranks=2, rank=1))
    [1, 3, 5, 7]
    """
    worker = get_worker_info()
    number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
    for place, index in enumerate(range(rank, tasks, ranks)):
        if place // (batch // ranks) % workers == number:
            yield index
