"""Checkpoints: {model_save_path}/{epoch}/rec.pdparams and rec.pdopt, and the link `best`.

Beside them lies training.json, which says how training goes on from there, after a validation
validation.json, its metrics by name, and SHA256SUMS, by which damage is noticed. A checkpoint amid
an epoch is named {epoch}-{batch}; the next one replaces it.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import paddle

from utils import intact, randomness, safe_pickle, tensors
from utils.errors import UserError, writing
from utils.intact import Damaged
from utils.optimizer_state import check_state

PARAMETERS, OPTIMIZER, BEST = "rec.pdparams", "rec.pdopt", "best"
TRAINING, VALIDATION = "training.json", "validation.json"
# What a training and the tools that read it leave beside the checkpoints.
LEFT = (BEST, "run.json", "history.jsonl", "meta_test.json", "report.html", "visualDL_log")
LEFT += ("splits.json", "exported_network", "exported_classifier")
LEFT += ("predictions.csv", "predictions.png")

NUMBER = "(?:0|[1-9][0-9]*)"  # as it is written
GO_ON = "; what was saved before is whole, and runner.resume=true goes on from it"


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
    """Save a checkpoint; its directory appears whole or not at all. One that is there stays.

    `host_state` are the random numbers that the epoch's reader began with.
    """
    unfinished, final = directory / f".{position.name}.unfinished", directory / position.name
    if final.exists():
        return
    training = position._asdict() | {"host": host_state, "paddle": randomness.paddle_state()}
    try:
        with writing(final, GO_ON):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            paddle.save(model.state_dict(), str(unfinished / PARAMETERS))
            # What Paddle's optimizer was given it tells only after its next step.
            given = getattr(optimizer, "_accumulators_holder", {})
            paddle.save({**given, **optimizer.state_dict()}, str(unfinished / OPTIMIZER))
            _write_json(unfinished / TRAINING, training)
            if validation:
                _write_json(unfinished / VALIDATION, validation)
            intact.publish(unfinished, final)
            tidy(directory)
    except UserError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def tidy(directory: Path) -> None:
    """Remove what killed processes left, and checkpoints amid epochs but for the newest of all."""
    for unfinished in directory.glob(".[0-9]*.unfinished"):
        shutil.rmtree(unfinished, ignore_errors=True)
    newest = find_newest(directory)
    for outdated in amid_epochs(directory):
        if outdated != newest:
            intact.remove(outdated)


def prune(directory: Path, keep: int) -> None:
    """Remove the epochs but for the newest `keep` and the best."""
    best = (directory / BEST).resolve().name
    for epoch in epochs(directory)[:-keep]:
        if str(epoch) != best:
            intact.remove(directory / str(epoch))


def mark_best(directory: Path, lower_is_better: bool = False) -> None:
    """Let `best` point to the first epoch whose first validation metric is highest, or lowest."""
    ranked = by_validation(directory, lower_is_better)
    if not ranked:
        return
    link = directory / f".{BEST}.unfinished"
    with writing(directory / BEST, GO_ON):
        link.unlink(missing_ok=True)
        link.symlink_to(ranked[0].name)
        os.replace(link, directory / BEST)
        intact.sync(directory)


def by_validation(directory: Path, lower_is_better: bool = False) -> list[Path]:
    """The epochs that were validated, from the best to the worst."""
    ranks = {epoch: _rank(directory / str(epoch), lower_is_better) for epoch in epochs(directory)}
    validated = {epoch: rank for epoch, rank in ranks.items() if rank is not None}
    ranked = sorted(validated, key=validated.get, reverse=True)  # of equal ones the first is first
    return [directory / str(epoch) for epoch in ranked]


def epochs(directory: Path) -> list[int]:
    """The epochs that were saved, in order."""
    return sorted(int(path.name) for path in _named(directory, NUMBER))


def amid_epochs(directory: Path) -> list[Path]:
    """The checkpoints made amid an epoch, in order."""
    return sorted(_named(directory, f"{NUMBER}-{NUMBER}"), key=_place)


def set_aside(directory: Path) -> Path | None:
    """Move what an earlier training left to a directory of its own; returns which."""
    earlier = _all(directory)
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

    Raises
    ------
    UserError
        If it is damaged, or belongs to another network or optimizer.
    """
    newest = find_newest(directory)
    if newest is None:
        return Position()
    with _telling(newest, _all(directory)):
        state, training = _read(newest / OPTIMIZER), _read_training(newest)
        _load(newest, model)
        if training:
            _set_random_states(newest / TRAINING, training)
    try:
        check_state(state, model)
        optimizer.set_state_dict(state)
    except Exception as error:  # Paddle has many for what it misses
        raise UserError(
            f"{newest / OPTIMIZER} belongs to another optimizer ({error}); use the configuration "
            "of its training."
        ) from error
    return training.position if training else Position(*_place(newest))


def find_newest(directory: Path) -> Path | None:
    """The checkpoint that training would go on from, if there is one."""
    return max(_all(directory), key=_place, default=None)


def load(checkpoint: Path, model, use: str | None = None) -> None:
    """Load the parameters of a checkpoint, or of a safetensors file, into `model`.

    `use` says how to name another checkpoint instead; otherwise it is used once this one is gone.

    Raises
    ------
    UserError
        If there is none, it is damaged, or it belongs to another network.
    """
    directory = checkpoint.parent
    with _telling(checkpoint, [directory / str(epoch) for epoch in epochs(directory)], use):
        _load(checkpoint, model)


def _load(checkpoint: Path, model) -> None:
    if checkpoint.suffix == tensors.SUFFIX:
        file, state = checkpoint, tensors.read(checkpoint)
    else:
        file = checkpoint / PARAMETERS
        state = _read(file)
    wanted, given = _forms(model.state_dict()), _forms(state)
    for name in sorted({*wanted, *given}):
        if wanted.get(name) != given.get(name):
            raise UserError(
                f"{file} belongs to another network: {name} is {given.get(name, 'missing')} there "
                f"and {wanted.get(name, 'missing')} here; use the configuration of its training."
            )
    model.set_state_dict(state)


def _forms(state: dict) -> dict[str, str]:
    """Shape and type of the tensors, or numpy arrays."""
    return {
        str(name): f"{list(value.shape)} {str(value.dtype).rpartition('.')[2]}"
        for name, value in state.items()
        if hasattr(value, "shape")
    }


@contextmanager
def _telling(checkpoint: Path, others: list[Path], use: str | None = None):
    """Say of a damaged checkpoint which of `others` is the newest good one, and how to use it."""
    try:
        yield
    except Damaged as error:
        damaged = checkpoint.resolve()
        others = [other for other in others if other.name != damaged.name]
        good = next((o for o in sorted(others, key=_place, reverse=True) if _is_good(o)), None)
        use = use or f"to use it, remove {damaged}"
        advice = f"the last good checkpoint is {good}: {use}" if good else "there is no good one"
        raise UserError(f"{error}; {advice}.") from error


def _is_good(checkpoint: Path) -> bool:
    try:
        _read(checkpoint / PARAMETERS)
        _read(checkpoint / OPTIMIZER)
        _read_training(checkpoint)
    except (Damaged, UserError):
        return False
    return True


def _read(file: Path) -> dict:
    if not file.parent.is_dir():
        raise UserError(f"there is no checkpoint {file}: train first, or correct the path.")
    content = intact.read(file)
    try:
        plain = safe_pickle.load(io.BytesIO(content))
        # Paddle turns a pickle of ours, which cannot ask for anything, into tensors.
        return dict(paddle.load(io.BytesIO(pickle.dumps(plain, 4))))
    except safe_pickle.Unsafe as error:
        raise Damaged(f"{file} is refused, as loading it might do harm: {error}") from error
    except Exception as error:
        raise Damaged(f"{file} is damaged: it is no whole file of Paddle's") from error


class _Training(NamedTuple):
    position: Position
    host: dict  # the random numbers of Python and numpy
    paddle: list  # and of Paddle


def _read_training(checkpoint: Path) -> _Training | None:
    """How training goes on, if that is known."""
    file = checkpoint / TRAINING
    if not file.exists() and not (checkpoint / intact.SUMS).exists():
        return None
    try:
        training = json.loads(intact.read(file))
        position = Position(training["epoch"], training["batch"], training["step"])
        if not all(type(number) is int and 0 <= number < 2**31 for number in position):
            raise ValueError
        return _Training(position, training["host"], training["paddle"])
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise Damaged(f"{file} is damaged: it says no position") from error


def _set_random_states(file: Path, training: _Training) -> None:
    try:
        randomness.set_host_state(training.host)
        randomness.set_paddle_state(training.paddle)
    except Exception as error:  # each generator has its own
        raise Damaged(f"{file} is damaged: it has no state of random numbers") from error


def _write_json(file: Path, value) -> None:
    file.write_text(json.dumps(value) + "\n", encoding="utf-8")


def _named(directory: Path, pattern: str) -> list[Path]:
    return [p for p in directory.glob("*") if re.fullmatch(pattern, p.name) and p.is_dir()]


def _all(directory: Path) -> list[Path]:
    return [directory / str(epoch) for epoch in epochs(directory)] + amid_epochs(directory)


def _place(checkpoint: Path) -> tuple[int, int]:
    epoch, amid, batch = checkpoint.name.partition("-")
    return (int(epoch), int(batch)) if amid else (int(epoch) + 1, 0)


def _rank(checkpoint: Path, lower_is_better: bool) -> float | None:
    if not (checkpoint / VALIDATION).exists():
        return None
    try:
        value = next(iter(json.loads(intact.read(checkpoint / VALIDATION)).values()))
        return -math.inf if math.isnan(value) else -value if lower_is_better else value
    except (Damaged, AttributeError, TypeError, ValueError, StopIteration):
        return None
    except (OverflowError, RecursionError):  # a number, or a depth, that JSON has and Python not
        return None


def best_or_last(directory: Path) -> Path:
    """`best` if an epoch was marked so, else the last epoch."""
    if (directory / BEST).is_dir():
        return directory / BEST
    saved = epochs(directory)
    if not saved:
        raise UserError(f"there is no checkpoint in {directory}: train first, or correct the path.")
    return directory / str(saved[-1])
