"""One episode as one image: its support set, and its queries with what is predicted of them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

QUERIES = 5  # shown of each class
TILE, GAP, LINE = 64, 8, 16  # pixels: an image, the space around it, the text under it
INK, RIGHT, WRONG = "#1f2328", "#00695c", "#b3261e"


def episode_picture(episode) -> np.ndarray:
    """Draw an episode: a row per class, its support images left of its first queries.

    Under each query stand the class predicted before adaptation, if that takes steps, and, after an
    arrow, the one predicted after it, each ticked green if right and crossed red if wrong.

    Parameters
    ----------
    episode
        With the fields of `adapted_episode.AdaptedEpisode`.

    Returns
    -------
    numpy.ndarray
        uint8, (height, width, 3).
    """
    way, found = episode.after.shape[1], predictions(episode)
    supports = max(len(examples(episode.support_y, c)) for c in range(way))
    queries = max(len(examples(episode.query_y, c)) for c in range(way))
    pitch, row = TILE + GAP, TILE + LINE + GAP
    left = 3 * GAP  # of the support images; left of them stands the class's letter
    split = left + supports * pitch  # between support images and queries
    width, height = split + GAP + queries * pitch, LINE + GAP + way * row
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((left, GAP // 2), "support", INK)
    draw.text((split + GAP, GAP // 2), " > ".join(found), INK)
    draw.line((split, GAP, split, height - GAP), "#c5cad1")
    for c in range(way):
        top = LINE + GAP + c * row
        draw.text((GAP, top + TILE // 2 - 6), letter(c), INK)
        for place, example in enumerate(examples(episode.support_y, c)):
            picture.paste(tile(episode.support_x[example]), (left + place * pitch, top))
        for place, query in enumerate(examples(episode.query_y, c)):
            x = split + GAP + place * pitch
            picture.paste(tile(episode.query_x[query]), (x, top))
            guesses = [p[query].argmax() for p in found.values()]
            _write(draw, (x + 2, top + TILE + 2), guesses, c)
            draw.rectangle((x, top, x + TILE - 1, top + TILE - 1), None, _colour(guesses[-1], c), 2)
    return np.asarray(picture)


def predictions(episode) -> dict[str, np.ndarray]:
    """Each query's probabilities of the classes, by when they were predicted."""
    if episode.before is None:
        return {"predicted": episode.after}
    return {"before": episode.before, "after": episode.after}


def examples(labels, c: int):
    """Which examples of class `c` are shown."""
    return np.flatnonzero(labels == c)[:QUERIES]


def letter(c: int) -> str:
    """A class's name within its episode: A to Z, AA, AB, ..."""
    return (letter(c // 26 - 1) if c >= 26 else "") + chr(ord("A") + c % 26)


def to_image(pixels: np.ndarray) -> Image.Image:
    """uint8 (side, side, 1 or 3) as an image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def tile(pixels: np.ndarray) -> Image.Image:
    return to_image(pixels).convert("RGB").resize((TILE, TILE), Image.BICUBIC)


def _write(draw, place, guesses, truth) -> None:
    """Write the classes in `guesses` at `place`, with arrows between, each with its mark."""
    x, y = place
    for number, guess in enumerate(guesses):
        text = f" > {letter(guess)}" if number else letter(guess)
        draw.text((x, y), text, INK)
        x += draw.textlength(text) + 2
        if guess == truth:
            strokes = [[(x, y + 7), (x + 3, y + 10), (x + 8, y + 2)]]
        else:
            strokes = [[(x, y + 2), (x + 7, y + 9)], [(x, y + 9), (x + 7, y + 2)]]
        for stroke in strokes:
            draw.line(stroke, _colour(guess, truth), 2)
        x += 9


def _colour(guess, truth) -> str:
    return RIGHT if guess == truth else WRONG
