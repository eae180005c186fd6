"""What the tasks computed together may take of the machine."""

from __future__ import annotations

import os

GPU = 2**31  # bytes; never tried
CORE = 2**29  # bytes for each core of the CPU; more was not faster


def memory(place) -> int:
    """Bytes for the arrays; on the CPU not more than a quarter of what the system has left."""
    if place.is_gpu_place():
        return GPU
    return min(CORE * cores(), _available() // 4)


def cores() -> int:
    """This process's share of the processor cores that it may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, allowed // int(os.environ.get("PADDLE_TRAINERS_NUM", 1)))


def _available() -> int:
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
        return 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError):  # not Linux
        return 4 * CORE
