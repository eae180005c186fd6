"""Draw folders of images of one alphabet's test characters, to adapt a trained model to."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import prepare
from paddle_maml.errors import UserError
from preparation import exit_code, positive, say


def draw(out: Path, source: list[Path], alphabet: str, classes: int, shot: int) -> None:
    """Write `out`/support and `out`/query, a folder for each character in both."""
    if out.exists():
        raise UserError(f"{out} is there: name a directory that is not")
    if shot >= prepare.IMAGES_PER_CLASS:
        raise UserError(f"--shot {shot} leaves no queries: a character has 20 images")
    names = prepare.vinyals_split()["test"]
    chosen = [name for name in names if name.startswith(f"{alphabet}/")][:classes]
    if len(chosen) < classes:
        counts = Counter(name.split("/")[0] for name in names)
        enough = ", ".join(sorted(name for name in counts if counts[name] >= classes)) or "none"
        raise UserError(
            f"{alphabet} has {len(chosen)} test characters, fewer than {classes}: lower --classes, "
            f"or choose an alphabet that has as many: {enough}"
        )
    found = prepare.found(source) if source else prepare.downloaded(prepare.HERE / "data/archives")
    images = {}
    for part, path in found.items():
        images |= prepare.read_part(part, path)[0]
    prepare.verify({name: images.get(name, {}) for name in chosen}, chosen)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".drawing-") as unfinished:
        for name in chosen:
            for number, (file, content) in enumerate(sorted(images[name].items())):
                folder = Path(unfinished, "task", "support" if number < shot else "query")
                folder /= name.split("/")[1]
                folder.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(content)
        Path(unfinished, "task").rename(out)
    left = prepare.IMAGES_PER_CLASS - shot
    say(f"{out}: {classes} characters of {alphabet}, {shot} support images and {left} queries each")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a directory that is not there yet")
    parser.add_argument(
        "--source", type=Path, nargs="+", default=[], help="as of prepare.py; default: download"
    )
    parser.add_argument("--alphabet", default="Kannada", help="default: %(default)s")
    parser.add_argument("--classes", type=positive, default=20, help="its first; default: 20")
    parser.add_argument(
        "--shot", type=positive, default=5, help="support images of each; the rest are queries"
    )
    return exit_code(draw, vars(parser.parse_args(arguments)), "task.py")


if __name__ == "__main__":
    sys.exit(main())
