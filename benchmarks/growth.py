"""How the time of a meta-step grows: python benchmarks/growth.py [--iters N]

From 5-way 1-shot with 15 queries, one inner step and 32 tasks, one thing changes at a time. The
steps of all settings are taken in turn; the table has the median of each.
"""

from __future__ import annotations

import argparse
import gc
import time
from dataclasses import replace
from statistics import median

from job import SETTINGS, Job, problem
from peers import project

BASE = SETTINGS["omniglot_5w1s_q15"]
CHANGES = {
    "tasks": (1, 2, 8, 32, 128),
    "way": (2, 5, 10, 20),
    "shot": (1, 5, 10),
    "query": (1, 5, 15, 30),
    "inner_steps": (0, 1, 2, 5, 10),
    "filters": (32, 64, 128),
    "order": (1, 2),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iters", type=int, default=5, help="meta-steps of each setting")
    rounds = parser.parse_args().iters
    print("| what | value | ms |\n|---|---|---|")
    for what, values in CHANGES.items():
        steps = {value: meta_step(**{what: value}) for value in values}
        times = {value: [] for value in values}
        for _ in range(rounds):
            for value, step in steps.items():
                times[value].append(milliseconds(step))
        for value in values:
            print(f"| {what} | {value} | {median(times[value]):.0f} |", flush=True)
        gc.collect()


def meta_step(**change):
    """The project's meta-step, warmed up, in the setting with this change."""
    job = Job(replace(BASE, **change))
    step = project.build(job, *problem(job))
    step()
    return step


def milliseconds(step) -> float:
    begin = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
