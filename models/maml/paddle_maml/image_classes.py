"""Images grouped into classes: read from a tree of files or from one packed array."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from .errors import UserError

ARRAY = "images.npy"
INDEX = "classes.tsv"
HEADER = "class\tfirst\tcount"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
MODES = {1: "L", 3: "RGB"}

# What Pillow raises, depending on the format, for a file that is damaged or no image at all.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
UNREADABLE += (Image.DecompressionBombWarning,)


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


def to_uint8(image: Image.Image, side: int, channels: int) -> np.ndarray:
    """Turn an image into pixels; the one definition of how.

    Parameters
    ----------
    image : PIL.Image.Image
        An image of any mode and size.
    side : int
        Height and width of the result.
    channels : int
        1 for grey, 3 for red, green and blue.

    Returns
    -------
    numpy.ndarray
        uint8, (channels, side, side).

    Raises
    ------
    ValueError
        If `channels` is neither 1 nor 3, or `side` is not positive.

    Examples
    --------
    >>> to_uint8(Image.new("1", (105, 105), 1), side=28, channels=1).shape
    (1, 28, 28)
    """
    check_form(side, channels)
    # Pillow resizes 1-bit and palette images by nearest neighbour whatever it is asked for.
    resized = image.convert(MODES[channels]).resize((side, side), Image.Resampling.LANCZOS)
    return np.array(resized).reshape(side, side, channels).transpose(2, 0, 1)


def load_image_classes(
    directory: str | os.PathLike[str], side: int = 28, channels: int = 1
) -> ImageClasses:
    """Read the image classes under a directory.

    The directory holds either the packed form that `save_image_classes` writes, or a tree of image
    files in which every directory that directly holds images is one class, named by its path.
    Classes and their files are sorted by name; hidden files and directories are ignored.

    Parameters
    ----------
    directory : path
        Where the packed form or the tree is.
    side : int
        Height and width of the images returned.
    channels : int
        1 for grey, 3 for colour.

    Returns
    -------
    ImageClasses
        Its images are a read-only memory map if they are packed in the form asked for.

    Raises
    ------
    UserError
        If the directory is missing or has no images, an image cannot be read, or the packed form
        does not fit its index.
    ValueError
        If `channels` is neither 1 nor 3, or `side` is not positive.

    Examples
    --------
    >>> classes = load_image_classes("data/sample_data/train")  # doctest: +SKIP
    >>> classes.names[0], classes.of(0).shape  # doctest: +SKIP
    ('Alphabet_01/character01', (20, 1, 28, 28))
    """
    check_form(side, channels)
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"there is no directory {directory}: check the path or prepare the data")
    if (directory / INDEX).is_file():
        return reshaped(load_packed(directory), side, channels)
    return load_tree(directory, side, channels)


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
        As `save_image_classes`.
    ValueError
        If there are more or fewer images than `counts` says.
    """
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


def check_form(side: int, channels: int) -> None:
    """Raise ValueError unless images can have this form."""
    if channels not in MODES:
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {channels!r}")
    if side < 1:
        raise ValueError(f"side must be a positive number of pixels, not {side!r}")


def load_tree(directory: Path, side: int, channels: int) -> ImageClasses:
    """Decode a tree of image files."""
    files = class_files(directory)
    if not files:
        raise UserError(
            f"no images in the directories under {directory}: give each class a directory of its "
            f"own with {', '.join(SUFFIXES)} files"
        )
    images = [read_image(file, side, channels) for name in files for file in files[name]]
    starts = np.cumsum([0, *map(len, files.values())], dtype=np.int64)
    return ImageClasses(tuple(files), np.stack(images), starts)


def class_files(directory: Path) -> dict[str, list[Path]]:
    """Map each class of a tree to its image files, both sorted by name."""
    classes = {}
    for folder, subfolders, files in os.walk(directory, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        images = [f for f in files if f.lower().endswith(SUFFIXES) and not f.startswith(".")]
        folder = Path(folder)
        if images and folder != directory:
            name = folder.relative_to(directory).as_posix()
            classes[name] = [folder / file for file in sorted(images)]
    return dict(sorted(classes.items()))


def read_image(file: Path, side: int, channels: int) -> np.ndarray:
    """Decode one image file."""
    try:
        with open_image(file) as image:
            return to_uint8(image, side, channels)
    except UNREADABLE as error:
        advice = "replace or remove it"
        if "codec configuration" in str(error):  # paddle 2.6 exports a zlib that Pillow refuses
            advice = "start with LD_PRELOAD=libz.so.1, or use data in the packed form"
        raise UserError(f"cannot read the image {file} ({error}): {advice}") from error


def open_image(file: Path | BinaryIO) -> Image.Image:
    """Open an image unless it has more than `Image.MAX_IMAGE_PIXELS`.

    Pillow itself warns of these, and refuses those with twice as many.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file)


def load_packed(directory: Path) -> ImageClasses:
    """Map the packed form, in the form in which it is stored."""
    names, starts = read_index(directory / INDEX)
    try:
        # As an ordinary array over the map: numpy.memmap takes several times as long to index.
        images = np.asarray(np.load(directory / ARRAY, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
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
    starts = np.cumsum([0, *counts], dtype=np.int64)
    if header != HEADER or not counts or min(counts) < 1 or firsts != starts[:-1].tolist():
        raise broken
    return names, starts


def reshaped(classes: ImageClasses, side: int, channels: int) -> ImageClasses:
    """Return the classes with images of another form, unchanged if they have it already."""
    if classes.images.shape[1:] == (channels, side, side):
        return classes
    pictures = map(to_image, classes.images)
    images = np.stack([to_uint8(picture, side, channels) for picture in pictures])
    return ImageClasses(classes.names, images, classes.starts)


def to_image(pixels: np.ndarray) -> Image.Image:
    """Turn (channels, side, side) pixels back into an image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
