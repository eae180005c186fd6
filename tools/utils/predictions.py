"""What is predicted of some images, as a table, a CSV file and an accuracy."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from utils import intact
from utils.errors import UserError, writing
from utils.measure import wilson

FILE, CLASS, PROBABILITY = "file", "class", "P({})"
UNKNOWN = -1
NAMES = "surrogateescape"  # of files, which may be bytes that are no UTF-8


class Predictions(NamedTuple):
    """Of images, by their paths: float32 (image, class) probabilities of some classes."""

    names: Sequence[str]
    classes: Sequence[str]
    probabilities: np.ndarray

    @property
    def guesses(self) -> np.ndarray:
        """The likeliest class of each image."""
        return self.probabilities.argmax(1)

    @property
    def folders(self) -> list[str]:
        """The folder of each image; "." if it is in none."""
        return [PurePosixPath(name).parent.as_posix() for name in self.names]

    @property
    def truths(self) -> np.ndarray:
        """The class that each image's folder is named after, `UNKNOWN` if it is none."""
        numbers = {name: c for c, name in enumerate(self.classes)}
        return np.array([numbers.get(folder, UNKNOWN) for folder in self.folders])

    def accuracy(self) -> str | None:
        """The accuracy in words, over the images whose class is known; None if none is."""
        known = self.truths != UNKNOWN
        right, images = int((self.guesses == self.truths).sum()), int(known.sum())
        if not images:
            return None
        low, high = wilson(right, images)
        return (
            f"accuracy {100 * right / images:.2f} %, 95 % interval {100 * low:.2f} to "
            f"{100 * high:.2f} %: {right} of {images} images"
        )

    def table(self) -> str:
        """A line for each image: its path, its class, that class's probability."""
        named = [self.classes[guess] for guess in self.guesses]
        wide, broad = (max(map(len, column)) for column in ((FILE, *self.names), (CLASS, *named)))
        lines = [f"{FILE:{wide}}  {CLASS:{broad}}  probability"]
        for name, guess, probability in zip(self.names, named, self.probabilities.max(1)):
            lines.append(f"{name:{wide}}  {guess:{broad}}  {probability:11.4f}")
        return "\n".join(lines)

    def csv(self) -> str:
        """A row for each image: its path, its class, the probability of every class."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow([FILE, CLASS, *map(PROBABILITY.format, self.classes)])
        for name, guess, probabilities in zip(self.names, self.guesses, self.probabilities):
            rows.writerow([name, self.classes[guess], *probabilities])
        return text.getvalue()


def sheet_beside(file: Path) -> Path:
    """Where the contact sheet of a CSV file is."""
    return file.with_suffix(".png")


def check_target(file: Path) -> None:
    """Refuse to write over what is no earlier output."""
    if file.suffix != ".csv":
        raise UserError(f"--out {file}: call the file NAME.csv.")
    for path in (file, sheet_beside(file)):
        if path.exists() and not _is_ours(file):
            raise UserError(f"--out: {path} is there and no earlier output: name another file.")


def write(file: Path, predictions: Predictions, sheet: Image.Image) -> None:
    """Write the CSV file and the contact sheet beside it."""
    picture = io.BytesIO()
    sheet.save(picture, "png")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    intact.write(file, predictions.csv().encode(errors=NAMES))
    intact.write(sheet_beside(file), picture.getvalue())


def _is_ours(file: Path) -> bool:
    """Whether a CSV file is an earlier output."""
    try:
        with open(file, encoding="utf-8", errors=NAMES, newline="") as lines:
            header = next(csv.reader(lines), [])
    except (OSError, ValueError, csv.Error):
        return False
    start, _ = PROBABILITY.split("{}")
    named = [name.startswith(start) for name in header[2:]]
    return header[:2] == [FILE, CLASS] and len(named) > 1 and all(named)
