"""What code may do with an input from elsewhere: take it or refuse it in one line, no more."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

Image.init()  # imports all of Pillow's formats, as the first unknown file would

SECONDS = 60  # for one input, which takes some milliseconds; the machine may be busy
MEMORY = 2**31  # bytes for one input, which has some kilobytes

EXECUTING = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
EXECUTING += ("os.startfile", "subprocess.Popen", "pty.spawn", "ctypes.dlopen", "webbrowser.open")
CHANGING = {  # the arguments that are paths, and those that are their directory's descriptor
    "os.mkdir": [(0, 2)],
    "os.remove": [(0, 1)],
    "os.rmdir": [(0, 1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.link": [(1, 3)],
    "os.symlink": [(1, 2)],
    "os.truncate": [(0, None)],
    "os.chmod": [(0, 2)],
    "os.chown": [(0, 3)],
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

inputs = Counter()  # how many were taken and refused, by test


class Harm(BaseException):
    """Something was done that no input may bring about; nothing catches it on its way."""


class Hang(BaseException):
    """It takes too long."""


class _Watch:
    """Where changes are allowed, while watching, and what else happened."""

    directory: str | None = None
    harm: list[str] = []


def judged(call: Callable, directory: Path) -> str:
    """Let `call()` take or refuse an input, with its files in `directory`; says which it did.

    Everything else fails: another exception, a refusal of several lines, a change of a file outside
    of `directory` (of its neighbours it is looked at, too, which is what C++ code would do), the
    start of a process, a connection, the execution of code that is no file of an installed
    package, a new package, more than SECONDS and more than MEMORY.
    """
    with _watching(directory):
        try:
            call()
            verdict = "taken"
        except Exception as error:
            if getattr(error, "exit_code", None) != 2:
                raise
            assert len(str(error).splitlines()) == 1, f"a refusal of several lines: {error}"
            verdict = "refused"
    inputs[os.environ["PYTEST_CURRENT_TEST"].split(" ")[0], verdict] += 1
    return verdict


@contextmanager
def _watching(directory: Path):
    neighbours, packages = _listing(directory), _packages()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, _hang)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)  # out of C code
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, limits[1]))
    _Watch.harm, _Watch.directory = [], str(directory.resolve())
    try:
        yield
    finally:
        _Watch.directory = None
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, handler)
    assert not _Watch.harm
    assert _listing(directory) == neighbours
    assert _packages() == packages


def _hang(number, frame):
    raise Hang


def _listing(directory: Path) -> dict:
    """Everything beside `directory`."""
    found = {}
    for folder, folders, files in os.walk(directory.parent):
        if folder == str(directory.parent):
            folders.remove(directory.name)
        for name in (*folders, *files):
            status = os.lstat(os.path.join(folder, name))
            found[folder, name] = status.st_mode, status.st_size, status.st_mtime_ns
    return found


def _packages() -> set[str]:
    return {name.partition(".")[0] for name in sys.modules}


def _audit(event: str, arguments: tuple) -> None:
    if _Watch.directory is None:
        return
    harm = None
    if event in EXECUTING or event.startswith("socket."):
        harm = f"{event} {arguments}"
    elif event == "exec":
        harm = _foreign(arguments[0].co_filename)
    elif event == "open":
        path, _, flags = arguments
        harm = _outside(path) if flags & WRITING and not isinstance(path, int) else None
    elif event in CHANGING:
        places = CHANGING[event]
        found = (_outside(arguments[p], arguments[at] if at else -1) for p, at in places)
        harm = next(filter(None, found), None)
    if harm:
        _Watch.harm.append(f"{event}: {harm}")
        raise Harm(harm)


def _foreign(file: str) -> str | None:
    surroundings = os.path.dirname(_Watch.directory)
    known = os.path.isfile(file) and not os.path.realpath(file).startswith(surroundings)
    return None if known or file.startswith("<frozen ") else f"it executes {file}"


def _outside(path, descriptor: int = -1) -> str | None:
    if isinstance(path, int):
        return None
    base = os.getcwd() if descriptor in (-1, None) else os.readlink(f"/proc/self/fd/{descriptor}")
    whole = os.path.join(base, os.fsdecode(path))
    whole = os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))
    inside = whole.startswith(_Watch.directory + os.sep)
    inside |= whole in (_Watch.directory, os.devnull)
    return None if inside else f"it changes {whole}"


sys.addaudithook(_audit)
