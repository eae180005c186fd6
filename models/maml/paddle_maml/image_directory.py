"""A directory of image classes: the packed form, or a tree of image files that is decoded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from .errors import UserError
from .image_cache import cached
from .image_classes import INDEX, ImageClasses, load_packed
from .image_files import (
    READABLE,
    BrokenImage,
    check_form,
    class_files,
    image_names,
    read_image,
    to_uint8,
)

NAMED = 5  # of the broken files, where there are too many


def load_image_classes(
    directory: str | os.PathLike[str],
    side: int = 28,
    channels: int = 1,
    fit: str = "stretch",
    *,
    choose: Callable[[dict[str, int]], Sequence[str]] = tuple,
    broken: int = 0,
    cache: str | os.PathLike[str] | None = None,
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
    fit : {"stretch", "crop"}
        How an image that is not square becomes so; see `to_uint8`.
    choose : callable
        From the names of the classes, with how many images each has, those to read. All if not
        given.
    broken : int
        How many files that cannot be read are passed over, with a warning each.
    cache : path, optional
        A directory in which the decoded images of a tree are kept, for the next time.

    Returns
    -------
    ImageClasses
        Its images are a read-only memory map if they are packed in the form asked for.

    Raises
    ------
    UserError
        If the directory is missing or has no images, more than `broken` images cannot be read, or
        the packed form does not fit its index.
    ValueError
        If `channels` is neither 1 nor 3, `side` is not positive or there is no such `fit`.

    Examples
    --------
    >>> classes = load_image_classes("data/sample_data/train")  # doctest: +SKIP
    >>> classes.names[0], classes.of(0).shape  # doctest: +SKIP
    ('Alphabet_01/character01', (20, 1, 28, 28))
    """
    check_form(side, channels, fit)
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"there is no directory {directory}: check the path or prepare the data")
    if (directory / INDEX).is_file():
        packed = load_packed(directory)
        return reshaped(packed.only(choose(packed.counts())), side, channels)
    files = class_files(directory)
    if not files:
        raise UserError(without_classes(directory))
    files = {name: files[name] for name in choose({name: len(files[name]) for name in files})}

    def decode():
        return decoded(files, directory, (side, channels, fit), broken)

    if cache and files:  # there may be none that are large enough
        classes, failures = cached(cache, files, (side, channels, fit), decode)
    else:
        classes, failures = decode()
    check_failures(failures, directory, broken)
    return classes


def without_classes(directory: Path) -> str:
    """Why there is no class in a directory, and what to do."""
    own = image_names(os.listdir(directory))
    what = f"no images in the directories under {directory}"
    if own:
        what = f"{directory} holds {len(own)} images itself ({own[0]}) but no directories of images"
    return f"{what}: give each class a directory of its own with {', '.join(READABLE)} files"


def decoded(
    files: dict[str, list[Path]], directory: Path, form: tuple[int, int, str], limit: int
) -> tuple[ImageClasses, list[BrokenImage]]:
    """Decode the files of each class; also returns what could not be.

    The first broken file ends it if none is allowed, else all are counted.
    """
    side, channels, _ = form
    images = np.empty((sum(map(len, files.values())), channels, side, side), np.uint8)
    starts, failures = [0], []
    with tqdm(
        total=len(images), desc=f"reading {directory}", disable=None, leave=False, delay=1
    ) as bar:
        for name in files:
            place = starts[-1]
            for file in files[name]:
                try:
                    images[place] = read_image(file, *form)
                    place += 1
                except BrokenImage as failure:
                    if not limit:
                        raise
                    failures.append(failure)
                bar.update()
            starts.append(place)
    images = images[: starts[-1]]
    return ImageClasses(tuple(files), images, np.array(starts, np.int64)), failures


def check_failures(failures: list[BrokenImage], directory: Path, limit: int) -> None:
    """Warn of each broken file, or raise UserError if they are more than allowed."""
    if len(failures) > limit:
        first = "; ".join(f"{failure.file} ({failure.reason})" for failure in failures[:NAMED])
        more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
        raise UserError(
            f"{len(failures)} images in {directory} cannot be read, more than "
            f"runner.broken_images = {limit}: {first}{more}: replace or remove them, or set "
            f"runner.broken_images: {len(failures)}"
        )
    for failure in failures:
        warnings.warn(f"passed over: {failure}", stacklevel=2)


def reshaped(classes: ImageClasses, side: int, channels: int) -> ImageClasses:
    """Return the classes with images of another form, unchanged if they have it already."""
    if classes.images.shape[1:] == (channels, side, side):
        return classes
    pictures = map(to_image, classes.images)
    images = np.array([to_uint8(picture, side, channels) for picture in pictures], np.uint8)
    return ImageClasses(classes.names, images.reshape(-1, channels, side, side), classes.starts)


def to_image(pixels: np.ndarray) -> Image.Image:
    """Turn (channels, side, side) pixels back into an image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
