"""Few-shot tasks (episodes) drawn from classes of images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .errors import UserError
from .image_classes import ImageClasses
from .turns import turned


class Episode(NamedTuple):
    """One task. Images are (way * images, channels, side, side), labels (way * images,) int64.

    `classes` (way,) int64 numbers the class of each label among all there are: by `turns` times
    its place plus its turn.
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
    turns: int = 1,
    together: bool = False,
) -> Episode:
    """Draw `way` classes in random order, and per class `shot` + `query` different images.

    A class's label is its place in the draw, so labels are permuted from task to task. Each class
    is turned as a whole in one of `turns` ways, which makes as many classes of one: 1, as stored;
    4, by 0, 90, 180 or 270 degrees; 8, the same of its mirror image, too. A class never meets its
    own turn in one task. `together`, all classes of the task are turned alike: which way up they
    are then tells none from another.

    Returns
    -------
    Episode
        With uint8 images as stored, class by class.
    """
    drawn = []
    numbers = rng.choice(len(classes), way, replace=False)
    alike = rng.integers(turns) if together else None
    for place, c in enumerate(numbers):
        images = classes.of(c)
        images = images[rng.choice(len(images), shot + query, replace=False)]
        turn = rng.integers(turns) if alike is None else alike
        drawn.append(turned(images, turn))
        numbers[place] = turns * c + turn
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


def check_number(classes: ImageClasses, where: str, turns: int, number: int) -> None:
    """Raise UserError unless `draw_episode` tells `number` of `classes` apart."""
    found = turns * len(classes)
    if number != found:
        turned = {1: "", 4: " and 3 rotations of each", 8: " and 7 turned or mirrored of each"}
        raise UserError(
            f"hyper_parameters.pretrain_classes is {number}, but {where} has {len(classes)} "
            f"classes{turned[turns]}: set it to {found}."
        )


def _number(count, one, more):
    return f"{count} {one if count == 1 else more}"
