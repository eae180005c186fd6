"""Checkpoints: {model_save_path}/{epoch}/rec.pdparams and rec.pdopt, and the link `best`.

An epoch that was validated also has validation.json, its metrics by name.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import paddle

from utils.errors import UserError

PARAMETERS, OPTIMIZER, VALIDATION, BEST = "rec.pdparams", "rec.pdopt", "validation.json", "best"


def save(directory: Path, epoch: int, model, optimizer, validation: dict) -> None:
    """Save an epoch; its directory appears whole or not at all."""
    unfinished, final = directory / f".{epoch}.unfinished", directory / str(epoch)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    paddle.save(model.state_dict(), str(unfinished / PARAMETERS))
    paddle.save(optimizer.state_dict(), str(unfinished / OPTIMIZER))
    if validation:
        (unfinished / VALIDATION).write_text(json.dumps(validation) + "\n", encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    unfinished.rename(final)


def mark_best(directory: Path, metric: str) -> None:
    """Let `best` point to the first epoch with the highest validation `metric`."""
    best = max(epochs(directory), key=lambda epoch: _validation(directory / str(epoch), metric))
    link = directory / f".{BEST}.unfinished"
    link.unlink(missing_ok=True)
    link.symlink_to(str(best))
    os.replace(link, directory / BEST)


def epochs(directory: Path) -> list[int]:
    """The epochs that were saved, in order."""
    return sorted(int(p.name) for p in directory.glob("*") if p.name.isdigit())


def set_aside(directory: Path) -> Path | None:
    """Move the checkpoints of an earlier training to a directory of their own; returns which."""
    earlier = [directory / str(epoch) for epoch in epochs(directory)]
    if not earlier:
        return None
    number = 1
    while (aside := directory / f"earlier-{number}").exists():
        number += 1
    aside.mkdir()
    for path in (*earlier, directory / BEST, directory / "meta_test.json"):
        if path.is_symlink() or path.exists():
            path.rename(aside / path.name)
    return aside


def resume(directory: Path, model, optimizer) -> int:
    """Load the last epoch saved, if there is one; returns the epoch to go on with."""
    saved = epochs(directory)
    if not saved:
        return 0
    last = directory / str(saved[-1])
    load(last, model)
    optimizer.set_state_dict(_read(last / OPTIMIZER))
    return saved[-1] + 1


def _read(file: Path) -> dict:
    if not file.is_file():
        raise UserError(f"there is no checkpoint {file}: train first, or correct the path.")
    try:
        return dict(paddle.load(str(file)))
    except Exception as error:
        raise UserError(f"{file} cannot be read ({error}): it is damaged, train again.") from error


def _validation(checkpoint: Path, metric: str) -> float:
    try:
        return json.loads((checkpoint / VALIDATION).read_text(encoding="utf-8"))[metric]
    except FileNotFoundError:
        return float("-inf")


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
                f"and {wanted.get(name, 'missing')} here; use the configuration of its "
                "training (n_way, network, bn_channel, conv_stride, imgsize, channels)."
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
