"""The forms in which people have miniImageNet."""

from __future__ import annotations

import csv
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
from paddle_maml.errors import UserError
from paddle_maml.image_files import SUFFIXES, read_image, to_uint8
from PIL import Image
from preparation import SPLITS, existing
from utils import safe_pickle

CACHE = "mini-imagenet-cache-{}.pkl"
CACHED_SIDE = 84
RAVIS = "Ravi and Larochelle's"

Split = dict[str, list[str]]  # {"train": ["n01532829", ...], "val": ..., "test": ...}
Files = dict[str, list[Path]]  # of each class


class Source(NamedTuple):
    """Where the images come from.

    `images(split, side)` gives the uint8 images of a split, (any number, 3, side, side) at a time,
    sorted by class.
    """

    form: str  # "csv", "cache" or "folders"
    selection: str  # which images of each class
    images: Callable[[str, int], Iterator[np.ndarray]]


def find_source(sources: list[Path], split: Split, count: int) -> Source:
    """Find a form of miniImageNet with `count` images of each class of `split`, and no other class.

    Raises
    ------
    UserError
        If there is none, or not all of it.
    """
    existing(sources)
    caches = {s: find(sources, CACHE.format(s)) for s in SPLITS}
    tables = {s: find(sources, f"{s}.csv") for s in SPLITS}
    if all(caches.values()):
        return cached(caches, split, count)
    for files, pattern in ((tables, "{}.csv"), (caches, CACHE)):
        missing = [pattern.format(s) for s in SPLITS if files[s] is None]
        if 0 < len(missing) < len(SPLITS):
            raise UserError(
                f"there is no {missing[0]} in {named(sources)}, but another of its kind: add it"
            )
    if all(tables.values()):
        return listed(tables, sources, split, count)
    folders = class_folders(sources, all_classes(split))
    if not folders:
        raise UserError(
            f"no miniImageNet in {named(sources)}: --source takes a directory with train.csv, "
            f"val.csv, test.csv and images/, or with {CACHE.format('train')}, -val and -test, or "
            f"with a folder per class (n01532829/, ...)"
        )
    return in_folders(folders, sources, split, count)


def cached(caches: dict[str, Path], split: Split, count: int) -> Source:
    """One pickle per split, with images of 84 x 84 pixels."""

    def images(s, side):
        content = read_pickle(caches[s])
        pixels, classes = check_cache(caches[s], content, split[s], count)
        for name in split[s]:
            block = pixels[classes[name]]
            if side == CACHED_SIDE:
                yield block.transpose(0, 3, 1, 2)
            else:
                yield np.stack([to_uint8(Image.fromarray(image), side, 3) for image in block])

    return Source("cache", RAVIS, images)


def read_pickle(file: Path):
    """Read a pickle, also one of Python 2, without executing what it says."""
    try:
        with open(file, "rb") as stream:
            return safe_pickle.load(stream, encoding="bytes")
    except safe_pickle.Unsafe as error:
        raise UserError(
            f"{file} is refused ({error}): do not use it, it may do harm where it is unpickled"
        ) from error
    except (OSError, pickle.UnpicklingError) as error:
        raise UserError(f"cannot read the pickle {file} ({error}): get it again") from error


def check_cache(file: Path, content, names: list[str], count: int):
    """Return the images and the indices of each class of a split, after looking at them closely."""
    try:
        content = {as_text(key): value for key, value in content.items()}
        pixels = np.asarray(content["image_data"])
        classes = {as_text(k): np.ravel(v) for k, v in content["class_dict"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} holds no image_data and class_dict: it is no cache of miniImageNet"
        ) from error
    form = (CACHED_SIDE, CACHED_SIDE, 3)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != form:
        raise UserError(
            f"the image_data of {file} are {pixels.dtype} {pixels.shape} instead of uint8 (images, "
            f"{', '.join(map(str, form))}): it is no cache of miniImageNet"
        )
    check_classes(file, classes, names, count)
    indices = np.concatenate([classes[name] for name in names])
    if indices.dtype.kind not in "iu":
        raise UserError(f"the class_dict of {file} holds no numbers of images: get the file again")
    if len(np.unique(indices)) < len(indices):
        raise UserError(f"the class_dict of {file} counts images twice: get the file again")
    if indices.min() < 0 or indices.max() >= len(pixels):
        raise UserError(
            f"the class_dict of {file} names images beyond its {len(pixels)}: get the file again"
        )
    return pixels, classes


def listed(tables: dict[str, Path], sources: list[Path], split: Split, count: int) -> Source:
    """Images that Ravi and Larochelle's tables list, in one folder or in ImageNet's."""
    rows = {s: read_table(tables[s]) for s in SPLITS}
    for s in SPLITS:
        check_classes(tables[s], rows[s], split[s], count)
    flat: dict[str, Path] = {}
    for folder in (*sources, *(source / "images" for source in sources)):
        flat |= {file.name: file for file in image_files(folder)} if folder.is_dir() else {}
    folders = class_folders(sources, all_classes(split))
    files: Files = {}
    for s in SPLITS:
        for name in split[s]:
            inside = image_files(folders[name]) if name in folders else []
            known = {file.name: file for file in inside}
            known |= {(name, i): f for i, f in enumerate(imagenets_order(inside), 1)}
            files[name] = [
                flat.get(row) or known.get(row) or known.get(place(row)) for row in rows[s][name]
            ]
            if None in files[name]:
                row = rows[s][name][files[name].index(None)]
                raise UserError(
                    f"{tables[s]} lists {row}, which is not in {named(sources)}: add the folder "
                    "of images, or ImageNet's class folders"
                )
    return Source("csv", RAVIS, from_files(files, split))


def in_folders(folders: dict[str, Path], sources: list[Path], split: Split, count: int) -> Source:
    """A folder of images for each class, of which the first by name are taken."""
    files = {name: image_files(folder) for name, folder in folders.items()}
    for name in all_classes(split):
        found = len(files.get(name, ()))
        if found < count:
            raise UserError(
                f"class {name} has {found} images in {folders.get(name, named(sources))} instead "
                f"of {count}: add what is missing"
            )
    whole = all(len(found) == count for found in files.values())
    selection = "all" if whole else f"the first {count} by name"
    files = {name: found[:count] for name, found in files.items()}
    return Source("folders", selection, from_files(files, split))


def from_files(files: Files, split: Split) -> Callable[[str, int], Iterator[np.ndarray]]:
    """Decode files image by image."""

    def images(s, side):
        for name in split[s]:
            for file in files[name]:
                yield read_image(file, side, 3)[np.newaxis]

    return images


def check_classes(file: Path, classes: dict, names: list[str], count: int) -> None:
    """Raise UserError unless there are `count` images of each class named, and no other class."""
    for name in sorted({*classes, *names}):
        wanted = count if name in names else 0
        found = len(classes.get(name, ()))
        if found != wanted:
            raise UserError(
                f"class {name} has {found} images in {file} instead of {wanted}: this is not the "
                "published split of miniImageNet"
            )


def read_table(file: Path) -> dict[str, list[str]]:
    """Read one of Ravi and Larochelle's tables: the file names of each class."""
    classes = {}
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
            filename, label = header.index("filename"), header.index("label")
            for row in rows:
                classes.setdefault(row[label], []).append(row[filename])
    except (ValueError, IndexError, csv.Error) as error:
        raise UserError(f"{file} is no table with the columns filename and label") from error
    return classes


def class_folders(sources: list[Path], names: list[str]) -> dict[str, Path]:
    """Find the folders of classes in the sources, or in folders there such as train/."""
    found: dict[str, Path] = {}
    for source in filter(Path.is_dir, sources):
        # Not into class folders, of which ImageNet has a thousand full ones.
        inner = [f for f in source.iterdir() if not re.fullmatch(r"n\d{8}|images", f.name)]
        for parent in (source, source / "images", *filter(Path.is_dir, sorted(inner))):
            for name in names:
                if (parent / name).is_dir() and (parent / name) not in found.values():
                    if name in found:
                        raise UserError(
                            f"class {name} is both in {found[name]} and in {parent / name}: name "
                            "one of the two with --source"
                        )
                    found[name] = parent / name
    return found


def image_files(folder: Path) -> list[Path]:
    """The images in a folder, by name."""
    files = (f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.name[0] != ".")
    return sorted(files)


def find(sources: list[Path], name: str) -> Path | None:
    """Find a file in what the user gave, which may be the file itself."""
    candidates = [s / name if s.is_dir() else s for s in sources]
    return next((f for f in candidates if f.name == name and f.is_file()), None)


def imagenets_order(files: list[Path]) -> list[Path]:
    """Those with ImageNet's own names, by number: n01532829_87.JPEG before n01532829_1002.JPEG."""
    numbers = {file: re.fullmatch(r"n\d{8}_(\d+)", file.stem) for file in files}
    return sorted((f for f in files if numbers[f]), key=lambda file: int(numbers[file][1]))


def place(row: str) -> tuple[str, int] | None:
    """Which image of which class, in ImageNet's order, n0153282900000005.jpg is: the fifth."""
    match = re.fullmatch(r"(n\d{8})(\d{8})\.\w+", row)
    return (match[1], int(match[2])) if match else None


def all_classes(split: Split) -> list[str]:
    return [name for s in SPLITS for name in split[s]]


def named(sources: list[Path]) -> str:
    return ", ".join(map(str, sources))


def as_text(key) -> str:
    """A key as Python 3 has it; raises TypeError if it is no text."""
    return str(key, "latin1") if not isinstance(key, str) else key
