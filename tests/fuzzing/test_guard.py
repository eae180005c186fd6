"""The guard notices what it is there for."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys

import pytest
from fuzzing import guard
from fuzzing.guard import Hang, Harm, judged
from utils.errors import UserError

HARMFUL = {
    "a command": lambda: os.system("true"),
    "a process": lambda: subprocess.run(["true"], check=False),
    "a connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "code from text": lambda: eval("1 + 1"),
    "a library": lambda: ctypes.CDLL("libc.so.6"),
    "a file elsewhere": lambda: open("../neighbour/new", "w"),
    "another one changed": lambda: open("../neighbour/file", "a"),
    "one removed": lambda: os.remove("../neighbour/file"),
    "one moved out": lambda: os.rename("../target/file", "out"),
    "a link": lambda: os.symlink("file", "link"),
    "a directory": lambda: os.makedirs("a/b"),
    "all removed": lambda: shutil.rmtree("../neighbour"),
    "by a path that leads out": lambda: open("../target/../neighbour/new", "w"),
}


@pytest.mark.parametrize("harm", HARMFUL.values(), ids=HARMFUL)
@pytest.mark.parametrize("hidden", [False, True])
def test_harm_is_prevented_and_told_of(target, harm, hidden):
    def call():
        with contextlib.suppress(Exception, Harm) if hidden else contextlib.nullcontext():
            harm()

    with pytest.raises(AssertionError if hidden else Harm):
        judged(call, target)
    assert sorted(path.name for path in target.parent.rglob("*")) == sorted(
        ["target", "neighbour", "here", "file", "file", "file"]
    )


def test_what_no_hook_sees_is_seen_afterwards(target):
    libc = ctypes.CDLL(None)
    with pytest.raises(AssertionError):
        judged(lambda: libc.mkdir(b"new", 0o700), target)


def test_a_new_package_is_noticed(target, monkeypatch):
    with pytest.raises(AssertionError):
        judged(lambda: monkeypatch.setitem(sys.modules, "strange", sys), target)


def test_neither_time_nor_memory_is_without_end(target, monkeypatch):
    def wait():
        while True:
            pass

    monkeypatch.setattr(guard, "SECONDS", 1)
    with pytest.raises(Hang):
        judged(wait, target)
    monkeypatch.setattr(guard, "MEMORY", 2**24)
    with pytest.raises(MemoryError):
        judged(lambda: bytearray(2**33), target)  # more than freed memory can serve


def test_input_is_taken_or_refused_in_a_line(target):
    def refuse(sentence):
        raise UserError(sentence)

    class Long(Exception):
        exit_code = 2

    def refuse_at_length():
        raise Long("one\ntwo")

    assert judged(lambda: (target / "new").write_text("x"), target) == "taken"
    assert judged(lambda: refuse("It is wrong."), target) == "refused"
    with pytest.raises(AssertionError, match="several lines"):
        judged(refuse_at_length, target)
    with pytest.raises(ZeroDivisionError):
        judged(lambda: 1 / 0, target)
