"""The contact sheet: every image in its place, errors first and marked."""

from __future__ import annotations

import numpy as np
import pytest
from paddle_maml.image_classes import ImageClasses
from PIL import ImageColor
from utils import contact_sheet as module
from utils.contact_sheet import COLUMNS, MOST, PITCH, contact_sheet, in_order
from utils.picture import GAP, RIGHT, TILE, WRONG
from utils.predictions import Predictions

CLASSES = ("a", "b", "c")
FOLDERS = ["a", "b", "a", "c", "a", "x"]
GUESSES, CERTAINTIES = [0, 0, 0, 1, 0, 0], [0.9, 0.8, 0.6, 0.7, 0.5, 0.4]


def predictions(folders=FOLDERS, guesses=GUESSES, certainties=CERTAINTIES) -> Predictions:
    odds = np.tile((1 - np.float32(certainties))[:, None] / 2, (1, 3))
    odds[np.arange(len(guesses)), guesses] = certainties
    return Predictions([f"{f}/{n}.png" for n, f in enumerate(folders)], CLASSES, odds)


def sheet(channels=1, names=CLASSES, **which):
    """Even images, each of its own grey: classes of 1, 2 and 3 support images, then the queries."""
    predicted = predictions(**which)
    shades = np.arange(6 + len(predicted.names)) % 16 * 10 + 60
    images = np.tile(shades.astype(np.uint8)[:, None, None, None], (1, channels, 8, 8))
    support = ImageClasses(names, images[:6], np.array([0, 1, 3, 6]))
    return np.asarray(contact_sheet(support, images[6:], predicted, ["told"])), shades


def places(picture, shade) -> list[tuple[int, int]]:
    """The corners (left, top) of the tiles of a grey; of queries and of support images."""
    inside = (picture == shade).all(-1)
    corners = inside[1:, 1:] & ~inside[:-1, 1:] & ~inside[1:, :-1]
    return [(x, y) for y, x in np.argwhere(corners).tolist() if inside[y + 20, x + 20]]


def test_errors_come_first_then_the_least_certain():
    assert in_order(predictions(), 0).tolist() == [1, 5, 4, 2, 0]
    assert in_order(predictions(), 1).tolist() == [3]
    assert in_order(predictions(), 2).tolist() == []


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_stands_in_its_place(channels):
    picture, shades = sheet(channels)
    support = [places(picture, shade) for shade in shades[:6]]
    assert all(len(found) == 1 for found in support)
    tops = [found[0][1] for found in support]
    assert tops[0] < tops[1] == tops[2] < tops[3] == tops[4] == tops[5]
    lefts = [found[0][0] for found in support]
    assert lefts[0] == lefts[1] == lefts[3] and lefts[2] == lefts[4] == lefts[0] + PITCH
    ((right_of_support, _),) = places(picture, shades[5])
    row = [places(picture, shades[6 + query])[0] for query in (1, 5, 4, 2, 0)]
    steps = np.diff([left for left, _ in row])
    assert row[0][0] > right_of_support and set(steps) <= {PITCH - 1, PITCH, PITCH + 1}
    assert all(abs(top - tops[0]) <= 1 for _, top in row)
    ((_, top),) = places(picture, shades[6 + 3])
    assert abs(top - tops[1]) <= 1


def colours(picture, shade) -> tuple:
    """The colour of the frame around a query."""
    ((left, top),) = places(picture, shade)
    return tuple(picture[top + 20, left - 1].tolist())


def test_right_and_wrong_are_told_by_the_frame():
    picture, shades = sheet()
    right, wrong = ImageColor.getrgb(RIGHT), ImageColor.getrgb(WRONG)
    found = [colours(picture, shades[6 + query]) for query in range(6)]
    assert found[:5] == [right, wrong, right, wrong, right]
    assert found[5] not in (right, wrong)
    unknown, _ = sheet(folders=["x"] * 6)
    for colour in (right, wrong):
        assert not (unknown == colour).all(-1).any()


def test_many_queries_are_broken_into_lines_and_not_all_shown():
    one, _ = sheet(folders="a", guesses=[0], certainties=[0.9])
    line, _ = sheet(folders="a" * COLUMNS, guesses=[0] * COLUMNS, certainties=[0.9] * COLUMNS)
    more = COLUMNS + 1
    lines, _ = sheet(folders="a" * more, guesses=[0] * more, certainties=[0.9] * more)
    assert one.shape == line.shape and lines.shape[0] - line.shape[0] > TILE
    most, all_of_them = MOST + 1, 3 * MOST
    least, _ = sheet(folders="a" * most, guesses=[0] * most, certainties=[0.9] * most)
    many, _ = sheet(folders="a" * all_of_them, guesses=[0] * all_of_them, certainties=[0.9] * 120)
    assert many.shape == least.shape
    assert many.shape[1] == 3 * GAP + 3 * PITCH + COLUMNS * PITCH + GAP


@pytest.mark.parametrize("fonts", [module.FONTS, ("no font.ttf",)])
def test_names_in_any_writing_can_be_drawn(monkeypatch, fonts):
    monkeypatch.setattr(module, "FONTS", fonts)
    module._font.cache_clear()
    plain, _ = sheet()
    picture, _ = sheet(names=("猫", "a very long name " * 20, "é\udcfc"))
    module._font.cache_clear()
    assert picture.shape == plain.shape and (picture != plain).any()
