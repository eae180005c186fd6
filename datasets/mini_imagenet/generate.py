"""Generate a stand-in for miniImageNet: as many classes and images, of coloured textures."""

from __future__ import annotations

import argparse
import csv
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
# A plain clone works without installing the package.
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "models" / "maml")]

from preparation import SPLITS, positive, split_table  # noqa: E402

FORMS = ("csv", "cache", "folders")


def texture(rng: np.random.Generator, side: int) -> Callable[[], np.ndarray]:
    """Invent a class; the function returned draws an image of it, uint8 (side, side, 3).

    Two gratings, each with a direction and a wavelength of its own, mix two colours. In every image
    they are shifted, turned and stretched a little, and the light is another.
    """
    angles = rng.uniform(0, np.pi, 2)
    waves = side / rng.uniform(2, 12, 2)  # pixels
    weights = np.array([1, rng.uniform(0.2, 1)])
    sharpness = rng.uniform(1, 6)
    colours = rng.uniform(0.1, 0.9, (2, 3))
    axis = np.arange(side)

    def draw():
        turned = angles + rng.normal(0, 0.2, 2)
        per_pixel = 2 * np.pi / (waves * np.exp(rng.normal(0, 0.2, 2)))
        shift = rng.uniform(0, 2 * np.pi, 2)
        along = np.exp(1j * np.outer(per_pixel * np.cos(turned), axis)) * weights[:, np.newaxis]
        down = np.exp(1j * (np.outer(per_pixel * np.sin(turned), axis) + shift[:, np.newaxis]))
        gratings = (down.T @ along).imag  # sums of sines, as products of what depends on x and y
        mix = 1 / (1 + np.exp(-sharpness * gratings))
        dark, light = colours + rng.normal(0, 0.15, (2, 3))
        picture = (dark + (light - dark) * mix[..., np.newaxis]) * np.exp(rng.normal(0, 0.2))
        picture += 0.05 * rng.standard_normal(picture.shape, np.float32)
        return (255 * picture.clip(0, 1)).astype(np.uint8)

    return draw


def generate(
    out: Path, form: str, split: dict[str, list[str]], images: int, side: int = 84, seed: int = 0
) -> None:
    """Write `images` images of each class of `split` in one of the forms that prepare.py takes."""
    out.mkdir(parents=True, exist_ok=True)
    for number, s in enumerate(SPLITS):
        drawn = drawings(split[s], images, side, [seed, number])
        {"csv": write_table, "cache": write_cache, "folders": write_folders}[form](out, s, drawn)


def drawings(names: list[str], images: int, side: int, seed: list) -> Iterator:
    """Each class's name and images."""
    for c, name in enumerate(sorted(names)):
        draw = texture(np.random.default_rng([*seed, c]), side)
        yield name, np.stack([draw() for _ in range(images)])


def write_table(out: Path, split: str, drawn: Iterator) -> None:
    """images/ and a table, as Ravi and Larochelle's."""
    (out / "images").mkdir(exist_ok=True)
    with open(out / f"{split}.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "label"])
        for name, pictures in drawn:
            for i, picture in enumerate(pictures, 1):
                table.writerow([f"{name}{i:08d}.jpg", name])
                Image.fromarray(picture).save(out / "images" / f"{name}{i:08d}.jpg")


def write_cache(out: Path, split: str, drawn: Iterator) -> None:
    """A pickle of all images."""
    names, pictures = zip(*drawn)
    ends = np.cumsum([len(block) for block in pictures])
    indices = {n: list(range(e - len(b), e)) for n, b, e in zip(names, pictures, ends.tolist())}
    with open(out / f"mini-imagenet-cache-{split}.pkl", "wb") as file:
        content = {"image_data": np.concatenate(pictures), "class_dict": indices}
        pickle.dump(content, file, protocol=4)


def write_folders(out: Path, split: str, drawn: Iterator) -> None:
    """A folder per class, with ImageNet's names."""
    for name, pictures in drawn:
        (out / split / name).mkdir(parents=True)
        for i, picture in enumerate(pictures, 1):
            Image.fromarray(picture).save(out / split / name / f"{name}_{i}.JPEG")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a new directory")
    parser.add_argument("--form", choices=FORMS, default="cache", help="default: %(default)s")
    parser.add_argument("--images", type=positive, default=600, help="per class (default: 600)")
    options = parser.parse_args(arguments)
    if options.out.exists():
        parser.error(f"--out: {options.out} is there already: name a new directory")
    generate(options.out, options.form, split_table(HERE / "ravi_split.tsv"), options.images)
    print(f"100 classes of {options.images} textures in {options.out}")


if __name__ == "__main__":
    main()
