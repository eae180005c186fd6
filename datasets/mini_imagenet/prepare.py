"""Import miniImageNet, check it against the published split and pack it for the readers."""

from __future__ import annotations

import argparse
import json
import sys
import zlib  # noqa: F401  before paddle 2.6, whose own Pillow's PNG decoder refuses
from pathlib import Path

HERE = Path(__file__).resolve().parent
# A plain clone works without installing the package.
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(ROOT / "models" / "maml"), str(ROOT / "tools")]

from mini_imagenet.sources import Source, Split, find_source  # noqa: E402
from paddle_maml.errors import UserError  # noqa: E402
from paddle_maml.image_classes import pack_image_classes  # noqa: E402
from preparation import (  # noqa: E402
    RECORD,
    SPLITS,
    bar,
    exit_code,
    is_prepared,
    positive,
    say,
    split_table,
    write,
)

IMAGES_PER_CLASS = 600


def ravi_split() -> Split:
    """Return the published split: the sorted wnids of train, val and test."""
    return {s: sorted(names) for s, names in split_table(HERE / "ravi_split.tsv").items()}


def prepare(out: Path, source: list[Path], side: int) -> None:
    """Prepare miniImageNet in `out`, unless it is there already."""
    split, count = ravi_split(), IMAGES_PER_CLASS
    settings, found = {"side": side}, None
    if source:
        found = find_source(source, split, count)
        settings |= {"form": found.form, "selection": found.selection}
    if is_prepared(out, settings, channels=3):
        say(f"{out} is prepared already, with these settings: nothing to do")
    elif found is None:
        raise UserError(
            "miniImageNet cannot be downloaded, because ImageNet's terms forbid to pass it on: "
            "name what you have with --source"
        )
    else:
        pack(out, found, settings, split, count)
    record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    counts = ", ".join(f"{s} {record[s]['classes']}" for s in SPLITS)
    say(f"miniImageNet in {out}: {counts} classes of {count} images, {side} x {side} pixels")
    say("train with: python tools/trainer.py -m models/maml/configs/mini_imagenet_5way_1shot.yaml")


def pack(out: Path, source: Source, settings: dict, split: Split, count: int) -> None:
    """Convert a source, image by image or class by class, and write it."""
    if source.selection.startswith("the first"):
        say(
            f"note: there are more than {count} images of a class, and {source.selection} are "
            "taken; with train.csv, val.csv and test.csv beside them it would be the published ones"
        )
    say(f"converting to {settings['side']} x {settings['side']} pixels")
    total = count * sum(map(len, split.values()))
    with bar(total=total, desc="converting", unit="image") as done:

        def write_split(s, directory):
            def counted():
                for images in source.images(s, settings["side"]):
                    yield images
                    done.update(len(images))

            pack_image_classes(directory, split[s], [count] * len(split[s]), counted())

        write(out, settings, write_split)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "data", help="default: %(default)s")
    parser.add_argument(
        "--source",
        type=Path,
        nargs="+",
        default=[],
        help="what to import: directories with train.csv, val.csv, test.csv and images/, or the "
        "three mini-imagenet-cache-*.pkl, or a folder of images per class",
    )
    parser.add_argument("--side", type=positive, default=84, help="pixels (default: 84)")
    return exit_code(prepare, vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
