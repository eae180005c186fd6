"""Training on several CPU cores: one process per core, tasks shared out, gradients averaged."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import paddle

from utils.config import required
from utils.errors import UserError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def wanted(config: dict) -> int:
    """How many processes `runner.processes` asks for.

    A number, or auto: as many as there are CPU cores and as divide the batch.
    """
    value = config.get("runner.processes", 1)
    if value == "auto" and paddle.get_device() != "cpu":
        return 1
    if value == "auto":
        affinity = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
        batch = required(config, "runner.train_batch_size")
        return max(n for n in range(1, len(affinity(0)) + 1) if batch % n == 0)
    if type(value) is int and value > 1 and paddle.get_device() != "cpu":
        raise UserError(
            f"runner.processes = {value} is for the CPU: for several GPUs start the trainer with "
            "python -m paddle.distributed.launch."
        )
    if type(value) is not int or value < 1:
        raise UserError(f"runner.processes is {value!r}: it takes auto or a number from 1.")
    return value


def launched() -> bool:
    """Whether this is one of the processes that `paddle.distributed.launch` has started."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", 1)) > 1


def launch(processes: int, logs: Path) -> None:
    """Become `processes` processes that run this command again."""
    setting = ["--nproc_per_node", str(processes), "--backend", "gloo", "--log_dir", str(logs)]
    command = [sys.executable, "-m", "paddle.distributed.launch", *setting, *sys.argv]
    sys.stdout.flush()
    os.execv(sys.executable, command)


def join() -> None:
    """Meet the other processes; from here on this one ends when its launcher does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    paddle.distributed.init_parallel_env()


def share(batch_size: int, processes: int) -> int:
    """The part of a batch that falls to each of `processes`."""
    if batch_size % processes:
        raise UserError(
            f"runner.train_batch_size = {batch_size} cannot be shared out to {processes} "
            "processes: choose a multiple, or set runner.processes."
        )
    return batch_size // processes
