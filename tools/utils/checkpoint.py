"""Checkpoints: {model_save_path}/{epoch}/rec.pdparams and rec.pdopt, and the link `best`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import paddle

from utils.errors import UserError

PARAMETERS, OPTIMIZER, BEST = "rec.pdparams", "rec.pdopt", "best"


def save(directory: Path, epoch: int, model, optimizer) -> None:
    """Save an epoch; its directory appears whole or not at all."""
    unfinished, final = directory / f".{epoch}.unfinished", directory / str(epoch)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    paddle.save(model.state_dict(), str(unfinished / PARAMETERS))
    paddle.save(optimizer.state_dict(), str(unfinished / OPTIMIZER))
    shutil.rmtree(final, ignore_errors=True)
    unfinished.rename(final)


def mark_best(directory: Path, epoch: int) -> None:
    """Let `best` point to an epoch."""
    link = directory / f".{BEST}.unfinished"
    link.unlink(missing_ok=True)
    link.symlink_to(str(epoch))
    os.replace(link, directory / BEST)


def load(checkpoint: Path, model) -> None:
    """Load the parameters of a checkpoint into `model`.

    Raises
    ------
    UserError
        If there is none, it cannot be read, or it belongs to another network.
    """
    file = checkpoint / PARAMETERS
    if not file.is_file():
        raise UserError(f"there is no checkpoint {file}: train first, or correct the path.")
    try:
        state = paddle.load(str(file))
        state = dict(state)
    except Exception as error:
        raise UserError(f"{file} cannot be read ({error}): it is damaged, train again.") from error
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
    epochs = [int(p.name) for p in directory.glob("*") if p.name.isdigit()]
    if not epochs:
        raise UserError(f"there is no checkpoint in {directory}: train first, or correct the path.")
    return directory / str(max(epochs))
