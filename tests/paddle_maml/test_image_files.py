"""Image files and their pixels."""

from __future__ import annotations

import io
import subprocess

import numpy as np
import pytest
from paddle_maml.image_files import BrokenImage, class_files, read_image, to_uint8
from PIL import EpsImagePlugin, Image
from trees import drawing


def test_one_bit_images_are_made_grey_before_they_are_resized():
    pixels = to_uint8(drawing(0), 28, 1)
    assert pixels.shape == (1, 28, 28) and pixels.dtype == np.uint8
    assert len(np.unique(pixels)) > 2


def test_colour_keeps_its_channels():
    image = Image.new("RGB", (40, 30), (10, 20, 30))
    pixels = to_uint8(image, 8, 3)
    assert pixels.shape == (3, 8, 8)
    assert [np.unique(c).tolist() for c in pixels] == [[10], [20], [30]]


def encoded(image: Image.Image, suffix: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, Image.registered_extensions()[suffix], **options)
    return stream.getvalue()


def read(directory, content: bytes, suffix=".png", side=4, channels=1, fit="stretch"):
    file = directory / f"image{suffix}"
    file.write_bytes(content)
    return read_image(file, side, channels, fit)


# The EXIF standard's table: row 0 and column 0 of what is stored are these sides of what is seen.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_photograph_is_turned_as_its_camera_was_held(tmp_path, orientation, suffix):
    seen = np.zeros((16, 16), np.uint8)
    seen[:8, :8], seen[8:, :8] = 250, 120
    distance = dict(zip(SIDES[orientation], np.indices(seen.shape)))
    y = distance["top"] if "top" in distance else 15 - distance["bottom"]
    x = distance["left"] if "left" in distance else 15 - distance["right"]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} | ({"quality": 95} if suffix != ".png" else {})
    pixels = read(tmp_path, encoded(Image.fromarray(seen[y, x]), suffix, **options), suffix, 16)[0]
    assert np.abs(pixels[2:14:11, 2:14:11].astype(int) - [[250, 0], [120, 0]]).max() < 12


def test_damaged_exif_data_do_not_damage_the_image(tmp_path):
    image = Image.new("L", (16, 16), 100)
    content = encoded(image, ".jpg", exif=b"Exif\0\0no such thing")
    assert np.unique(read(tmp_path, content, ".jpg")).tolist() == [100]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, 4:] = 255
    image = Image.fromarray(np.stack([0 * alpha] * 3 + [alpha], -1))
    if mode == "P":
        content = encoded(Image.fromarray(alpha // 255).convert("P"), ".png", transparency=0)
        dark = 1  # the palette's second entry
    else:
        content, dark = encoded(image.convert(mode), ".png"), 0
    pixels = read(tmp_path, content, side=8)
    assert np.array_equal(pixels[0], np.where(alpha, dark, 255))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_brought_to_8(tmp_path, suffix):
    levels = np.repeat(np.arange(0, 65536, 4096, dtype=np.uint16)[None], 16, 0)
    content = encoded(Image.fromarray(levels), suffix)
    for channels in (1, 3):
        pixels = read(tmp_path, content, suffix, side=16, channels=channels)
        assert (pixels == np.arange(0, 256, 16)).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_stays_white_and_black_black(mode, channels):
    image = Image.fromarray(np.kron([[0, 255], [255, 0]], np.ones((8, 8))).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    elif mode == "CMYK":
        image = image.convert("RGB")
    pixels = to_uint8(image.convert(mode), 16, channels)
    assert pixels.shape == (channels, 16, 16)
    assert (pixels[:, 2, 2] <= 1).all() and (pixels[:, 2, 13] >= 254).all()


@pytest.mark.parametrize("size", [(60, 20), (20, 60)])
def test_a_crop_is_the_square_in_the_middle_and_a_stretch_is_all(size):
    x = np.linspace(0, 255, size[0])[None, :, None] * np.ones((size[1], 1, 3))
    image = Image.fromarray(x.astype(np.uint8))
    middle = image.crop((20, 0, 40, 20) if size[0] > size[1] else (0, 20, 20, 40))
    assert np.array_equal(to_uint8(image, 20, 3, "crop"), to_uint8(middle, 20, 3))
    assert to_uint8(image, 20, 3)[0, 0, -1] > 240


def test_a_square_is_the_same_cropped_or_stretched():
    image = drawing(3, "RGB")
    assert np.array_equal(to_uint8(image, 28, 3, "crop"), to_uint8(image, 28, 3))


def test_a_large_jpeg_is_near_what_its_whole_size_gives(tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    image = Image.fromarray(small).resize((1200, 1000), Image.Resampling.BICUBIC)
    content = encoded(image, ".jpg", quality=95)
    pixels = read(tmp_path, content, ".jpg", side=28, channels=3).astype(int)
    assert np.abs(pixels - to_uint8(Image.open(io.BytesIO(content)), 28, 3)).max() <= 3


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jpg", b"", r"the file is empty\): replace or remove it"),
        ("text.png", b"no image", r"no image of a format that is read\): replace or remove it"),
        (
            "phone.HEIC",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            r"format that is read\): convert it to JPEG",
        ),
    ],
)
def test_what_is_no_image_is_named_with_the_reason_and_what_to_do(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BrokenImage, match=f"cannot read the image .*{name} .*{reason}"):
        read_image(tmp_path / name, 28, 3)


def test_a_program_under_an_images_name_is_not_run(tmp_path, monkeypatch):
    """Pillow goes by the content, and has Ghostscript draw what is PostScript."""
    started = []
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # not known whether it is there
    monkeypatch.setattr(subprocess, "check_call", lambda *call, **_: started.append(call))
    content = encoded(Image.new("RGB", (9, 9)), ".eps")
    with pytest.raises(BrokenImage, match="image.png .no image of a format that is read"):
        read(tmp_path, content)
    assert not started


def test_photographs_of_phones_are_not_passed_over_in_silence(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("1.HEIC", "2.JPG", "3.Png", "notes.txt", "._2.JPG"):
        (tmp_path / "a" / name).touch()
    found = class_files(tmp_path)
    assert [file.name for file in found["a"]] == ["1.HEIC", "2.JPG", "3.Png"]


@pytest.mark.parametrize(
    ("link", "target"), [("root/a/up", "."), ("root/a/up", ".."), ("elsewhere/back", "linked")]
)
def test_a_link_to_a_directory_that_it_lies_in_is_not_followed(tmp_path, link, target):
    """Some forty times, as often as the system lets it, it would lead to the same classes."""
    tree, here = tmp_path / "tree", tmp_path / "here"
    root = tree / "root"
    for name in ("root/a", "root/b", "elsewhere/c"):
        (tree / name).mkdir(parents=True)
        (tree / name / "1.png").touch()
    (root / "linked").symlink_to(tree / "elsewhere")
    (tree / link).symlink_to(root / target)
    here.symlink_to(root)
    for directory in (root, here):
        assert list(class_files(directory)) == ["a", "b", "linked/c"]
