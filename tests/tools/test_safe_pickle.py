"""Pickles: what is read, from whichever Python and numpy, and that nothing is executed."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import paddle
import pytest
from utils import safe_pickle

GLOBAL = b"c%s\n%s\n"
ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "bool": np.array([True, False]),
    "uint8": np.zeros((2, 0, 3), np.uint8),
    "complex": np.array(1 + 2j),
    "text": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
}


def loads(written: bytes):
    return safe_pickle.load(io.BytesIO(written))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_numbers_and_containers_are_read_as_they_were(protocol):
    shared = [1, 2.5, "x", None, True, b"\xff\x00", 2**80]
    whole = {**ARRAYS, "list": shared, "tuple": (shared, {}), "scalar": np.float64(0.1)}
    whole["ordered"] = OrderedDict(b=1, a=2)
    written = pickle.dumps(whole, protocol)
    found, expected = loads(written), pickle.loads(written)
    assert list(found) == list(whole)
    for name in ARRAYS:
        assert type(found[name]) is np.ndarray and found[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(found[name], expected[name])
    assert found["list"] == shared and found["tuple"] == (shared, {})
    assert found["tuple"][0] is found["list"]
    assert found["scalar"] == 0.1 and isinstance(found["scalar"], np.float64)
    assert list(found["ordered"].items()) == [("b", 1), ("a", 2)]


@pytest.mark.parametrize("core", [b"core", b"_core"])
@pytest.mark.parametrize(("encoding", "key"), [("latin1", "key"), ("bytes", b"key")])
def test_an_array_of_python_2_is_read(core, encoding, key):
    """Opcode by opcode what Python 2 writes: its text and an array's content are byte strings."""
    written = (
        b"\x80\x02}U\x03keycnumpy." + core + b".multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x07\xfftbs."
    )
    found = safe_pickle.load(io.BytesIO(written), encoding)
    assert list(found) == [key] and found[key].dtype == np.uint8
    assert found[key].tolist() == [7, 255]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_paddle_writes_is_read_as_paddle_reads_it(protocol):
    net = paddle.nn.Sequential(paddle.nn.Linear(2, 3), paddle.nn.BatchNorm1D(3))
    rate = paddle.optimizer.lr.ExponentialDecay(np.float64(0.1), 0.5)
    optimizer = paddle.optimizer.Adam(rate, parameters=net.parameters())
    net(paddle.ones([4, 2])).sum().backward()
    optimizer.step()
    rate.step()
    for state in (net.state_dict(), optimizer.state_dict(), {"deep": [net.state_dict()]}):
        file = io.BytesIO()
        paddle.save(state, file, protocol)
        paddles = paddle.load(io.BytesIO(file.getvalue()), return_numpy=True, keep_name_table=True)
        compare(loads(file.getvalue()), paddles)


def compare(found, expected):
    """Paddle turns the pair (name, array) of a tensor that lies deep into the array."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            compare(found[key], expected[key])
    elif isinstance(expected, list):
        for pair in zip(found, expected):
            compare(*pair)
    else:
        found = found[1] if isinstance(found, tuple) else found
        np.testing.assert_array_equal(found, expected)


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.mkdir, eval, print, np.fromfile, pickle.loads, getattr])
def test_no_function_is_called(tmp_path, protocol, function):
    there = tmp_path / "there"
    argument = f"__import__('os').mkdir({str(there)!r})" if function is eval else str(there)
    written = pickle.dumps({"weight": np.ones(2), "x": Calls(function, argument)}, protocol)
    with pytest.raises(safe_pickle.Unsafe, match=function.__name__):
        loads(written)
    assert not there.exists()


def instance(module, name, state=b""):
    """A pickle that makes an object of a class without calling it, and sets its state."""
    return GLOBAL % (module, name) + b")\x81" + state + b"."


ENCODE = GLOBAL % (b"_codecs", b"encode")
DTYPE = GLOBAL % (b"numpy", b"dtype")
EMPTY = GLOBAL % (b"numpy.core.multiarray", b"_reconstruct") + b"(N(I0\ntVb\ntR"
FORGED = {
    "objects": pickle.dumps(np.array([object()])),
    "a structure": pickle.dumps(np.zeros(1, [("a", "f4"), ("b", "O")])),
    "an object dtype": DTYPE + b"(VO8\nI0\nI1\ntR.",
    "a dtype without its code": instance(b"numpy", b"dtype"),
    # dtype("V8").__setstate__ with flags that say that its bytes are objects' addresses
    "a dtype of addresses": DTYPE + b"(VV8\nI0\nI1\ntR(I3\nV|\nNNNI8\nI8\nI63\ntb.",
    "an array of addresses": EMPTY + b"(I1\n(I1\nt" + DTYPE + b"(VO8\ntRI00\nVaaaaaaaa\ntb.",
    "an array without memory": EMPTY + b"(I1\n(I99\nt" + DTYPE + b"(Vf8\ntRI00\nVa\ntb.",
    "an array by its constructor": GLOBAL % (b"numpy", b"ndarray") + b"((I9\ntVO\ntR.",
    "a zip bomb": ENCODE + b"(Va\nVzip\ntR.",
    "a class": GLOBAL % (b"collections", b"OrderedDict") + b".",
    "a method hidden": instance(b"collections", b"OrderedDict", b"}Vitems\n" + ENCODE + b"sb")[:-1]
    + ENCODE
    + b"\x86.",
    "a function's code": ENCODE + b"N}V__code__\nI1\ns\x86b.",
    "a persistent name": b"Pname\n.",
    "an extension": b"\x82\x01.",
    "a room for 4 billion": b"]r" + struct.pack("<I", 2**32 - 1) + b".",
    "a list in itself": b"](lp0\nh\x00a.",
    "nothing": b"",
    "no pickle": b"{}",
}


@pytest.mark.parametrize("written", FORGED.values(), ids=FORGED)
def test_a_forged_pickle_is_refused(written):
    with pytest.raises(pickle.UnpicklingError):
        loads(written)


def test_a_pickle_cut_short_anywhere_is_refused():
    whole = pickle.dumps(ARRAYS, 4)
    for end in range(len(whole)):
        with pytest.raises(pickle.UnpicklingError):
            loads(whole[:end])


def test_lists_that_hold_each_other_twice_stay_small():
    nested = [0]
    for _ in range(60):
        nested = [nested, nested]
    found = loads(pickle.dumps(nested))
    assert found[0] is found[1]
