"""Classes drawn for training, validation and test."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from .errors import UserError

SPLITS = ("train", "valid", "test")


def draw_split(names: Iterable[str], shares: Sequence[float], seed: int) -> dict[str, list[str]]:
    """Draw the classes of each split.

    Classes are put in the order of a hash of their name and the seed. So the draw is the same on
    every machine and with every version of every library, and a class that comes or goes moves at
    most one or two of the others out of a split.

    Parameters
    ----------
    names : iterable of str
        The classes, in any order.
    shares : sequence of float
        The share of each split, together 1.
    seed : int
        Another seed makes another draw.

    Returns
    -------
    dict
        The names of each of `SPLITS`, sorted.

    Examples
    --------
    >>> draw_split(["ant", "bee", "cat", "dog", "eel"], [0.6, 0.2, 0.2], seed=0)
    {'train': ['ant', 'dog', 'eel'], 'valid': ['bee'], 'test': ['cat']}
    """
    drawn = sorted(names, key=lambda name: (_place(name, seed), name))
    ends = _ends(len(drawn), shares)
    return {split: sorted(drawn[first:end]) for split, first, end in zip(SPLITS, [0, *ends], ends)}


def check_split(
    splits: dict[str, list[str]], where: str, shares: Sequence[float], way: int, asked: str
) -> None:
    """Raise UserError unless each split that has a share has `way` classes, and `asked` has one."""
    for split, share in zip(SPLITS, shares):
        if not share and split == asked:
            raise UserError(
                f"hyper_parameters.split = {list(shares)} leaves nothing for {NAMES[split]}: give "
                f"it a share, or leave runner.{split}_data_dir out."
            )
        if share and len(splits[split]) < way:
            classes = sum(map(len, splits.values()))
            enough = needed(shares, way)
            word = "class" if classes == 1 else "classes"
            raise UserError(
                f"{where} has {classes} {word}, of which hyper_parameters.split = {list(shares)} "
                f"leaves {len(splits[split])} for {NAMES[split]}, fewer than "
                f"hyper_parameters.n_way = {way}: {enough} classes are enough; add classes, lower "
                "n_way or change the shares."
            )


NAMES = {"train": "training", "valid": "validation", "test": "the test"}


def needed(shares: Sequence[float], way: int) -> int:
    """How many classes it takes for each split that has a share to get `way`."""
    classes = max(way, int((way - 1) / min(share for share in shares if share)))
    while min(n for n, share in zip(np.diff([0, *_ends(classes, shares)]), shares) if share) < way:
        classes += 1
    return classes


def _ends(classes: int, shares: Sequence[float]) -> list[int]:
    return np.rint(np.cumsum(shares) * classes).astype(int).tolist()


def _place(name: str, seed: int) -> bytes:
    # Some file systems spell letters with accents in another form.
    name = unicodedata.normalize("NFC", name)
    return hashlib.sha256(f"{seed} {name}".encode(errors="surrogateescape")).digest()
