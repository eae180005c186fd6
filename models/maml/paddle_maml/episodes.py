"""Few-shot tasks (episodes) drawn from classes of images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .errors import UserError
from .image_classes import ImageClasses


class Episode(NamedTuple):
    """One task. Images are (way * images, channels, side, side), labels (way * images,) int64.

    `classes` (way,) int64 numbers the class of each label among all there are: by its place, or
    with rotation 4 times its place plus the quarter turns.
    """

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray
    classes: np.ndarray | None = None


def episode_rng(seed: int, split: str, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one task: the same wherever and whenever the task is drawn."""
    return np.random.default_rng([seed, *split.encode(), epoch, index])


def draw_episode(
    classes: ImageClasses,
    rng: np.random.Generator,
    way: int,
    shot: int,
    query: int,
    rotation: bool = False,
    together: bool = False,
) -> Episode:
    """Draw `way` classes in random order, and per class `shot` + `query` different images.

    A class's label is its place in the draw, so labels are permuted from task to task. With
    `rotation`, each class is turned by 0, 90, 180 or 270 degrees as a whole, which makes four
    classes of one; a class never meets its own rotation in one task. `together`, all classes of the
    task are turned alike: which way up they are then tells none from another.

    Returns
    -------
    Episode
        With uint8 images as stored, class by class.
    """
    drawn = []
    numbers = rng.choice(len(classes), way, replace=False)
    alike = rng.integers(4) if rotation and together else None
    for place, c in enumerate(numbers):
        images = classes.of(c)
        images = images[rng.choice(len(images), shot + query, replace=False)]
        if rotation:
            quarters = rng.integers(4) if alike is None else alike
            images = _turned(images, quarters)
            numbers[place] = 4 * c + quarters
        drawn.append(images)
    labels = np.arange(way)
    return Episode(
        np.concatenate([images[:shot] for images in drawn]),
        np.repeat(labels, shot),
        np.concatenate([images[shot:] for images in drawn]),
        np.repeat(labels, query),
        numbers,
    )


def check_enough(
    classes: ImageClasses, where: str, way: int, shot: int, query: int, key: str = "k_query"
) -> None:
    """Raise UserError if `classes` cannot fill a task of that way, shot and query.

    `key` is the hyper-parameter that sets `query`.
    """
    if len(classes) < way:
        raise UserError(
            f"{where} has {_number(len(classes), 'class', 'classes')}, fewer than "
            f"hyper_parameters.n_way = {way}: lower n_way or add classes."
        )
    counts = classes.counts()
    smallest = min(counts, key=counts.get)
    if counts[smallest] < shot + query:
        small = sum(count < shot + query for count in counts.values())
        left = counts[smallest] - shot
        remedy = f"set hyper_parameters.{key}: {left}" if query and left > 0 else "lower k_spt"
        raise UserError(
            f"class {smallest} in {where} has {_number(counts[smallest], 'image', 'images')}, "
            f"fewer than k_spt + {key} = {shot} + {query}: {remedy}, or set "
            f"hyper_parameters.min_images: {shot + query} to leave {small} such out, or add images."
        )


def check_number(classes: ImageClasses, where: str, rotation: bool, number: int) -> None:
    """Raise UserError unless `draw_episode` tells `number` of `classes` apart."""
    found = len(classes) * (4 if rotation else 1)
    if number != found:
        turned = " and 3 rotations of each" if rotation else ""
        raise UserError(
            f"hyper_parameters.pretrain_classes is {number}, but {where} has {len(classes)} "
            f"classes{turned}: set it to {found}."
        )


def _number(count, one, more):
    return f"{count} {one if count == 1 else more}"


def _turned(images, quarters):
    """What `numpy.rot90` makes of the last two axes, in a fifth of its time."""
    if quarters % 2:
        images = images.swapaxes(-2, -1)
    if quarters in (1, 2):
        images = images[..., ::-1, :]
    if quarters in (2, 3):
        images = images[..., ::-1]
    return images
