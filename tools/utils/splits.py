"""Which classes a training had: splits.json, beside the checkpoints.

A reader that draws the classes of training, validation and test from one directory names them in
its attribute `splits`. The directory may change after the training, and with it the draw.
"""

from __future__ import annotations

import json
from pathlib import Path

from utils.config import required
from utils.errors import UserError
from utils.history import write_text
from utils.progress import logger

SPLITS = "splits.json"


def record(directory: Path, reader) -> None:
    """Write which classes fell where, if they were drawn."""
    splits = getattr(reader, "splits", None)
    if splits is None:
        return
    write_text(directory / SPLITS, json.dumps(splits, indent=2, ensure_ascii=False) + "\n")
    numbers = ", ".join(f"{len(names)} {split}" for split, names in splits.items())
    logger.info(f"classes: {numbers}; their names are in {directory / SPLITS}")


def check_same(directory: Path, reader) -> None:
    """Refuse to go on with a training whose classes were others."""
    before, now = recorded(directory), getattr(reader, "splits", None)
    if before is None or now is None or before == now:
        return
    moved = sorted({*_places(before).items()} ^ {*_places(now).items()})[0][0]
    raise UserError(
        f"the classes are no longer those of {directory / SPLITS}, {moved} to begin with: put the "
        "images back as they were, or leave runner.resume out to begin anew."
    )


def check_unseen(directory: Path, reader) -> None:
    """Refuse to test on classes that were trained or validated on."""
    before, now = recorded(directory), getattr(reader, "splits", None)
    if before is None or now is None:
        return
    seen = sorted({*before["train"], *before["valid"]} & {*now["test"]})
    if seen:
        raise UserError(
            f"of the test classes {len(seen)} were trained or validated on, {seen[0]} to begin "
            f"with, says {directory / SPLITS}: put images, hyper_parameters.split and split_seed "
            "back as they were, or train again."
        )


def tested(reader, config: dict) -> str:
    """What to call the classes of a meta-test."""
    drawn = getattr(reader, "splits", None) is not None
    return "test" if drawn else Path(required(config, "runner.test_data_dir")).name


def recorded(directory: Path) -> dict[str, list[str]] | None:
    """The classes of each split, as the training wrote them."""
    file = directory / SPLITS
    if not file.is_file():
        return None
    try:
        splits = json.loads(file.read_text(encoding="utf-8"))
        lists = [splits[split] for split in ("train", "valid", "test")]
        if not all(isinstance(name, str) for names in lists for name in names):
            raise TypeError("a class has no name")
    except (LookupError, OSError, RecursionError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} cannot be read ({error}): remove it if the classes are the same."
        ) from error
    return splits


def _places(splits):
    return {name: split for split, names in splits.items() for name in names}
