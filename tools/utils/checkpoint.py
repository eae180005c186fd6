"""Checkpoints: {model_save_path}/{epoch}/rec.pdparams and rec.pdopt, and the link `best`.

Beside them lies training.json, which says how training goes on from there, and after a validation
validation.json, its metrics by name. A checkpoint amid an epoch is named {epoch}-{batch}; the next
one replaces it.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import paddle

from utils import randomness, safe_pickle
from utils.errors import UserError

PARAMETERS, OPTIMIZER, BEST = "rec.pdparams", "rec.pdopt", "best"
TRAINING, VALIDATION = "training.json", "validation.json"
# What a training and the tools that read it leave beside the checkpoints.
LEFT = (BEST, "run.json", "history.jsonl", "meta_test.json", "report.html", "visualDL_log")
LEFT += ("exported_network", "exported_classifier")

DAMAGED = "it is damaged; remove its directory to go on from the checkpoint before it."


class Position(NamedTuple):
    """Where training stands: the batch to train on next, and how many came before it."""

    epoch: int = 0
    batch: int = 0
    step: int = 0

    @property
    def name(self) -> str:
        """The name of a checkpoint made here; at the end of an epoch, that epoch's number."""
        return f"{self.epoch}-{self.batch}" if self.batch else str(self.epoch - 1)


def save(directory: Path, position: Position, model, optimizer, host_state, validation=None):
    """Save a checkpoint; its directory appears whole or not at all.

    `host_state` are the random numbers that the epoch's reader began with.
    """
    unfinished, final = directory / f".{position.name}.unfinished", directory / position.name
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    paddle.save(model.state_dict(), str(unfinished / PARAMETERS))
    paddle.save(optimizer.state_dict(), str(unfinished / OPTIMIZER))
    training = position._asdict() | {"host": host_state, "paddle": randomness.paddle_state()}
    (unfinished / TRAINING).write_text(json.dumps(training) + "\n", encoding="utf-8")
    if validation:
        (unfinished / VALIDATION).write_text(json.dumps(validation) + "\n", encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    unfinished.rename(final)
    for outdated in {*amid_epochs(directory), *directory.glob(".[0-9]*.unfinished")} - {final}:
        shutil.rmtree(outdated)  # an unfinished one is of a process that was killed


def mark_best(directory: Path, metric: str, lower_is_better: bool = False) -> None:
    """Let `best` point to the first epoch with the highest or lowest validation `metric`."""
    sign = -1 if lower_is_better else 1
    best = max(epochs(directory), key=lambda e: _rank(directory / str(e), metric, sign))
    link = directory / f".{BEST}.unfinished"
    link.unlink(missing_ok=True)
    link.symlink_to(str(best))
    os.replace(link, directory / BEST)


def epochs(directory: Path) -> list[int]:
    """The epochs that were saved, in order."""
    return sorted(int(p.name) for p in directory.glob("*") if p.name.isdigit())


def amid_epochs(directory: Path) -> list[Path]:
    """The checkpoints made amid an epoch, in order."""
    found = [path for path in directory.glob("*-*") if re.fullmatch(r"\d+-\d+", path.name)]
    return sorted(found, key=lambda path: [int(number) for number in path.name.split("-")])


def set_aside(directory: Path) -> Path | None:
    """Move what an earlier training left to a directory of its own; returns which."""
    earlier = [directory / str(epoch) for epoch in epochs(directory)] + amid_epochs(directory)
    if not earlier:
        return None
    number = 1
    while (aside := directory / f"earlier-{number}").exists():
        number += 1
    aside.mkdir()
    for path in (*earlier, *(directory / name for name in LEFT)):
        if path.is_symlink() or path.exists():
            path.rename(aside / path.name)
    return aside


def resume(directory: Path, model, optimizer) -> Position:
    """Load the newest checkpoint, if there is one; returns where training goes on.

    Random numbers go on too, the reader's from where its epoch began. PaddleRec's trainer leaves no
    training.json: then only the epoch is known.
    """
    newest = find_newest(directory)
    if newest is None:
        return Position()
    load(newest, model)
    optimizer.set_state_dict(_read(newest / OPTIMIZER))
    if not (newest / TRAINING).is_file():
        return Position(*_place(newest))
    try:
        training = json.loads((newest / TRAINING).read_text(encoding="utf-8"))
        randomness.set_host_state(training["host"])
        randomness.set_paddle_state(training["paddle"])
        return Position(training["epoch"], training["batch"], training["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{newest / TRAINING} cannot be read: {DAMAGED}") from error


def find_newest(directory: Path) -> Path | None:
    """The checkpoint that training would go on from, if there is one."""
    saved = [directory / str(epoch) for epoch in epochs(directory)] + amid_epochs(directory)
    return max(saved, key=_place, default=None)


def _place(checkpoint: Path) -> tuple[int, int]:
    epoch, amid, batch = checkpoint.name.partition("-")
    return (int(epoch), int(batch)) if amid else (int(epoch) + 1, 0)


def _read(file: Path) -> dict:
    if not file.is_file():
        raise UserError(f"there is no checkpoint {file}: train first, or correct the path.")
    try:
        with open(file, "rb") as stream:
            plain = safe_pickle.load(stream)
        # Paddle turns a pickle of ours, which cannot ask for anything, into tensors.
        return dict(paddle.load(io.BytesIO(pickle.dumps(plain, 4))))
    except safe_pickle.Unsafe as error:
        raise UserError(f"{file} is refused, it may come from an attacker: {error}.") from error
    except Exception as error:
        raise UserError(f"{file} cannot be read: {DAMAGED}") from error


def _rank(checkpoint: Path, metric: str, sign: int) -> float:
    try:
        value = json.loads((checkpoint / VALIDATION).read_text(encoding="utf-8"))[metric]
    except FileNotFoundError:
        return -math.inf
    return -math.inf if math.isnan(value) else sign * value


def load(checkpoint: Path, model) -> None:
    """Load the parameters of a checkpoint into `model`.

    Raises
    ------
    UserError
        If there is none, it cannot be read, or it belongs to another network.
    """
    file = checkpoint / PARAMETERS
    state = _read(file)
    wanted = {name: list(p.shape) for name, p in model.state_dict().items()}
    given = {name: list(value.shape) for name, value in state.items() if hasattr(value, "shape")}
    for name in sorted({*wanted, *given}):
        if wanted.get(name) != given.get(name):
            raise UserError(
                f"{file} belongs to another network: {name} is {given.get(name, 'missing')} there "
                f"and {wanted.get(name, 'missing')} here; use the configuration of its training."
            )
    model.set_state_dict(state)


def best_or_last(directory: Path) -> Path:
    """`best` if an epoch was marked so, else the last epoch."""
    if (directory / BEST).is_dir():
        return directory / BEST
    saved = epochs(directory)
    if not saved:
        raise UserError(f"there is no checkpoint in {directory}: train first, or correct the path.")
    return directory / str(saved[-1])
