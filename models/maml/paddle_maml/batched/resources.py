"""What the tasks computed together may take of the machine."""

from __future__ import annotations

import os
from functools import cache

GPU = 2**31  # bytes; never tried
CORE = 2**29  # bytes for each core of the CPU; more was not faster


def memory(place) -> int:
    """Bytes for the arrays; on the CPU not more than an eighth of the machine's memory.

    Always the same on a machine: rounding depends on how many tasks are summed at once.
    """
    return GPU if place.is_gpu_place() else min(CORE * cores(), _whole() // 8)


def cores() -> int:
    """This process's share of the processor cores that it may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, allowed // int(os.environ.get("PADDLE_TRAINERS_NUM", 1)))


@cache
def _whole() -> int:
    """Bytes of memory in the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no POSIX system
        return 8 * CORE
