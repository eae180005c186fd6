"""Image files of every format, and the packed form."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from fuzzing.conftest import fuzzed
from fuzzing.guard import judged
from fuzzing.mutations import mutated
from hypothesis import given
from hypothesis import strategies as st
from paddle_maml.episodes import check_enough, draw_episode
from paddle_maml.image_classes import ARRAY, HEADER, INDEX
from paddle_maml.image_directory import load_image_classes
from paddle_maml.image_files import FITS, READABLE, read_image
from PIL import Image, ImageOps

SIDE = 12
PICTURE = Image.fromarray((np.arange(3 * SIDE * SIDE) % 251).astype("u1").reshape(SIDE, SIDE, 3))
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F", "YCbCr")
FRAMES = {"save_all": True, "append_images": [PICTURE, ImageOps.mirror(PICTURE)], "duration": 1}
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned
OPTIONS = [
    {},
    FRAMES,
    {"exif": EXIF},
    {"progressive": True},
    {"lossless": True},
    {"compression": "tiff_lzw"},
    {"compression": "tiff_deflate"},
    {"transparency": 0},
]


def written(kind: str, mode: str, options: dict) -> bytes | None:
    """PICTURE as a file, if Pillow writes one."""
    file = io.BytesIO()
    try:
        PICTURE.convert(mode).save(file, kind, **options)
    except Exception:  # this mode in that format
        return None
    return file.getvalue()


def all_written(kinds, modes=MODES, options=OPTIONS) -> list[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = [written(k, m, o) for k in kinds for m in modes for o in options]
    return sorted({file for file in files if file})


READ = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
OTHERS = sorted({*Image.SAVE} - {*READ})  # as EPS, which is a program, under another's name
FILES = {kind: all_written([kind]) for kind in READ}
FILES |= {kind: found for kind in OTHERS if (found := all_written([kind], options=({},)))}
MARKS = [
    *(b"\x89PNG\r\n\x1a\n", b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT", b"iCCP"),
    *(
        b"zTXt",
        b"iTXt",
        b"eXIf",
        b"\xff\xd8\xff",
        b"\xff\xe1",
        b"Exif\0\0",
        b"\xff\xc0",
        b"\xff\xc4",
    ),
    *(b"\xff\xdb", b"\xff\xda", b"GIF89a", b"\x21\xf9\x04", b"\x21\xff\x0bNETSCAPE2.0", b"\x2c"),
    *(
        b"BM",
        b"RIFF",
        b"WEBPVP8X",
        b"VP8L",
        b"ALPH",
        b"ANMF",
        b"II*\0",
        b"P5",
        b"\xff" * 4,
        bytes(8),
    ),
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
]


def with_right_sums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they now hold."""
    mended, place = content[:8], 8
    while place + 8 <= len(content):
        size = min(struct.unpack(">I", content[place : place + 4])[0], len(content) - place - 8)
        chunk = content[place + 4 : place + 8 + size]
        mended += content[place : place + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        place += size + 12
    return mended


@fuzzed
@given(data=st.data())
def test_a_changed_image(target, data):
    kind = data.draw(st.sampled_from([*FILES, "PNG"]))
    content = data.draw(mutated(FILES[kind], MARKS))
    if kind == "PNG" and data.draw(st.booleans()):
        content = with_right_sums(content)
    file = target / f"x{data.draw(st.sampled_from(READABLE))}"
    channels, fit = data.draw(st.sampled_from((1, 3))), data.draw(st.sampled_from(FITS))

    def read():
        file.write_bytes(content)
        assert read_image(file, 8, channels, fit).shape == (channels, 8, 8)

    judged(read, target)


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, images=IMAGES)
    return file.getvalue()


IMAGES = (np.arange(6 * 64) % 256).astype("u1").reshape(6, 1, 8, 8)
ARRAYS = [npy(IMAGES), npy(IMAGES, version=(2, 0)), npy(IMAGES, version=(3, 0)), npz()]
ARRAYS += [npy(np.zeros((2, 2), dtype)) for dtype in ("f8", "U3", "?", [("a", "u1")])]
ARRAYS += [npy(np.array([[{}]], object), allow_pickle=True), npy(np.zeros((6, 3, 8, 8), "u1"))]
INDICES = [f"{HEADER}\na\t0\t3\nb/c\t3\t3\n".encode(), f"{HEADER}\nx\t0\t6\n".encode()]
OF_ARRAYS = [
    *(b"'descr'", b"'|O'", b"'|u1'", b"'>i4'", b"(6, 1, 8, 8)", b"(6L, 1, 8, 8)", b"True", b"("),
    *(b"(" * 300, b"{", b"}", b"-1", b"9" * 25, b"'", b"\n", b"PK\x03\x04", b"\x93NUMPY\x04\0"),
]
OF_INDICES = [b"\t", b"\n", b"\r", b"\xc2\x85", b"9" * 25, b"-1", b"0", b"1_0", "٣".encode(), b"\0"]
OF_INDICES += [b"a", b"4611686018427387904", b"-9223372036854775808", b"\xff", b"9" * 5000]


@fuzzed
@given(data=st.data())
def test_a_changed_packed_form(target, data):
    array, index = ARRAYS[0], INDICES[0]
    which = data.draw(st.integers(0, 3))
    if which != 1:
        array = data.draw(mutated(ARRAYS, OF_ARRAYS))
    if which != 0:
        index = data.draw(mutated(INDICES, OF_INDICES))
    side, channels = data.draw(st.sampled_from((8, 5))), data.draw(st.sampled_from((1, 3)))

    def read():
        for name, content in ((ARRAY, array), (INDEX, index)):
            Path(target / name).unlink(missing_ok=True)
            (target / name).write_bytes(content)
        classes = load_image_classes(target, side, channels)
        assert sum(map(classes.count, range(len(classes)))) == len(classes.images)
        assert len({*classes.names}) == len(classes) and min(classes.counts().values()) > 0
        check_enough(classes, target, 1, 1, 1)
        draw_episode(classes, np.random.default_rng(0), 1, 1, 1)

    judged(read, target)
