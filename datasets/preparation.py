"""What preparing a data set is, whichever it is: its splits, its record, its command line."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from paddle_maml.errors import UserError
from paddle_maml.image_classes import ARRAY, INDEX, ImageClasses, load_packed
from tqdm import tqdm

SPLITS = ("train", "val", "test")
RECORD = "prepared.json"


def split_table(file: Path) -> dict[str, list[str]]:
    """Read a published split: the class names of train, val and test, as the table has them."""
    _, *lines = file.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return {s: [name for split, name in rows if split == s] for s in SPLITS}


def existing(sources: list[Path]) -> None:
    """Raise UserError unless all that the user gave as sources is there."""
    for source in sources:
        if not source.exists():
            raise UserError(f"the source {source} does not exist: check the path")


def is_prepared(out: Path, settings: dict, channels: int = 1) -> bool:
    """Tell whether an earlier run with the same settings left everything in place."""
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        if any(record[key] != value for key, value in settings.items()):
            return False
        form = (channels, settings["side"], settings["side"])
        splits = {s: load_packed(out / s) for s in SPLITS}
        return all(c.images.shape[1:] == form and sizes(c) == record[s] for s, c in splits.items())
    except (OSError, RecursionError, ValueError, KeyError, TypeError):
        return False


def sizes(classes: ImageClasses) -> dict[str, int]:
    """Return the numbers of classes and images."""
    return {"classes": len(classes), "images": len(classes.images)}


def write(out: Path, settings: dict, write_split: Callable[[str, Path], None]) -> None:
    """Write the splits and, last, the record that says they belong together.

    `write_split(split, directory)` writes one split in its packed form. An older result stays
    until all of the new one is there.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".preparing-") as unfinished:
        new = {s: Path(unfinished, s) for s in SPLITS}
        for split, directory in new.items():
            write_split(split, directory)
        record = {**settings, **{s: sizes(load_packed(new[s])) for s in SPLITS}}
        new_record = Path(unfinished, RECORD)
        new_record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        # Whatever happens from here on, no old split is left to be read beside a new one.
        for old in (out / RECORD, *(out / s / INDEX for s in SPLITS)):
            old.unlink(missing_ok=True)
        for split, directory in new.items():
            (out / split).mkdir(exist_ok=True)
            for name in (ARRAY, INDEX):
                os.replace(directory / name, out / split / name)
        os.replace(new_record, out / RECORD)


def bar(**options) -> tqdm:
    """Return a progress bar that shows on a terminal only."""
    return tqdm(disable=None, **options)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def positive(text: str) -> int:
    """Parse a positive integer."""
    if natural(text) == 0:
        raise ValueError
    return int(text)


def natural(text: str) -> int:
    """Parse an integer that is not negative."""
    if not text.isdecimal():
        raise ValueError
    return int(text)


def exit_code(prepare: Callable, options: dict, name: str = "prepare.py") -> int:
    """Run `prepare(**options)`; return the exit code, a user's mistake said in one sentence."""
    try:
        prepare(**options)
    except (UserError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted; run the command again to go on", file=sys.stderr)
        return 130
    return 0
