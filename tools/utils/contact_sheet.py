"""The images of one task at a glance: each class's, and what is predicted to be of it."""

from __future__ import annotations

import contextlib
import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.picture import GAP, INK, LINE, RIGHT, TILE, WRONG, tile
from utils.predictions import UNKNOWN, Predictions

SHOWN_SUPPORT, MOST, COLUMNS = 5, 40, 10  # of each class: support images, queries, these per line
PITCH, CAPTION, TITLE = TILE + GAP, 30, 28  # pixels: from tile to tile, under a query, over a row
PALE, RULE = "#6b7280", "#c5cad1"
# Of Linux, Windows and macOS, those that have Chinese first.
FONTS = ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc")
FONTS += ("DejaVuSans.ttf",)


def contact_sheet(
    support, pixels: np.ndarray, predictions: Predictions, told: list[str]
) -> Image.Image:
    """Draw a row per class: its support images, and right of them the queries predicted so.

    Errors come first, then the least certain; so those are seen that are worth a look where there
    are too many to be shown. Under each query stand the probability of the class and the name of
    the file. A query whose class is known has a green frame where the prediction is right; if it is
    wrong, a red one and the number of its true class.

    Parameters
    ----------
    support : ImageClasses
    pixels : numpy.ndarray
        The queries, uint8 (image, channels, side, side).
    predictions : Predictions
        Of the queries, for the classes of `support`.
    told : list of str
        The lines over the picture.

    Returns
    -------
    PIL.Image.Image
    """
    rows = [in_order(predictions, c) for c in range(len(support))]
    heights = [_height(len(row)) for row in rows]
    shown = min(SHOWN_SUPPORT, max(map(support.count, range(len(support)))))
    left = 3 * GAP + shown * PITCH  # of the queries
    explained = "left: support images; right: what is predicted to be of the class, "
    explained += "errors first, then the least certain"
    head = GAP + LINE * (len(told) + 1) + GAP
    size = left + COLUMNS * PITCH + GAP, head + sum(heights) + GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for place, line in enumerate([*told, explained]):
        _write(draw, (2 * GAP, GAP + place * LINE), line, INK if place < len(told) else PALE, 12)
    for c, row in enumerate(rows):
        top = head + sum(heights[:c])
        draw.line((2 * GAP, top, size[0] - 2 * GAP, top), RULE)
        name = f"{c + 1}  {support.names[c]}"
        end = _write(draw, (2 * GAP, top + 7), name, INK, 14, size[0] / 2)
        _write(draw, (max(left, end + GAP), top + 8), _counted(len(row)), PALE, 12)
        top += TITLE
        draw.line((left - GAP, top, left - GAP, head + sum(heights[: c + 1]) - GAP), RULE)
        for place, image in enumerate(support.of(c)[:shown]):
            _paste(sheet, image, (2 * GAP + place * PITCH, top))
        for place, query in enumerate(row[:MOST]):
            line, column = divmod(place, COLUMNS)
            corner = left + column * PITCH, top + line * (TILE + CAPTION)
            _paste(sheet, pixels[query], corner)
            _caption(draw, corner, predictions, query)
    return sheet


def in_order(predictions: Predictions, c: int) -> np.ndarray:
    """The queries predicted to be of class `c`: errors first, then the least certain."""
    mine = np.flatnonzero(predictions.guesses == c)
    right = np.isin(predictions.truths[mine], [UNKNOWN, c])
    return mine[np.lexsort((predictions.probabilities[mine, c], right))]


def _height(queries: int) -> int:
    lines = -(-min(max(queries, 1), MOST) // COLUMNS)
    return TITLE + lines * (TILE + CAPTION) + GAP


def _counted(queries: int) -> str:
    number = f"{queries} {'query' if queries == 1 else 'queries'}"
    return f"{number}, {MOST} shown" if queries > MOST else number


def _paste(sheet, pixels, corner) -> None:
    sheet.paste(tile(pixels.transpose(1, 2, 0)), corner)
    x, y = corner
    ImageDraw.Draw(sheet).rectangle((x, y, x + TILE - 1, y + TILE - 1), None, RULE)


def _caption(draw, corner, predictions, query) -> None:
    guess, truth = predictions.guesses[query], predictions.truths[query]
    colour, text = INK, f"{predictions.probabilities[query, guess]:.2f}"
    x, y = corner
    if truth != UNKNOWN:
        colour = RIGHT if truth == guess else WRONG
        text += "" if truth == guess else f"  is {truth + 1}"
        draw.rectangle((x, y, x + TILE - 1, y + TILE - 1), None, colour, 2)
    _write(draw, (x + 1, y + TILE + 1), text, colour, 12)
    _write(
        draw, (x + 1, y + TILE + 15), predictions.names[query].rpartition("/")[2], PALE, 10, TILE
    )


def _write(draw, place, text: str, colour: str, size: int, width: float | None = None) -> float:
    """Write text, cut to a width, and return where it ends."""
    font = _font(size, text.isascii())
    if font is None:
        text, font = text.encode("ascii", "replace").decode(), _font(size)
    while width and draw.textlength(text, font) > width:
        text = f"{text.removesuffix('..')[:-1]}.."
    draw.text(place, text, colour, font)
    return place[0] + draw.textlength(text, font)


@functools.lru_cache
def _font(size: int, ascii_only: bool = True):
    """Pillow's own font, which has little more than ASCII, or one of the system's, if any."""
    if ascii_only:
        try:
            return ImageFont.load_default(size)
        except (TypeError, ImportError):  # Pillow before 10.1 or without FreeType has one size
            return ImageFont.load_default()
    for name in FONTS:
        with contextlib.suppress(OSError, ImportError):
            return ImageFont.truetype(name, size)
    return None
