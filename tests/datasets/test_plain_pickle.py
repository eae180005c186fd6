"""Pickles of arrays, as either Python wrote them, and pickles of anything else."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from dataset_scripts import script
from paddle_maml.errors import UserError


@pytest.fixture(scope="module")
def load():
    script("mini_imagenet/prepare.py")  # puts the module's package on the path
    from mini_imagenet.plain_pickle import load

    return load


@pytest.fixture
def loaded(load, tmp_path):
    """loaded(content): what is read of a file with that content."""

    def read(content: bytes):
        (tmp_path / "file.pkl").write_bytes(content)
        return load(tmp_path / "file.pkl")

    return read


ARRAYS = [
    np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(5, dtype=">i4"),
    np.array([True, False]),
]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_arrays_come_back_in_every_protocol(loaded, array, protocol):
    found = loaded(pickle.dumps({"a": [array, "text", (1, 2.5)]}, protocol))
    assert np.array_equal(np.asarray(found["a"][0]), array)
    assert np.asarray(found["a"][0]).dtype == array.dtype
    assert found["a"][1:] == ["text", (1, 2.5)]


@pytest.mark.parametrize("protocol", [2, 4])
def test_single_numbers_come_back(loaded, protocol):
    assert loaded(pickle.dumps([np.int64(7), np.float32(0.5)], protocol)) == [7, 0.5]


@pytest.mark.parametrize("core", [b"core", b"_core"])
def test_arrays_of_python_2_and_of_either_numpy(loaded, core):
    """Opcode by opcode what Python 2 writes: its text and an array's content are byte strings."""
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    content = (
        b"\x80\x02}U\x0aimage_datacnumpy." + core + b".multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02K\x03K\x04\x87cnumpy\ndtype\n"
        b"U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", array.size) + array.tobytes() + b"tbs."
    )
    found = loaded(content)
    assert list(found) == [b"image_data"]
    assert np.array_equal(np.asarray(found[b"image_data"]), array)


class Runs:
    """Unpickled, makes a directory."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_is_refused_by_name_and_never_run(loaded, tmp_path, protocol):
    target = str(tmp_path / "made")
    for call, name in [
        ((os.mkdir, (target,)), f"{os.mkdir.__module__}.mkdir"),
        ((eval, (f"__import__('os').mkdir({target!r})",)), r"(__builtin__|builtins).eval"),
        ((np.load, (target,)), "numpy.load"),
        ((Path, (target,)), r"pathlib\S*.Path"),
    ]:
        with pytest.raises(UserError, match=f"asks for {name}, which no array of numbers needs"):
            loaded(pickle.dumps({"image_data": Runs(*call)}, protocol))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("names", ["numpy\nndarray\n", "builtins\ngetattr\n"])
def test_a_named_stand_in_cannot_be_called_for_something_else(loaded, names):
    """numpy.ndarray itself, asked for an array of a terabyte."""
    with pytest.raises(UserError, match="file.pkl"):
        loaded(b"c" + names.encode() + b"(I1000000000000\nt\x85R.")


@pytest.mark.parametrize("dtype", ["O", "U4", "M8[s]", "V8"])
def test_arrays_of_anything_but_numbers_are_refused(loaded, dtype):
    with pytest.raises(UserError, match="asks for an array of"):
        loaded(pickle.dumps(np.zeros(2, dtype)))


def test_damaged_pickles_are_refused(loaded):
    whole = pickle.dumps({"image_data": ARRAYS[0]}, 4)
    for content in (b"", *(whole[:end] for end in range(1, len(whole), 7)), b"\x8e" + b"\xff" * 8):
        with pytest.raises(UserError, match="cannot read the pickle .*file.pkl"):
            loaded(content)
