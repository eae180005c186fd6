"""Images grouped into classes, and their packed form: one array and its index."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from .errors import UserError
from .image_files import MODES

ARRAY = "images.npy"
INDEX = "classes.tsv"
HEADER = "class\tfirst\tcount"


@dataclass(frozen=True, eq=False)
class ImageClasses:
    """Images of one size, ordered by class.

    Parameters
    ----------
    names : tuple of str
        One name per class, for example ``"Greek/character01"``.
    images : numpy.ndarray
        uint8, (total, channels, side, side); may be a read-only memory map.
    starts : numpy.ndarray
        int64, (classes + 1,); class c owns ``images[starts[c]:starts[c + 1]]``.

    Examples
    --------
    >>> images = np.zeros((3, 1, 28, 28), np.uint8)
    >>> classes = ImageClasses(("a", "b"), images, np.array([0, 2, 3]))
    >>> len(classes), classes.count(0), classes.of(1).shape
    (2, 2, (1, 1, 28, 28))
    """

    names: tuple[str, ...]
    images: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def count(self, c: int) -> int:
        """Return how many images class `c` has."""
        return len(self.of(c))

    def of(self, c: int) -> np.ndarray:
        """Return the images of class `c`: a uint8 view, (count, channels, side, side).

        Raises
        ------
        IndexError
            If there is no class `c`.
        """
        c = range(len(self))[c]
        return self.images[self.starts[c] : self.starts[c + 1]]

    def counts(self) -> dict[str, int]:
        """Return how many images each class has, by name."""
        return dict(zip(self.names, np.diff(self.starts).tolist()))

    def only(self, names: Sequence[str]) -> ImageClasses:
        """Return the classes of these names, in this order; a copy unless these are all."""
        if tuple(names) == self.names:
            return self
        places = {name: c for c, name in enumerate(self.names)}
        parts = [self.of(places[name]) for name in names]
        starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return ImageClasses(tuple(names), np.concatenate([self.images[:0], *parts]), starts)


def save_image_classes(directory: str | os.PathLike[str], classes: ImageClasses) -> None:
    """Write image classes in their packed form: `images.npy` and its index `classes.tsv`.

    Both are written under temporary names and renamed, the index last and the old one removed
    first, so that an index always belongs to a whole array.

    Parameters
    ----------
    directory : path
        Where to write; made if need be. An older packed form in it is replaced.
    classes : ImageClasses
        What to write.

    Raises
    ------
    UserError
        If a class has no images, or its name holds a tab or a line break, which the index cannot
        express.

    Examples
    --------
    >>> save_image_classes("data/train", classes)  # doctest: +SKIP
    """
    pack_image_classes(directory, classes.names, np.diff(classes.starts), [classes.images])


def pack_image_classes(
    directory: str | os.PathLike[str],
    names: Sequence[str],
    counts: Sequence[int],
    images: Iterable[np.ndarray],
) -> None:
    """Write image classes in their packed form while their images are still being made.

    As `save_image_classes`, but memory holds no more than one of the arrays at a time.

    Parameters
    ----------
    directory : path
        Where to write.
    names : sequence of str
        One name per class.
    counts : sequence of int
        How many images each class has.
    images : iterable of numpy.ndarray
        uint8, (any number, channels, side, side): together the images of all classes, in order.

    Raises
    ------
    UserError
        As `save_image_classes`, or if there are no classes.
    ValueError
        If there are more or fewer images than `counts` says.
    """
    if not len(names):
        raise UserError(f"there are no classes to write to {directory}: name some")
    for name, count in zip(names, counts):
        if not count:
            raise UserError(f"class {name!r} has no images: leave it out")
        if any(mark in name for mark in "\t\n\r"):
            raise UserError(f"class name {name!r} holds a tab or a line break: rename the class")
    ends = np.cumsum(counts)
    rows = zip(names, ends - counts, counts)
    lines = [HEADER, *(f"{name}\t{first}\t{count}" for name, first, count in rows)]
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".packing-") as unfinished:
        array, index = Path(unfinished, ARRAY), Path(unfinished, INDEX)
        write_array(array, int(ends[-1]), images)
        index.write_bytes("".join(f"{line}\n" for line in lines).encode())
        (directory / INDEX).unlink(missing_ok=True)
        os.replace(array, directory / ARRAY)
        os.replace(index, directory / INDEX)


def write_array(file: Path, total: int, blocks: Iterable[np.ndarray]) -> None:
    """Write uint8 arrays one after the other as one .npy file with `total` rows."""
    # Not through a memory map: pages written to stay in memory, and a full disk kills the process.
    written = 0
    with open(file, "wb") as out:
        for block in blocks:
            if not written:
                shape = (total, *block.shape[1:])
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(out, header)
            out.write(np.ascontiguousarray(block))
            written += len(block)
    if written != total:
        raise ValueError(f"{written} images instead of {total}")


def load_packed(directory: Path) -> ImageClasses:
    """Map the packed form, in the form in which it is stored."""
    names, starts = read_index(directory / INDEX)
    try:
        # As an ordinary array over the map: numpy.memmap takes several times as long to index.
        images = np.asarray(np.load(directory / ARRAY, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # numpy has many for a header that is none
        raise UserError(
            f"cannot read {directory / ARRAY} ({error}): prepare the data again"
        ) from error
    shape = images.shape
    if images.dtype != np.uint8 or len(shape) != 4 or shape[1] not in MODES or shape[2] != shape[3]:
        raise UserError(
            f"{directory / ARRAY} is {images.dtype} {shape} instead of uint8 (total, 1 or 3, side, "
            "side): prepare the data again"
        )
    if starts[-1] != len(images):
        raise UserError(
            f"{directory / INDEX} lists {starts[-1]} images but {ARRAY} beside it has "
            f"{len(images)}: prepare the data again"
        )
    return ImageClasses(names, images, starts)


def read_index(file: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Read the names and starts of the packed classes."""
    broken = UserError(f"{file} is no index of consecutive classes: prepare the data again")
    try:
        header, *lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
        rows = [line.split("\t") for line in lines]
        names = tuple(name for name, _, _ in rows)
        firsts = [int(first) for _, first, _ in rows]
        counts = [int(count) for _, _, count in rows]
    except ValueError as error:
        raise broken from error
    starts = [0, *accumulate(counts)]
    consecutive = counts and min(counts) > 0 and firsts == starts[:-1] and starts[-1] < 2**63
    if header != HEADER or not consecutive or len({*names}) < len(names):
        raise broken
    return names, np.array(starts, np.int64)
