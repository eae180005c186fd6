"""Pickles of plain containers and arrays of numbers, read without running what a pickle asks for.

A pickle may name any function of Python and have it called. Here it can name none but those that
numpy's arrays are pickled with, and stand-ins take their place, so that nothing of numpy's own is
called with what the file says either.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
from paddle_maml.errors import UserError


def load(file: Path):
    """Read a pickle of dicts, lists, tuples, strings, numbers and numpy arrays.

    Text that Python 2 wrote comes as bytes. An array is whatever `numpy.asarray` makes one of.

    Raises
    ------
    UserError
        If the pickle asks for anything else, or is damaged.
    """
    try:
        with open(file, "rb") as stream:
            return _Unpickler(stream, encoding="bytes").load()
    except _Refused as error:
        raise UserError(
            f"{file} asks for {error}, which no array of numbers needs: do not use this file, it "
            "may do harm where it is unpickled"
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to lead to
        raise UserError(f"cannot read the pickle {file} ({error}): get it again") from error


class _Refused(Exception):
    pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        # numpy 2 renamed numpy.core, and pickles carry either name.
        allowed = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if allowed is None:
            raise _Refused(f"{module}.{name}")
        return allowed

    def persistent_load(self, pid):
        raise _Refused("an object outside of it")


class _Dtype:
    """What `numpy.dtype` is pickled as: a kind such as "u1", and then a byte order."""

    def __init__(self, kind, align=False, copy=False):
        self.kind, self.order = _text(kind), "|"
        if not re.fullmatch("b1|[iuf][1248]", self.kind):
            raise _Refused(f"an array of {self.kind!r}")

    def __setstate__(self, state):
        self.order = _text(state[1])

    def array(self, data, shape, order):
        dtype = np.dtype(self.kind).newbyteorder(self.order)
        return np.frombuffer(data, dtype).reshape(shape, order=order)


class _Array:
    """What `numpy.ndarray` is pickled as: an empty one, and then its state."""

    def __setstate__(self, state):
        _, shape, dtype, by_columns, data = state
        self.array = dtype.array(data, shape, "F" if by_columns else "C")

    def __array__(self, dtype=None, copy=None):
        return self.array


def _reconstruct(kind, shape, code):
    return _Array()


def _frombuffer(data, dtype, shape, order):
    return dtype.array(data, shape, order)


def _scalar(dtype, data):
    return dtype.array(data, (), "C").item()


def _encode(text, encoding):
    return text.encode("latin1")  # how Python 3 writes bytes in protocol 2


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else value


_STAND_INS = {
    ("numpy", "ndarray"): "ndarray",  # named, never called
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
}
