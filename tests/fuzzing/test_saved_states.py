"""What a training has saved: checkpoints, and parameters in other files."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import shutil
import struct
from collections import OrderedDict

import numpy as np
import paddle
import pytest
from fuzzing.conftest import fuzzed
from fuzzing.guard import judged
from fuzzing.mutations import TEXTS, altered, mutated
from hypothesis import given
from hypothesis import strategies as st
from utils import checkpoint, randomness, safe_pickle, tensors
from utils.checkpoint import OPTIMIZER, PARAMETERS, TRAINING, VALIDATION, Position
from utils.errors import UserError
from utils.intact import SUMS

safetensors = pytest.importorskip("safetensors.numpy")

CALLS = [b"cos\nsystem\n", b"cbuiltins\neval\n", b"cnumpy\nfromfile\n", b"c_codecs\nencode\n"]
CALLS += [b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\nscalar\n"]
CALLS += [b"cnumpy.core.multiarray\n_reconstruct\n", b"ccollections\nOrderedDict\n"]
OPCODES = [
    bytes([code]) for code in b"().0BCFGHIJKLMNPQRSTUVXYabcdefghijlopqrstu]}\x80\x81\x82\x83"
]
OPCODES += [bytes([code]) for code in range(0x84, 0x99)]
OPCODES += [
    b"V/tmp/x\n",
    b"S'echo'\n",
    b"(V/bin/true\ntR",
    b"I9999999999\n",
    b"L99\n",
    b"p0\n",
    b"g0\n",
]
OPCODES += [
    b"\x8a\x09" + b"\xff" * 9,
    b"r" + b"\xff" * 4,
    b"\x8d" + b"\xff" * 8,
    b"Vf8\n",
    b"VO8\n",
]
ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "text": np.array(["a", "bcd"]),
    "scalar": np.float64(0.1),
    "others": OrderedDict(a=[1, 2.5, "x", None, True, b"\xff\x00", 2**80], b=({}, (1,))),
}
PICKLES = [pickle.dumps(ARRAYS, protocol) for protocol in range(6)]


@fuzzed
@given(written=mutated(PICKLES, [*CALLS, *OPCODES]))
def test_a_changed_pickle(target, written):
    def load():
        try:
            check_plain(safe_pickle.load(io.BytesIO(written)))
        except pickle.UnpicklingError as error:
            raise UserError(str(error)) from error

    judged(load, target)


def check_plain(value) -> None:
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, (list, tuple)):
        for part in value:
            check_plain(part)
    elif isinstance(value, np.ndarray):
        assert type(value) is np.ndarray and not value.dtype.hasobject
        value.copy()
    else:
        assert isinstance(value, safe_pickle.SCALARS), type(value)


# Parameters, and what an optimizer keeps for them, have names that are counted from 0.
as_in_a_new_process = paddle.utils.unique_name.guard


class Training:
    """A small one, with batch norm and a learning rate that is scheduled."""

    def __init__(self):
        self.net = paddle.nn.Sequential(paddle.nn.Linear(2, 3), paddle.nn.BatchNorm1D(3))
        rate = paddle.optimizer.lr.ExponentialDecay(0.1, 0.9)
        self.optimizer = paddle.optimizer.Adam(rate, parameters=self.net.parameters())

    def step(self):
        self.net(
            paddle.rand([4, 2]) + np.float32(random.random() + np.random.rand())
        ).sum().backward()
        self.optimizer.step()
        self.optimizer.clear_grad()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two epochs of checkpoints."""
    output = tmp_path_factory.mktemp("saved")
    with as_in_a_new_process():
        training = Training()
        for epoch in range(2):
            training.step()
            end, metrics = Position(epoch + 1, 0, epoch + 1), {"acc": 0.5 + epoch}
            state = randomness.host_state()
            checkpoint.save(output, end, training.net, training.optimizer, state, metrics)
    return output


@pytest.fixture
def use(saved, target):
    """use(spoil): spoil a copy of the checkpoints, go on from them as the tools do, and train."""

    def go_on():
        with as_in_a_new_process():
            training = Training()
            checkpoint.load(checkpoint.best_or_last(output), training.net)
            position = checkpoint.resume(output, training.net, training.optimizer)
            checkpoint.tidy(output)
            checkpoint.mark_best(output)
            checkpoint.prune(output, 1)
            training.step()
            state = randomness.host_state()
            position = position._replace(batch=position.batch + 1)
            checkpoint.save(output, position, training.net, training.optimizer, state)

    def run(spoil):
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(saved, output)
        spoil(output)
        return judged(go_on, target)

    output = target / "output"
    shutil.copytree(saved, output)
    go_on()  # whatever is imported when it is needed is imported by now
    return run


def replaced(name: str, content: bytes, sums: str = "right"):
    """Replace a file of the newest checkpoint; its checksum is then right, wrong or missing."""

    def spoil(output):
        (output / "1" / name).write_bytes(content)
        if sums == "missing":
            (output / "1" / SUMS).unlink(missing_ok=True)
        elif sums == "right" and name != SUMS:
            lines = (output / "1" / SUMS).read_text().splitlines()
            lines = [line for line in lines if not line.endswith(f"  {name}")]
            lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}")
            (output / "1" / SUMS).write_text("".join(f"{line}\n" for line in lines))

    return spoil


def as_json(tree) -> bytes:
    return json.dumps(tree, default=str, skipkeys=True).encode()


def test_a_whole_checkpoint_is_taken(use):
    assert use(lambda output: None) == "taken"


@fuzzed
@given(data=st.data())
def test_a_changed_file(use, saved, data):
    name = data.draw(st.sampled_from((PARAMETERS, OPTIMIZER, TRAINING, VALIDATION, SUMS)))
    wholes = [(saved / epoch / name).read_bytes() for epoch in "10"]
    content = data.draw(
        mutated(wholes, [*CALLS, *OPCODES, b"[", b"{", b'"', b"1e999", b"9" * 5000])
    )
    use(replaced(name, content, data.draw(st.sampled_from(("right", "right", "wrong", "missing")))))


@fuzzed
@given(data=st.data())
def test_changed_values(use, saved, data):
    name = data.draw(st.sampled_from((TRAINING, TRAINING, VALIDATION)))
    tree = data.draw(altered(json.loads((saved / "1" / name).read_text())))
    use(replaced(name, as_json(tree)))


@fuzzed
@given(data=st.data())
def test_a_changed_state(use, saved, data):
    name = data.draw(st.sampled_from((PARAMETERS, OPTIMIZER)))
    with open(saved / "1" / name, "rb") as file:
        tree = data.draw(altered(safe_pickle.load(file), odd_arrays()))
    use(replaced(name, pickle.dumps(tree, 4)))


def odd_arrays() -> st.SearchStrategy:
    shapes = st.sampled_from([(), (0,), (1,), (3,), (2, 3), (3, 2), (1, 1, 1)])
    types = st.sampled_from(["f4", "f8", "f2", "i8", "u8", "?", "c8", "S3", "U2", ">f4"])
    made = st.builds(np.zeros, shapes, types)
    return made | st.tuples(st.sampled_from(TEXTS), made) | st.sampled_from([None, "", 1, -1.5, []])


@fuzzed
@given(
    name=st.sampled_from([*TEXTS, "00", "1-2", "0-1-2", "1-", "9" * 99, "٣-٤", "best", "9-²"]),
    kind=st.integers(0, 2),
)
def test_something_else_beside_them(use, name, kind):
    def spoil(output):
        try:
            if kind == 0:
                (output / name).mkdir()
            elif kind == 1:
                (output / name).touch()
            else:
                (output / name).symlink_to("nowhere")
        except (OSError, ValueError):
            pass

    use(spoil)


@fuzzed
@given(data=st.data())
def test_a_changed_safetensors_file(target, data):
    net = paddle.nn.Sequential(paddle.nn.Linear(2, 3), paddle.nn.BatchNorm1D(3))
    whole = safetensors.save({name: value.numpy() for name, value in net.state_dict().items()})
    size = struct.unpack("<Q", whole[:8])[0]
    header, values = whole[8 : 8 + size], whole[8 + size :]
    if data.draw(st.booleans()):
        header = as_json(data.draw(altered(json.loads(header))))
        content = struct.pack("<Q", len(header)) + header + values
    else:
        content = data.draw(mutated([whole], [b'"F64"', b'"BF16"', b"[", b"]", b"{", b"9" * 20]))
    file = target / "x.safetensors"

    def load():
        file.write_bytes(content)
        checkpoint.load(file, net)
        tensors.write(file, net)

    judged(load, target)
