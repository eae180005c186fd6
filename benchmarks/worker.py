"""One process of a worker: python worker.py PEER JOB, then a command per line on stdin.

`step` does a meta-step and `gradient FILE` writes the meta-gradient of one as .npz. Each command,
and the start, is answered with a line of JSON on stdout. Between commands the process waits for
its stdin.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
from job import Job, Setting, problem

WARM_UP = 2  # meta-steps before the first that counts: compilation, memory


def main():
    fields = json.loads(sys.argv[2])
    job = Job(**fields | {"setting": Setting(**fields["setting"])})
    with contextlib.suppress(OSError):  # if memory runs out, this is what has to go
        Path("/proc/self/oom_score_adj").write_text("1000")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print what they like
    peer = importlib.import_module(f"peers.{sys.argv[1]}")
    step = peer.build(job, *problem(job))
    if not job.given:
        for _ in range(WARM_UP):
            step()
    answer, rested = {}, time.process_time()
    while True:
        print(json.dumps(answer | {"peak_mib": peak_mib()}), file=answers)
        command, _, file = sys.stdin.readline().strip().partition(" ")
        if command == "step":
            answer, rested = timed(step, rested)
        elif command == "gradient":
            gradients = peer.canonical(step())
            if job.rank == 0:
                np.savez(file, *gradients)
        else:
            return


def timed(step, rested: float) -> tuple[dict, float]:
    """Do a meta-step; `idle_cpu_ms` is what threads have burnt since the last one ended."""
    idle, started = time.process_time() - rested, time.perf_counter()
    step()
    milliseconds = 1000 * (time.perf_counter() - started)
    return {"ms": milliseconds, "idle_cpu_ms": 1000 * idle}, time.process_time()


def peak_mib() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
