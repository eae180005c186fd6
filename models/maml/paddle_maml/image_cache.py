"""Decoded images kept on the disk, so that the next start need not decode the files again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import PIL

from .image_classes import ImageClasses, load_packed, save_image_classes
from .image_files import BrokenImage

BROKEN = "broken.json"
Decoded = tuple[ImageClasses, list[BrokenImage]]


def cached(
    directory: str | os.PathLike[str],
    files: dict[str, list[Path]],
    form: tuple,
    decode: Callable[[], Decoded],
) -> Decoded:
    """Return what `decode` made of the same files in the same form before, or let it make it.

    An entry is named by a hash of all that it depends on: the path, size and time of change of
    each file, the classes they are in, the form and Pillow's version. So it is never out of date,
    and several processes may make it at once. Nothing removes it; anybody may, at any time.

    Parameters
    ----------
    directory : path
        Where the entries are; made if need be. If it cannot be written, that is warned of.
    files : dict
        The image files of each class.
    form : tuple
        What else the pixels depend on.
    decode : callable
        Returns the classes, and the files that are broken.

    Returns
    -------
    tuple
        As from `decode`, with the images as a read-only memory map.
    """
    entry = Path(directory) / fingerprint(files, form)
    if entry.is_dir():
        try:
            return read(entry)
        except (OSError, ValueError):
            shutil.rmtree(entry, ignore_errors=True)
    made = decode()
    try:
        write(entry, *made)
        return read(entry)
    except (OSError, ValueError) as error:  # a full disk; class names that no index can hold
        warnings.warn(f"the decoded images are not kept in {directory}: {error}", stacklevel=2)
        return made


def fingerprint(files: dict[str, list[Path]], form: tuple) -> str:
    """Name what is made of these files as they are now."""
    digest = hashlib.sha256(repr((form, PIL.__version__)).encode())
    for name, paths in files.items():
        folder = str(paths[0].parent.resolve())
        for path in paths:
            status = path.stat() if path.exists() else None  # a link may lead nowhere
            state = status and (status.st_size, status.st_mtime_ns)
            digest.update(repr((name, folder, path.name, state)).encode())
    return digest.hexdigest()[:24]


def read(entry: Path) -> Decoded:
    broken = json.loads((entry / BROKEN).read_text(encoding="utf-8"))
    return load_packed(entry), [BrokenImage(file, reason) for file, reason in broken]


def write(entry: Path, classes: ImageClasses, broken: list[BrokenImage]) -> None:
    """Write an entry, which is there whole or not at all."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".unfinished-") as unfinished:
        whole = Path(unfinished, entry.name)
        save_image_classes(whole, classes)
        listed = [[failure.file, failure.reason] for failure in broken]
        (whole / BROKEN).write_text(json.dumps(listed), encoding="utf-8")
        if not entry.is_dir():  # another process may have made it by now
            os.rename(whole, entry)
