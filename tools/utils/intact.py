"""Files and directories that appear whole; whether a directory still is can be told later."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from utils.errors import writing

SUMS = "SHA256SUMS"  # `sha256sum --check SHA256SUMS` reads it, too


class Damaged(Exception):
    """A file is not what was written; the message says which, and why."""


def write(file: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    with writing(file):
        try:
            unfinished.write_bytes(content)
            sync(unfinished)
            os.replace(unfinished, file)
        finally:
            unfinished.unlink(missing_ok=True)


def publish(unfinished: Path, final: Path) -> None:
    """Give a directory of files its name once they and their checksums are on the disk."""
    files = sorted(unfinished.iterdir())
    sums = "".join(_line(file.name, file.read_bytes()) for file in files)
    (unfinished / SUMS).write_text(sums, encoding="utf-8")
    for path in (*files, unfinished / SUMS, unfinished):
        sync(path)
    unfinished.rename(final)
    sync(final.parent)


def read(file: Path) -> bytes:
    """The content of a file of a published directory, or of one that has no checksums.

    Raises
    ------
    Damaged
        If it is not what it was, or is missing.
    """
    sums = file.with_name(SUMS)
    try:
        content = file.read_bytes()
        listed = sums.read_text(encoding="utf-8") if sums.exists() else None
    except (OSError, ValueError) as error:
        raise Damaged(f"{file} cannot be read: {getattr(error, 'strerror', error)}") from error
    if listed is not None and _line(file.name, content) not in listed.splitlines(keepends=True):
        raise Damaged(f"{file} is damaged: its checksum is not that of {SUMS}")
    return content


def remove(directory: Path) -> None:
    """Remove a directory, or a link to one; under its name it is there whole or not at all."""
    if directory.is_symlink():
        directory.unlink()
        return
    doomed = directory.with_name(f".{directory.name}.removed.unfinished")
    directory.rename(doomed)
    shutil.rmtree(doomed)


def sync(path: Path) -> None:
    """Have a file, or the names in a directory, on the disk."""
    if os.name == "nt":  # which opens no directories
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _line(name: str, content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"
