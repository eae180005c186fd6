"""Download or import Omniglot, verify it, split its classes and pack them for the readers."""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import json
import os
import re
import stat
import sys
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
# A plain clone works without installing the package.
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "models" / "maml")]

from paddle_maml.errors import UserError  # noqa: E402
from paddle_maml.image_classes import ImageClasses, save_image_classes  # noqa: E402
from paddle_maml.image_files import UNREADABLE, open_image, to_uint8  # noqa: E402
from preparation import (  # noqa: E402
    RECORD,
    SPLITS,
    bar,
    existing,
    exit_code,
    is_prepared,
    natural,
    positive,
    say,
    split_table,
    write,
)

URL = "https://github.com/brendenlake/omniglot/raw/master/python/"
MD5 = {
    "images_background": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
}
IMAGES_PER_CLASS = 20
MOST_BYTES = 1 << 27  # 128 MiB; the larger of the official archives unpacks to 7
PAPER_SIZES = (1100, 100, 423)

# The images of each class as stored: {"Greek/character01": {"0394_01.png": bytes}}.
Images = dict[str, dict[str, bytes]]


def vinyals_split() -> dict[str, list[str]]:
    """Return the published split: the sorted class names of train, val and test."""
    table = split_table(HERE / "vinyals_split.tsv")
    # Alphabets are unique across the two archives, so the archive's name can go.
    return {s: sorted(name.split("/", 1)[1] for name in names) for s, names in table.items()}


def paper_split(names: list[str], seed: int) -> dict[str, list[str]]:
    """Draw a split of the paper's sizes from the sorted class names."""
    drawn = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    ends = np.cumsum(PAPER_SIZES)
    starts = ends - PAPER_SIZES
    return {s: sorted(drawn[a:b]) for s, a, b in zip(SPLITS, starts, ends)}


def md5_of(file: Path) -> str:
    """Return the md5 of a file, in hexadecimal."""
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def download(url: str, file: Path, md5: str) -> None:
    """Download a file under a temporary name, check it, and only then give it its name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(part, "wb") as out:
            total = int(answer.headers.get("Content-Length") or 0) or None
            with bar(total=total, desc=file.name, unit="B", unit_scale=True) as done:
                while block := answer.read(1 << 16):
                    done.update(out.write(block))
        if md5_of(part) != md5:
            raise UserError(
                f"{url} arrived damaged (md5 {md5_of(part)} instead of {md5}): run the command "
                "again, or import archives you already have with --source"
            )
        os.replace(part, file)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot download {url} ({error}): run the command again when the network is back, or "
            "import archives you already have with --source"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def downloaded(archives: Path) -> dict[str, Path]:
    """Return the two official archives, downloading those not there yet."""
    files = {part: archives / f"{part}.zip" for part in MD5}
    for part, file in files.items():
        if not file.is_file() or md5_of(file) != MD5[part]:
            say(f"downloading {file.name}")
            download(URL + file.name, file, MD5[part])
    return files


def found(sources: list[Path]) -> dict[str, Path]:
    """Find both parts, each a zip file or a directory, in what the user gave as sources."""
    existing(sources)
    parts = {}
    for part in MD5:
        inside = [source / name for source in sources for name in (f"{part}.zip", part)]
        named = [source for source in sources if source.name in (f"{part}.zip", part)]
        candidates = [path for path in named + inside if path.exists()]
        if not candidates:
            given = ", ".join(map(str, sources))
            raise UserError(f"neither {part}.zip nor {part}/ in {given}: --source needs both parts")
        parts[part] = candidates[0]
    return parts


def read_zip(file: Path) -> Images:
    """Read the images of an archive, which has to keep to its own directory."""
    classes = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if escapes(member):
                    raise UserError(
                        f"{file} holds {member.orig_filename!r}, which points outside the archive: "
                        "do not use it, download the official one"
                    )
            size = sum(member.file_size for member in archive.infolist())
            if size > MOST_BYTES:
                raise UserError(
                    f"{file} would unpack to {size} bytes, where Omniglot has less than "
                    f"{MOST_BYTES}: do not use it, download the official one"
                )
            for member in archive.infolist():
                add(classes, member.filename.split("/"), lambda m=member: archive.read(m))
    except UserError:
        raise
    except Exception as error:  # each of zipfile's decoders has its own
        raise UserError(f"cannot read the archive {file} ({error}): download it again") from error
    return classes


def escapes(member: zipfile.ZipInfo) -> bool:
    """Tell whether an archive's member could lie, or lead, outside of the archive's directory."""
    name = member.orig_filename
    absolute = name.startswith("/") or re.match("[A-Za-z]:", name)
    link = stat.S_ISLNK(member.external_attr >> 16)
    return bool(absolute or link or "\\" in name or ".." in name.split("/"))


def read_directory(directory: Path) -> Images:
    """Read the images of an unpacked archive."""
    classes = {}
    for file in directory.glob("*/*/*.png"):
        add(classes, (directory.name, *file.relative_to(directory).parts), file.read_bytes)
    return classes


def add(classes: Images, path, read) -> None:
    """Add the image at part/alphabet/character/file; whatever lies elsewhere is no image."""
    if len(path) == 4 and path[3].endswith(".png") and not path[3].startswith("."):
        _, alphabet, character, name = path
        classes.setdefault(f"{alphabet}/{character}", {})[name] = read()


def read_part(part: str, path: Path) -> tuple[Images, str | None]:
    """Read one part; return its images and, of an archive, the md5.

    Downloads have been held to the official md5. An archive of the user's own may be packed anew:
    its content is verified like a directory's, and a line says that it is not the official file.
    """
    if path.is_dir():
        return read_directory(path), None
    md5 = md5_of(path)
    if md5 != MD5[part]:
        say(
            f"note: {path} is not the official archive (md5 {md5}); its images are used if complete"
        )
    return read_zip(path), md5


def verify(classes: Images, expected: list[str]) -> None:
    """Raise UserError unless every class of Omniglot, and no other, is there with 20 images."""
    for name in sorted({*classes, *expected}):
        wanted = IMAGES_PER_CLASS if name in expected else 0
        count = len(classes.get(name, ()))
        if count != wanted:
            raise UserError(
                f"this is not the whole of Omniglot: class {name} has {count} images instead of "
                f"{wanted}; import the official archives or unpack them again"
            )


def convert(classes: Images, names: list[str], side: int, done: tqdm) -> ImageClasses:
    """Turn the stored images of the named classes into pixels."""
    images = []
    for name in names:
        for file, content in sorted(classes[name].items()):
            try:
                with open_image(io.BytesIO(content)) as image:
                    images.append(to_uint8(image, side, channels=1))
            except UNREADABLE as error:
                raise UserError(
                    f"cannot read the image {name}/{file} ({error}): unpack the archive again"
                ) from error
            done.update()
    starts = np.cumsum([0, *(len(classes[name]) for name in names)], dtype=np.int64)
    return ImageClasses(tuple(names), np.stack(images), starts)


def prepare(out: Path, source: list[Path], split: str, seed: int, side: int) -> None:
    """Prepare Omniglot in `out`, unless it is there already."""
    # The published split is a table: no seed enters it.
    settings = {"split": split, "seed": seed if split == "paper" else None, "side": side}
    if is_prepared(out, settings):
        say(f"{out} is prepared already, with these settings: nothing to do")
    else:
        parts = found(source) if source else downloaded(out / "archives")
        classes, archives = {}, {}
        for part, path in parts.items():
            images, archives[part] = read_part(part, path)
            classes.update(images)
        published = vinyals_split()
        expected = [name for names in published.values() for name in names]
        verify(classes, expected)
        names = published if split == "vinyals" else paper_split(expected, seed)
        say(f"converting to {side} x {side} pixels")
        with bar(total=len(expected) * IMAGES_PER_CLASS, desc="converting", unit="image") as done:
            splits = {s: convert(classes, names[s], side, done) for s in SPLITS}
        write(
            out,
            {**settings, "archives": archives},
            lambda split, directory: save_image_classes(directory, splits[split]),
        )
    record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    counts = ", ".join(f"{s} {record[s]['classes']}" for s in SPLITS)
    say(f"Omniglot in {out}: {counts} classes of {IMAGES_PER_CLASS} images, {side} x {side} pixels")
    say("train with: python tools/trainer.py -m config.yaml")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "data", help="default: %(default)s")
    parser.add_argument(
        "--source",
        type=Path,
        nargs="+",
        default=[],
        help="import instead of downloading: the two zip files, or a directory that holds them "
        "or holds images_background/ and images_evaluation/",
    )
    parser.add_argument(
        "--split",
        choices=("vinyals", "paper"),
        default="vinyals",
        help="the published 1028/172/423 classes, or 1100/100/423 drawn with --seed "
        "(default: %(default)s)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="of --split paper (default: 0)")
    parser.add_argument("--side", type=positive, default=28, help="pixels (default: 28)")
    return exit_code(prepare, vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
