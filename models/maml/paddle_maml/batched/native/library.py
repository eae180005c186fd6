"""The compiled kernels."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "kernels.cpp"
FLAGS = "-std=c++17 -O3 -march=native -fno-signed-zeros -fopenmp -fPIC -shared".split()
TYPES = {"float32": "float", "float64": "double"}
COMPILERS = "g++", "c++"
SECONDS = 300

logger = logging.getLogger(__name__)


def library(dtype: str) -> ctypes.CDLL | None:
    """The kernels for a type of numbers.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        There are none for others.

    Returns
    -------
    ctypes.CDLL, or None where there are none, which is logged once: no compiler, or one that fails;
    and if the environment variable PADDLE_MAML_KERNELS is "paddle".
    """
    if os.environ.get("PADDLE_MAML_KERNELS") == "paddle" or dtype not in TYPES:
        return None
    return _loaded(dtype)


@cache
def _loaded(dtype):
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        logger.warning("There is no g++: meta-steps run on Paddle's kernels, several times slower.")
        return None
    try:
        path = _compiled(compiler, TYPES[dtype])
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # damaged since it was made
            path.unlink()
            return ctypes.CDLL(str(_compiled(compiler, TYPES[dtype])))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # no home directory
        logger.warning(
            "Meta-steps run on Paddle's kernels, several times slower, for %s failed: %s",
            compiler,
            getattr(error, "stderr", None) or error,
        )
        return None


def _compiled(compiler: str, real: str) -> Path:
    """The shared library in the user's cache, made unless it is there.

    Its name is made of all that it depends on: a home directory may be shared by unlike machines.
    """
    version = subprocess.run([compiler, "--version"], capture_output=True, timeout=SECONDS).stdout
    sources = [path.read_bytes() for path in sorted([*HERE.glob("*.h"), SOURCE])]
    parts = [*sources, version, _processor(), " ".join(FLAGS).encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    path = directory() / f"kernels-{real}-{digest}.so"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        command = [compiler, *FLAGS, f"-DREAL={real}", str(SOURCE), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
        with open(made, "rb") as library:
            os.fsync(library.fileno())  # half of one would end the process that loads it
        os.replace(made, path)  # whole at once: several processes may compile it
    return path


def directory() -> Path:
    """Where the compiled kernels are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paddle_maml"


def _processor() -> bytes:
    """What -march=native goes by."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().split(b"\n")
    except OSError:
        return platform.processor().encode()
    return b"\n".join(sorted({x for x in lines if x.startswith((b"model name", b"flags"))}))
