"""Pickles from elsewhere, read without executing anything that they say.

A pickle is a program: it may name any function to call. Here it may name what numpy arrays,
numbers and containers are made of, nothing else, and even these are not called: stand-ins with the
same arguments are, which check them. numpy's own would take a forged dtype for true and follow its
pointers.
"""

from __future__ import annotations

import pickle
import pickletools
import re
from collections import OrderedDict
from typing import BinaryIO

import numpy as np

PLAIN = re.compile(r"\??|[biufcSU]\d+")  # dtypes without pointers: no objects, no structures

SCALARS = (str, bytes, bytearray, int, float, complex, np.generic, type(None))


class Unsafe(pickle.UnpicklingError):
    """A pickle holds something else than arrays, numbers, text and containers of them."""


def load(stream: BinaryIO, encoding: str = "latin1"):
    """Unpickle numpy arrays, numbers and text in dicts, lists and tuples.

    Parameters
    ----------
    stream : binary file, open and seekable
        Holds a pickle of any protocol, written by Python 2 or 3 and any numpy.
    encoding : str
        What Python 2's text, which may as well be bytes, is decoded from; "bytes": it stays bytes.

    Returns
    -------
    object
        What was pickled.

    Raises
    ------
    Unsafe
        If the pickle names anything else.
    pickle.UnpicklingError
        If it is no whole pickle.

    Examples
    --------
    >>> import io
    >>> load(io.BytesIO(pickle.dumps({"weight": np.float32([1, 2]), "steps": 3})))
    {'weight': array([1., 2.], dtype=float32), 'steps': 3}
    >>> load(io.BytesIO(pickle.dumps(print)))
    Traceback (most recent call last):
    ...
    utils.safe_pickle.Unsafe: it asks for builtins.print, which is no array and no container
    """
    try:
        for opcode, argument, place in pickletools.genops(stream):
            # The unpickler makes room for as many as the index says.
            if opcode.name.endswith("PUT") and argument > place:
                raise Unsafe(f"it has no {argument} objects, but numbers one so")
        stream.seek(0)
        return _plain(_Unpickler(stream, encoding=encoding).load(), {})
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # whatever a stand-in or the unpickler met with
        raise pickle.UnpicklingError(f"it is no whole pickle ({error})") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return _STAND_INS[module.replace("._core", ".core"), name]
        except KeyError:
            message = f"it asks for {module}.{name}, which is no array and no container"
            raise Unsafe(message) from None


class _DType:
    """Stands in for numpy.dtype; `dtype` is the true one."""

    __slots__ = ("dtype",)

    def __init__(self, code, align=False, copy=False):
        code = _text(code)
        if not PLAIN.fullmatch(code):
            raise Unsafe(f"it has an array of dtype {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state):
        _, order, base, names, fields, *_ = state
        if (base, names, fields) != (None, None, None):
            raise Unsafe("it has an array of a structured dtype")
        self.dtype = self.dtype.newbyteorder(_text(order))


class _Array(np.ndarray):
    """Stands in for the arrays that are being made."""

    def __setstate__(self, state):
        _, shape, dtype, fortran_order, data = state
        super().__setstate__((1, shape, _true(dtype), bool(fortran_order), _bytes(data)))


def _reconstruct(kind, shape, code):
    return _Array((0,), np.int8)


def _scalar(dtype, data):
    return np.frombuffer(_bytes(data), _true(dtype), 1)[0]


def _from_buffer(buffer, dtype, shape, order):  # protocol 5
    return np.frombuffer(_bytes(buffer), _true(dtype)).reshape(shape, order=order)


def _encode(text, encoding):  # bytes in protocol 2
    return text.encode({"latin1": "latin1", "latin-1": "latin1"}[encoding])


def _no_bytes():  # b"" in protocol 2
    return b""


def _true(dtype):
    if not isinstance(dtype, _DType):
        raise Unsafe("it has an array without a dtype")
    return dtype.dtype


def _text(value) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value  # of Python 2


def _bytes(data):
    if isinstance(data, str):  # of Python 2
        return data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise Unsafe("it has an array without data")
    return data


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): "numpy.ndarray",  # an argument, which cannot be called
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
    ("__builtin__", "bytes"): _no_bytes,
}


def _plain(value, done: dict):
    """`value` with ordinary arrays; `done` holds by identity what has been seen before."""
    if id(value) not in done:
        plain = value
        if isinstance(value, np.ndarray):
            plain = value.view(np.ndarray)
        elif isinstance(value, dict):
            parts = dict.items(value)  # an attribute may hide a method
            plain = type(value)((_plain(key, done), _plain(part, done)) for key, part in parts)
        elif isinstance(value, (list, tuple)):
            plain = type(value)(_plain(part, done) for part in value)
        elif not isinstance(value, SCALARS):
            raise Unsafe(f"it holds a {type(value).__name__}")
        done[id(value)] = plain
    return done[id(value)]
