"""Mistakes that a user can put right end a tool with one sentence and exit code 2."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from pathlib import Path

NOT_HERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REMEDIES = {
    **dict.fromkeys(FULL, "make room there"),
    **dict.fromkeys(NOT_HERE, "name another directory"),
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
}
# What draws the plots, and what is said where it is missing.
PLOTS = (
    "matplotlib",
    'there is no matplotlib here, which draws the plots: pip install -e ".[report]".',
)


class UserError(Exception):
    """The message says in one printable line what is wrong, where, and what to do."""

    exit_code = 2

    def __init__(self, message: str):
        message = " ".join(line.strip() for line in message.splitlines())
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


class Stopped(BaseException):
    """The process was told to end, and did; nothing but `run` catches it."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + number  # as of a process that a signal ended


@contextmanager
def writing(target, then: str = ""):
    """Say in one sentence that `target` cannot be written, and `then` what is left to do."""
    try:
        yield
    except OSError as error:
        raise _unwritable(target, error, then) from error


def _unwritable(target, error: OSError, then: str = "") -> UserError:
    remedy = REMEDIES.get(error.errno, "look after the disk")
    return UserError(f"cannot write to {target} ({error.strerror or error}): {remedy}{then}.")


@contextmanager
def needing(package: str, sentence: str):
    """Say `sentence` where the package, which is an extra, is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UserError(sentence) from error


def run(main) -> None:
    """Run a tool's `main` and leave the process as a command should.

    Model directories may raise errors of their own: whatever carries an `exit_code` is a user's
    mistake, shown without a traceback.
    """
    name = Path(sys.argv[0]).name
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files may be any bytes
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # as of `| head`
        _write_no_more()
        sys.exit(141)
    except (Exception, Stopped) as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
            _write_no_more()
            error = _unwritable("standard output", error)
        if not hasattr(error, "exit_code"):
            raise error
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _write_no_more():
    """Let go what is left to print, which would fail again at the process's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
