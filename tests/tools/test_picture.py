"""The picture of an episode: every image in its place, right and wrong told apart twice over."""

from __future__ import annotations

import numpy as np
import pytest
from adapted_episode import AdaptedEpisode
from PIL import ImageColor
from utils.picture import GAP, LINE, QUERIES, RIGHT, TILE, WRONG, episode_picture, letter

WAY, SHOT, QUERY = 3, 2, 2


def episode(before, after, channels=1, query=QUERY) -> AdaptedEpisode:
    """Even images, each of its own grey; `before` and `after` name the class of each query."""
    shades = np.arange(WAY * (SHOT + query), dtype=np.uint8) * 10 + 60
    images = np.tile(shades[:, None, None, None], (1, 4, 4, channels))
    images[..., 1:] //= 2
    labels = np.arange(WAY)
    return AdaptedEpisode(
        images[: WAY * SHOT],
        labels.repeat(SHOT),
        images[WAY * SHOT :],
        labels.repeat(query),
        *(np.eye(WAY, dtype=np.float32)[np.array(classes)] for classes in (before, after)),
    )


TRUE = np.arange(WAY).repeat(QUERY)
FALSE = (TRUE + 1) % WAY


def has(picture, colour) -> bool:
    return bool((picture == ImageColor.getrgb(colour)).all(-1).any())


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_stands_in_its_place(channels):
    shown = episode(TRUE, FALSE, channels)
    picture = episode_picture(shown)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    pitch = TILE + GAP
    for images, left in ((shown.support_x, 3 * GAP), (shown.query_x, 4 * GAP + SHOT * pitch)):
        for number, image in enumerate(images):
            y = LINE + GAP + number // 2 * (TILE + LINE + GAP) + TILE // 2
            x = left + number % 2 * pitch + TILE // 2
            assert (picture[y, x] == image[0, 0]).all()


def test_right_and_wrong_differ_in_colour():
    right, wrong = episode_picture(episode(TRUE, TRUE)), episode_picture(episode(FALSE, FALSE))
    assert has(right, RIGHT) and not has(right, WRONG)
    assert has(wrong, WRONG) and not has(wrong, RIGHT)


def test_right_and_wrong_differ_in_shape():
    def text(classes, row):
        """Where there is ink under the queries of a row."""
        top = LINE + GAP + row * (TILE + LINE + GAP) + TILE
        left = 4 * GAP + SHOT * (TILE + GAP)
        return (episode_picture(episode(classes, classes)) < 250).any(-1)[top : top + LINE, left:]

    assert np.array_equal(text(TRUE, 1), text(np.full_like(TRUE, 1), 1))  # B of a B
    assert not np.array_equal(text(TRUE, 1), text(FALSE, 0))  # B of a B and B of an A


def test_without_inner_steps_there_is_one_prediction():
    """Which stands where the one before adaptation would, in its colour."""
    shown = episode(FALSE, TRUE)
    once, twice = episode_picture(shown._replace(before=None)), episode_picture(shown)
    assert has(once, RIGHT) and not has(once, WRONG)
    both_right = episode_picture(episode(TRUE, TRUE))
    under = slice(LINE + GAP + TILE, LINE + GAP + TILE + LINE)
    ink, of_both = ((picture[under] < 250).any((0, 2)) for picture in (once, both_right))
    assert 0 < ink.sum() < of_both.sum() and not (ink & ~of_both).any()
    assert once.shape == twice.shape


def test_what_changes_with_a_prediction_is_its_own_cell():
    before = FALSE.copy()
    before[-1] = TRUE[-1]
    changed = episode_picture(episode(FALSE, TRUE)) != episode_picture(episode(before, TRUE))
    rows, columns, _ = np.nonzero(changed)
    assert rows.min() >= changed.shape[0] - GAP - LINE
    assert columns.min() >= changed.shape[1] - GAP - TILE


def test_of_many_queries_the_first_are_shown():
    many = np.arange(WAY).repeat(20)
    width = episode_picture(episode(many, many, query=20)).shape[1]
    assert width == 3 * GAP + (SHOT + QUERIES) * (TILE + GAP) + GAP


def test_classes_have_letters():
    assert [letter(c) for c in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
