"""Carrying an experiment out: the trainer, then infer, each in a process of its own.

OUT/NAME-SEED is what they write to, and OUT/NAME-SEED.log what they print. Beside the checkpoints
lies experiment.json, the record that a later start goes on from.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from utils import checkpoint, history
from utils.errors import UserError
from utils.experiments.listing import OF_TEST, Experiment, shaping
from utils.progress import logger

TOOLS = Path(__file__).parents[2]
RECORD, META_TEST = "experiment.json", "meta_test.json"
GRACE = 10  # seconds that a process is given to end
SHOWN = 10  # lines of a tool that failed


class Record(NamedTuple):
    """What is known of an experiment with one seed."""

    settings: dict  # see Experiment.settings
    seconds: float = 0.0  # wall time of training, over all restarts
    epochs: int | None = None  # chosen to fit the budget
    steps: int | None = None  # meta-steps, once the training has ended
    meta_test: dict | None = None  # as infer wrote it: a later one by hand replaces its file


class ToolFailed(Exception):
    """A tool ended with an error; the message is the last that it printed."""


def carry_out(experiment: Experiment, seed: int, out: Path) -> None:
    """Train and meta-test, as far as that has not been done.

    Raises
    ------
    ToolFailed
        If the trainer or infer did.
    UserError
        If another process is at it, or the budget is less than an epoch.
    """
    directory = directory_of(experiment, seed, out)
    with open_log(directory) as log:
        record = begin(directory, experiment.settings(seed))
        if record.meta_test is not None:
            logger.info(f"{directory.name}: finished before")
            return
        if record.steps is None:
            logger.info(f"{directory.name}: training, see {log.name}")
            record = train(experiment, seed, directory, record, log)
        logger.info(f"{directory.name}: meta-testing")
        run_tool("infer", experiment, options(directory, seed, record.epochs), log)
        if not (directory / META_TEST).is_file():
            raise ToolFailed(f"infer wrote no {META_TEST}: the model has no summary of a meta-test")
        meta_test = json.loads((directory / META_TEST).read_text(encoding="utf-8"))
        write_record(directory, record._replace(meta_test=meta_test))
        logger.info(f"{directory.name}: finished")


def directory_of(experiment: Experiment, seed: int, out: Path) -> Path:
    return out / f"{experiment.name}-{seed}"


@contextmanager
def open_log(directory: Path) -> Iterator[BinaryIO]:
    """The log of a run, locked as long as this process or a tool that it started has it open."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(f"{directory.name}.log"), "ab") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError("another process is at it: wait for its end, or end it.") from error
        yield log


def begin(directory: Path, settings: dict) -> Record:
    """The record so far if it is of these settings; other runs are put aside.

    A training from which only the meta-test's settings differ is kept, to be tested again. A run
    that the trainer was started for by hand is taken over: its run.json has the settings.
    """
    record = read_record(directory)
    if record is None and (run := history.recorded(directory)):
        record = Record(shaping(run["config"]))
    if record is not None and record.settings == settings:
        return record
    changed = differing(record.settings, settings) if record else ["unknown ones"]
    if all(key in OF_TEST for key in changed):
        record = record._replace(settings=settings, meta_test=None)
        write_record(directory, record)
        return record
    if directory.exists():
        logger.warning(
            f"{directory.name}: begun anew, for other settings ({', '.join(changed)}); "
            f"what was there is now in {put_aside(directory)}"
        )
    directory.mkdir()
    write_record(directory, Record(settings))
    return Record(settings)


def train(experiment, seed, directory, record: Record, log) -> Record:
    """Train to the end, from the newest checkpoint on."""
    if experiment.budget is not None and record.epochs is None:
        start, epoch = trial(experiment, seed, directory / "trial", log)
        record = record._replace(epochs=epochs_within(experiment.budget, start, epoch))
        logger.info(
            f"{directory.name}: {record.epochs} epochs of {epoch:.1f} s, after a start of "
            f"{start:.1f} s, fit into {experiment.budget:g} s"
        )
    # The history knows of trainings that this tool was not there to see the end of.
    lines = history.read(directory / history.HISTORY)
    record = record._replace(seconds=max([record.seconds, *(line["seconds"] for line in lines)]))
    began = time.monotonic()
    try:
        run_tool("trainer", experiment, options(directory, seed, record.epochs), log)
    finally:
        record = record._replace(seconds=record.seconds + time.monotonic() - began)
        write_record(directory, record)
    newest = checkpoint.find_newest(directory)
    step = json.loads((newest / checkpoint.TRAINING).read_text(encoding="utf-8"))["step"]
    record = record._replace(steps=step)
    write_record(directory, record)
    return record


def trial(experiment, seed, directory: Path, log) -> tuple[float, float]:
    """Train one epoch apart from all others; returns the seconds of its start and its own.

    An epoch lasts from the record of the run's beginning to the checkpoint at its end, validation
    included; the start is the rest of the process's time.
    """
    shutil.rmtree(directory, ignore_errors=True)
    began = time.monotonic()
    run_tool("trainer", experiment, options(directory, seed, 1), log)
    whole = time.monotonic() - began
    files = directory / history.RUN, directory / "0" / checkpoint.TRAINING
    first, last = (file.stat().st_mtime for file in files)
    shutil.rmtree(directory)
    return whole - (last - first), last - first


def epochs_within(budget: float, start: float, epoch: float) -> int:
    """How many whole epochs end within the budget; all in seconds.

    Examples
    --------
    >>> epochs_within(100, 8, 30)
    3
    """
    epochs = int((budget - start) // epoch)
    if epochs < 1:
        raise UserError(
            f"the budget of {budget:g} s is less than one epoch, which takes {start:.1f} s to "
            f"start and {epoch:.1f} s: raise it, or make epochs shorter."
        )
    return epochs


def options(directory: Path, seed: int, epochs: int | None) -> list[str]:
    """What this tool sets of a run's configuration."""
    places = [
        f"runner.{key}={directory.resolve()}" for key in ("model_save_path", "infer_load_path")
    ]
    chosen = [] if epochs is None else [f"runner.epochs={epochs}"]
    return [f"runner.seed={seed}", "runner.resume=true", *places, *chosen]


def run_tool(name: str, experiment: Experiment, options: list[str], log: BinaryIO) -> None:
    """Run a tool to its end, or until this process is told to end."""
    command = [sys.executable, str(TOOLS / f"{name}.py"), "-m", str(experiment.recipe)]
    command += ["-o", *experiment.options, *options]
    before = os.fstat(log.fileno()).st_size
    # In a session of its own, so that Ctrl-C comes to this process alone, which ends the tool.
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    try:
        child.wait()
    finally:
        if child.poll() is None:
            end(child)
    if child.returncode:
        printed = Path(log.name).read_bytes()[before:].decode("utf-8", "replace").splitlines()
        raise ToolFailed("\n  ".join([f"{name} ended with {child.returncode}:", *printed[-SHOWN:]]))


def end(child: subprocess.Popen) -> None:
    """End a tool and the processes it started. What it has saved is whole."""
    os.killpg(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def read_record(directory: Path) -> Record | None:
    """The record of a run, if there is one."""
    file = directory / RECORD
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        found.pop("tested", None)  # of earlier records, without the meta-test: it is made again
        return Record(**found)
    except FileNotFoundError:
        return None
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{file} is damaged: remove its directory to begin anew.") from error


def write_record(directory: Path, record: Record) -> None:
    history.write_text(directory / RECORD, json.dumps(record._asdict(), indent=2) + "\n")


def differing(before: dict, now: dict) -> list[str]:
    """The keys whose values differ."""
    return [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]


def put_aside(directory: Path) -> Path:
    """Give a directory a name that is not in use; returns it."""
    number = 1
    while (aside := directory.with_name(f"{directory.name}-earlier-{number}")).exists():
        number += 1
    return directory.rename(aside)
