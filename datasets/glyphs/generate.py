"""Draw synthetic handwritten characters in Omniglot's directory layout."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CANVAS = 105
SUPERSAMPLE = 3
MARGIN = 5
PER_ALPHABET = 8
MIN_CLASSES = 3 * PER_ALPHABET
MAX_IMAGES = 99
# Two thirds of the alphabets are left to train.
VAL_SHARE, TEST_SHARE = 2 / 15, 1 / 5

KINDS = ("line", "arc", "curve")

# Strokes are lists of control points, (points, 2), in a unit square.
Character = list[np.ndarray]


@dataclass(frozen=True)
class Style:
    """How far the drawings of one character differ (standard deviations, unless said)."""

    turn: float = 0.1  # radians
    shear: float = 0.12
    stretch: float = 0.08
    size: tuple[float, float] = (0.6, 0.8)  # range, of the canvas
    shift: float = 0.03  # of the canvas
    drift: float = 0.03  # of every stroke, of the character's size
    wobble: float = 0.025  # of every control point, likewise
    pen: tuple[float, float] = (2.5, 4.0)  # range, in pixels


def new_character(rng: np.random.Generator) -> Character:
    """Invent a character: one to four strokes, most of which start on an earlier one."""
    count = rng.choice([1, 2, 3, 4], p=[0.06, 0.4, 0.35, 0.19])
    # A line alone is no character, and single arcs are too much alike.
    strokes = [new_stroke(rng, rng.uniform(0, 1, 2), ("curve",) if count == 1 else KINDS)]
    while len(strokes) < count:
        start = rng.uniform(0, 1, 2)
        if rng.random() < 0.75:
            start = rng.choice(spline(strokes[rng.integers(len(strokes))]))
        strokes.append(new_stroke(rng, start, KINDS))
    points = np.concatenate([spline(stroke) for stroke in strokes])
    low, extent = points.min(0), np.ptp(points, axis=0).max()
    return [(stroke - low) / extent for stroke in strokes]


def new_stroke(rng: np.random.Generator, start: np.ndarray, kinds: tuple[str, ...]) -> np.ndarray:
    """Invent a stroke: a walk from `start` towards a random point, turning at each step."""
    kind = rng.choice(kinds)
    if kind == "line":
        turns, length = [], rng.uniform(0.4, 0.9)
    elif kind == "arc":
        turns = np.full(rng.integers(3, 7), rng.choice([-1, 1]) * rng.uniform(0.4, 0.9))
        length = rng.uniform(0.12, 0.28)
    else:
        turns, length = rng.normal(0, 1.2, rng.integers(2, 5)), rng.uniform(0.25, 0.45)
    towards_x, towards_y = rng.uniform(0, 1, 2) - start
    headings = np.arctan2(towards_y, towards_x) + np.cumsum([0, *turns])
    steps = length * np.stack([np.cos(headings), np.sin(headings)], 1)
    return start + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])


def spline(points: np.ndarray, steps: int = 12) -> np.ndarray:
    """Return a dense Catmull-Rom curve through the points."""
    before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    p = np.concatenate([[before], points, [after]])
    p0, p1, p2, p3 = (p[i : len(p) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps)[:, None]
    curve = (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return curve.reshape(-1, 2) / 2


def write(rng: np.random.Generator, character: Character, style: Style) -> Image.Image:
    """Draw a character once, as one writer would: a 1-bit image, ink black on white paper."""
    strokes = [
        spline(s + rng.normal(0, style.drift, 2) + rng.normal(0, style.wobble, s.shape))
        for s in character
    ]
    pen = rng.uniform(*style.pen)
    points = distorted(rng, np.concatenate(strokes), style)
    points = inside(points * CANVAS, MARGIN + pen / 2) * SUPERSAMPLE
    # Whole coordinates keep the last bit of a float from ever deciding about a pixel.
    points = np.rint(points).astype(int)
    width = max(1, round(pen * SUPERSAMPLE))

    image = Image.new("L", (CANVAS * SUPERSAMPLE,) * 2, 255)
    pencil = ImageDraw.Draw(image)
    for stroke in np.split(points, np.cumsum([len(s) for s in strokes])[:-1]):
        line = [tuple(point) for point in stroke.tolist()]
        pencil.line(line, fill=0, width=width, joint="curve")
        for x, y in (line[0], line[-1]):
            pencil.ellipse((x - width // 2, y - width // 2, x + width // 2, y + width // 2), fill=0)
    small = image.resize((CANVAS, CANVAS), Image.Resampling.BOX)
    return small.point(lambda grey: 255 * (grey > 127), mode="1")


def distorted(rng: np.random.Generator, points: np.ndarray, style: Style) -> np.ndarray:
    """Turn, shear, stretch, scale and shift the points; the canvas is the unit square."""
    turn, shear = rng.normal(0, style.turn), rng.normal(0, style.shear)
    wide, tall = rng.uniform(*style.size) * np.exp(rng.normal(0, style.stretch, 2))
    x, y = (points - (points.min(0) + points.max(0)) / 2).T
    x, y = wide * (x + shear * y), tall * y
    turned = np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], 1)
    return turned + 0.5 + rng.normal(0, style.shift, 2)


def inside(points: np.ndarray, margin: float) -> np.ndarray:
    """Shrink and shift the points, in pixels, as little as keeps them on the canvas."""
    room = CANVAS - 2 * margin
    centre, extent = (points.min(0) + points.max(0)) / 2, np.ptp(points, axis=0)
    points = centre + (points - centre) * min(1, *(room / np.maximum(extent, 1e-9)))
    points = points + np.maximum(margin - points.min(0), 0)
    return points + np.minimum(CANVAS - margin - points.max(0), 0)


def splits_of(classes: int) -> list[str]:
    """Return each class's split; no alphabet has classes in two of them."""
    alphabets = -(-classes // PER_ALPHABET)
    val, test = (max(1, round(alphabets * share)) for share in (VAL_SHARE, TEST_SHARE))
    split = ["train"] * (alphabets - val - test) + ["val"] * val + ["test"] * test
    return [split[c // PER_ALPHABET] for c in range(classes)]


def generate(out: Path, classes: int = 120, images: int = 20, seed: int = 0) -> None:
    """Write `classes` characters, each drawn by `images` writers, under the directory `out`."""
    style = Style()
    for c, split in enumerate(splits_of(classes)):
        alphabet, character = divmod(c, PER_ALPHABET)
        folder = out / split / f"Alphabet_{alphabet + 1:02d}" / f"character{character + 1:02d}"
        folder.mkdir(parents=True)
        # One stream per class: more classes, or more writers, leave the others' drawings alone.
        rng = np.random.default_rng((seed, c))
        shape = new_character(rng)
        for writer in range(images):
            drawing = write(rng, shape, style)
            # Not PNG as Omniglot's: where paddle 2.6 is imported before Pillow, that has no zlib.
            grey = drawing.convert("L").quantize(2)
            grey.save(folder / f"{c + 1:04d}_{writer + 1:02d}.gif", optimize=True)


def whole(low: int, high: int):
    """Return a parser of integers from low to high."""

    def parse(text: str) -> int:
        if not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}, not {text}")
        return int(text)

    return parse


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a new or empty directory")
    parser.add_argument("--classes", type=whole(MIN_CLASSES, 9999), default=120)
    parser.add_argument("--images", type=whole(1, MAX_IMAGES), default=20, help="per class")
    parser.add_argument("--seed", type=whole(0, 2**63), default=0)
    options = parser.parse_args(arguments)
    out = options.out
    try:
        if out.exists() and any(out.iterdir()):
            raise FileExistsError("it is not empty; give a new directory")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".drawing-") as unfinished:
            whole_sample = Path(unfinished, "sample")
            generate(whole_sample, options.classes, options.images, options.seed)
            os.replace(whole_sample, out)
    except OSError as error:
        print(f"generate.py: cannot write {out} ({error})", file=sys.stderr)
        return 2
    print(f"{options.classes} characters of {options.images} drawings in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
