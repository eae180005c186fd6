"""Training on several CPU cores: one process per core, tasks shared out, gradients averaged."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from multiprocessing.connection import wait
from pathlib import Path

import paddle

from utils.config import required
from utils.errors import UserError, writing

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


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
    """Whether this is one of several processes that train together."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", 1)) > 1


def run(count: int, work, logs: Path) -> int:
    """Let `count` processes do `work()`, a function of a module; returns their exit code.

    SIGINT and SIGTERM are passed on to them; a second one ends this process at once, and they end
    with it. What all but the first of them print goes to `logs`/workerlog.N.
    """
    with writing(logs):
        logs.mkdir(exist_ok=True)
    warnings.filterwarnings("ignore", message="Your model will be trained under CPUONLY")
    # Ctrl-C comes to them, too, long before they could do anything about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    options = {"nprocs": count, "join": False, "backend": "gloo"}
    spawned = paddle.distributed.spawn(_work, (work, logs), **options)  # has queues they need
    processes, told = spawned.processes, []

    def pass_on(number, frame):
        told.append(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        for process in processes:
            process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    codes = {}
    while len(codes) < count and {*codes.values()} <= {0, *STOPPED} and not codes.get(0):
        wait([process.sentinel for rank, process in enumerate(processes) if rank not in codes])
        ended = {rank: process.exitcode for rank, process in enumerate(processes)}
        codes = {rank: code for rank, code in ended.items() if code is not None}
    for process in processes:  # those left wait for what does not come
        process.kill()
    fine = (0, *STOPPED, -signal.SIGTERM if told else 0)  # some were only beginning
    failed = next((rank for rank, code in codes.items() if code not in fine), None)
    if failed is None:
        return 128 + told[0] if told and codes.get(0) != 0 else codes[0]
    if failed:
        printed = (logs / f"workerlog.{failed}").read_text(errors="replace").splitlines()
        lines = 1 if codes[failed] == UserError.exit_code else 50
        print(*printed[-lines:], sep="\n", file=sys.stderr)
    return codes[failed] if codes[failed] > 0 else 128 - codes[failed]


def _work(work, logs: Path) -> None:
    _end_with_parent()
    if not multiprocessing.parent_process().is_alive():
        sys.exit(1)
    if rank := paddle.distributed.get_rank():
        with open(logs / f"workerlog.{rank}", "wb") as log:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(log.fileno(), stream.fileno())
    try:
        work()
    except Exception:  # Paddle keeps it for a `join` that ends with this, not with an exit code
        traceback.print_exc()
        sys.exit(1)


def join() -> None:
    """Meet the other processes; from here on this one ends when its launcher does."""
    _end_with_parent()
    paddle.distributed.init_parallel_env()


def wait_for_all() -> None:
    """Wait for the other processes, if there are any."""
    if launched():
        paddle.distributed.barrier()


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def share(batch_size: int, processes: int) -> int:
    """The part of a batch that falls to each of `processes`."""
    if batch_size % processes:
        raise UserError(
            f"runner.train_batch_size = {batch_size} cannot be shared out to {processes} "
            "processes: choose a multiple, or set runner.processes."
        )
    return batch_size // processes
