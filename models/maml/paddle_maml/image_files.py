"""Files of images: which there are, and what pixels they hold."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import UserError

READABLE = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Photographs that Pillow reads with a plug-in or in new versions: not to be passed over in silence.
PHONES = (".heic", ".heif", ".avif")
SUFFIXES = READABLE + PHONES
# Pillow's names of their formats. With others it starts programs: Ghostscript on EPS.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")
MODES = {1: "L", 3: "RGB"}
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
FITS = ("stretch", "crop")

# What Pillow raises, depending on the format, for a file that is damaged or no image at all.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError)
UNREADABLE += (Image.DecompressionBombError, Image.DecompressionBombWarning)


class BrokenImage(UserError):
    """An image file that cannot be read; `file` and `reason` say which and why."""

    def __init__(self, file: str | os.PathLike[str], reason: str):
        self.file, self.reason = str(file), reason
        advice = "replace or remove it"
        if self.file.lower().endswith(PHONES):
            advice = "convert it to JPEG"
        if "codec configuration" in reason:  # paddle 2.6 exports a zlib that Pillow refuses
            advice = "start with LD_PRELOAD=libz.so.1, or use data in the packed form"
        super().__init__(f"cannot read the image {self.file} ({reason}): {advice}")


def class_files(directory: Path) -> dict[str, list[Path]]:
    """Map each class of a tree to its image files, both sorted by name.

    Every directory that directly holds images is a class, named by its path; hidden files and
    directories are ignored, as are images in `directory` itself and links back to where they lie.
    """
    classes = {}
    for folder, subfolders, files in os.walk(directory, followlinks=True):
        folder = Path(folder)
        subfolders[:] = [
            name for name in subfolders if not (name.startswith(".") or _leads_back(folder / name))
        ]
        images = image_names(files)
        if images and folder != directory:
            name = folder.relative_to(directory).as_posix()
            classes[name] = [folder / file for file in images]
    return dict(sorted(classes.items()))


def _leads_back(folder: Path) -> bool:
    """Whether it is a link to a directory that it lies in, which would be gone through for ever."""
    if not folder.is_symlink():
        return False
    target = Path(os.path.realpath(folder))
    above = (Path(os.path.realpath(parent)) for parent in folder.absolute().parents)
    return any(target in (path, *path.parents) for path in above)


def image_names(names: list[str]) -> list[str]:
    """Those of the file names that are of images, sorted."""
    return sorted(f for f in names if f.lower().endswith(SUFFIXES) and not f.startswith("."))


def to_uint8(image: Image.Image, side: int, channels: int, fit: str = "stretch") -> np.ndarray:
    """Turn an image into pixels; the one definition of how.

    It is turned upright if its EXIF data say how, and transparent parts become white.

    Parameters
    ----------
    image : PIL.Image.Image
        An image of any mode and size.
    side : int
        Height and width of the result.
    channels : int
        1 for grey, 3 for red, green and blue.
    fit : {"stretch", "crop"}
        What becomes of an image that is not square: "stretch" takes all of it and changes its
        proportions, "crop" takes the largest square in its middle.

    Returns
    -------
    numpy.ndarray
        uint8, (channels, side, side).

    Raises
    ------
    ValueError
        If `channels` is neither 1 nor 3, `side` is not positive or there is no such `fit`.

    Examples
    --------
    >>> to_uint8(Image.new("1", (105, 105), 1), side=28, channels=1).shape
    (1, 28, 28)
    """
    check_form(side, channels, fit)
    # Pillow resizes 1-bit and palette images by nearest neighbour whatever it is asked for.
    image = opaque(of_8_bits(upright(image))).convert(MODES[channels])
    width, height = image.size
    x, y = (max(0, width - height) / 2, max(0, height - width) / 2) if fit == "crop" else (0, 0)
    box = (x, y, width - x, height - y)
    resized = image.resize((side, side), Image.Resampling.LANCZOS, box)
    return np.array(resized).reshape(side, side, channels).transpose(2, 0, 1)


def upright(image: Image.Image) -> Image.Image:
    """Turn a photograph as its EXIF data say, if they can be read."""
    image.load()  # lest a damaged image be taken for damaged EXIF data
    try:
        return ImageOps.exif_transpose(image)
    except UNREADABLE:
        return image


def of_8_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit greys to 8 bits; Pillow itself makes white of all above 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))


def opaque(image: Image.Image) -> Image.Image:
    """Lay a transparent image on white; what lies under full transparency is often black."""
    if image.mode not in TRANSPARENT and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def check_form(side: int, channels: int, fit: str = "stretch") -> None:
    """Raise ValueError unless images can have this form."""
    if channels not in MODES:
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {channels!r}")
    if side < 1:
        raise ValueError(f"side must be a positive number of pixels, not {side!r}")
    if fit not in FITS:
        raise ValueError(f"fit must be {' or '.join(FITS)}, not {fit!r}")


def read_image(file: Path, side: int, channels: int, fit: str = "stretch") -> np.ndarray:
    """Decode one image file, as `to_uint8`.

    Raises
    ------
    BrokenImage
        If that fails, whatever is in the file.
    """
    try:
        with open_image(file) as image:
            # A JPEG far larger than that is decoded at a half, quarter or eighth of its size.
            image.draft(None, (4 * side, 4 * side))
            return to_uint8(image, side, channels, fit)
    except UNREADABLE as error:
        raise BrokenImage(file, reason(file, error)) from error


def reason(file: Path, error: Exception) -> str:
    """What is wrong with an image file, without its name."""
    if isinstance(error, UnidentifiedImageError):
        return "no image of a format that is read" if file.stat().st_size else "the file is empty"
    return getattr(error, "strerror", None) or str(error)


def open_image(file: Path | BinaryIO) -> Image.Image:
    """Open an image of one of `FORMATS` unless it has more than `Image.MAX_IMAGE_PIXELS`.

    Pillow itself warns of these, and refuses those with twice as many. It goes by the content, not
    by the name, and knows formats that are programs.
    """
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
