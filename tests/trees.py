"""Trees of image files, a directory per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from paddle_maml.image_classes import ImageClasses
from PIL import Image, ImageDraw


def drawing(seed: int, mode: str = "1", side: int = 105) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new(mode, (side, side), "white")
    ink = "black" if mode == "1" else tuple(rng.integers(0, 200, 3).tolist())
    ImageDraw.Draw(image).line([tuple(p) for p in rng.integers(5, side - 5, (4, 2))], ink, 3)
    return image


def write_tree(root: Path) -> Path:
    """Three classes at two depths, of 2, 3 and 1 images, among files that do not count."""
    files = ["b/x/2.png", "b/x/1.PNG", "a/3.png", "a/1.bmp", "a/2.gif", "b/1.png"]
    for seed, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        drawing(seed).save(root / file)
    (root / "a/notes.txt").write_text("no image")
    (root / "a/._1.png").write_text("hidden")
    (root / ".hidden").mkdir()
    (root / ".hidden/1.png").write_text("hidden")
    (root / "preview.png").write_text("in no class")
    return root


def write_photographs(root: Path, classes: int, images: int, size=(24, 18)) -> Path:
    """Noise around a colour per class, as JPEG: a few hundred bytes each."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        folder = root / f"class{c:02d}"
        folder.mkdir(parents=True)
        colour = rng.integers(40, 216, 3)
        for i in range(images):
            pixels = (colour + rng.integers(-40, 41, (*size[::-1], 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.jpg")
    return root


def same(a: ImageClasses, b: ImageClasses) -> bool:
    return (
        a.names == b.names
        and np.array_equal(a.starts, b.starts)
        and np.array_equal(a.images, b.images)
    )
