"""One training at a time in a directory."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from pathlib import Path

from utils.errors import UserError, writing

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, where two trainings are not kept apart
    fcntl = None

LOCK = ".lock"


@contextmanager
def locked(directory: Path):
    """Keep other processes from training in `directory`.

    The system gives the lock back when the process ends, however it ends. The lock is of this
    process alone: its children, who may live a little longer, do not hold it (as with `flock`).

    Raises
    ------
    UserError
        If another process has the lock; it is named.
    """
    with writing(directory):
        file = open(directory / LOCK, "a+", encoding="utf-8")
    with file:
        try:
            if fcntl:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # POSIX leaves open which of them
            file.seek(0)
            raise UserError(
                f"process {file.read().strip()} is training in {directory}: wait for its end, end "
                "it, or name another directory with runner.model_save_path."
            ) from error
        except OSError:  # a file system without locks
            pass
        with writing(directory):
            file.truncate(0)
            file.write(f"{os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        yield
