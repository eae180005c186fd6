"""Workers that take their meta-steps in turn."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from job import Job
from team import Failed, Team

WORKER = Path(__file__).with_name("worker.py")
REST = 0.3  # seconds before each step: threads of the last worker that spin for work have given up
FIGURES = "median_ms", "min_ms", "max_ms", "peak_mib", "idle_cpu_ms"
# glibc is to keep freed memory: otherwise every large tensor pays for fresh pages.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


@dataclass(frozen=True)
class Peer:
    """How a worker is run."""

    environment: str | None  # its directory in that of environments.sh; None: this interpreter's
    per_core: bool  # a process per core, which share the tasks; else one with a thread per core


PEERS = {
    "project": Peer(None, per_core=False),
    "torch_loop": Peer("torch", per_core=True),
    "torch_func": Peer("torch", per_core=True),
    "torch_compile": Peer("torch", per_core=True),
    "learn2learn": Peer("learn2learn", per_core=True),
    "jax": Peer("jax", per_core=False),
    "paddlerec": Peer(None, per_core=False),
}


def start(name: str, job: Job, environments: Path, limit: float) -> Team:
    """The worker `name`, ready for its first command; raises `Failed` with the reason if not."""
    peer = PEERS[name]
    python = environments / peer.environment / "bin/python" if peer.environment else sys.executable
    if not os.path.exists(python):
        raise Failed(f"no {python}: make it with benchmarks/environments.sh {environments}")
    if name == "paddlerec" and not job.checkout:
        raise Failed("no checkout of PaddleRec: name one with --paddlerec")
    cores = len(os.sched_getaffinity(0))
    fitting = (n for n in range(1, cores + 1) if job.setting.tasks % n == 0)
    processes = max(fitting) if peer.per_core else 1
    job = replace(job, processes=processes, threads=cores // processes)
    variables = KEEP_MEMORY if peer.environment else {}
    team = Team([str(python), str(WORKER), name], job, variables, limit)
    team.answers()
    return team


def compare(names: list[str], start: Callable[[str], Team], rounds: int) -> list[dict]:
    """Time meta-steps of the workers in turn, A B C A B C, and return a row for each.

    All workers are alive together unless memory is short: then group after group, each beside the
    project if that is among `names`. `relative` is a worker's median over the project's in the same
    rounds.
    """
    waiting, samples, reasons, base = list(names), {}, {}, {}
    while waiting:
        teams = start_some(waiting, start, reasons)
        group = take_turns(teams, rounds, reasons)
        waiting = [name for name in waiting if name not in reasons and name not in group]
        for name, found in group.items():
            samples[name] = samples.get(name, []) + found
            base[name] = group.get("project")
        if waiting and "project" in group:
            waiting = ["project", *waiting]
    return [
        {"who": name, **dict.fromkeys(FIGURES), "reason": reasons[name]}
        if name in reasons
        else row(name, samples[name], base[name])
        for name in names
    ]


def start_some(names, start, reasons) -> dict[str, Team]:
    """Start workers as long as there is memory; the reasons of those that fail go to `reasons`."""
    teams = {}
    for name in names:
        if teams.keys() - {"project"} and memory_is_short():
            progress("memory is short: the others will run in another group")
            break
        progress(f"starting {name}")
        try:
            teams[name] = start(name)
        except Failed as error:
            reasons[name] = str(error)
    return teams


def take_turns(teams, rounds, reasons) -> dict[str, list[dict]]:
    """`rounds` meta-steps of each team; the samples of those that finish."""
    samples = {name: [] for name in teams}
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}: {', '.join(samples)}")
        for name in list(samples):
            time.sleep(REST)
            try:
                samples[name].append(merged(teams[name].ask("step")))
            except Failed as error:
                reasons[name] = str(error)
                del samples[name]
    for team in teams.values():
        team.close()
    return samples


def merged(answers: list[dict]) -> dict:
    """The answers of a worker's processes as one: the slowest's time, the memory of all."""
    return {
        "ms": max(answer["ms"] for answer in answers),
        "idle_cpu_ms": sum(answer["idle_cpu_ms"] for answer in answers),
        "peak_mib": sum(answer["peak_mib"] for answer in answers),
    }


def row(name: str, samples: list[dict], base: list[dict] | None) -> dict:
    """Median, spread and memory of a worker that finished."""
    times = [sample["ms"] for sample in samples]
    median = statistics.median(times)
    relative = {"relative": median / statistics.median(s["ms"] for s in base)} if base else {}
    return {
        "who": name,
        "median_ms": median,
        "min_ms": min(times),
        "max_ms": max(times),
        "peak_mib": max(sample["peak_mib"] for sample in samples),
        "idle_cpu_ms": statistics.median(sample["idle_cpu_ms"] for sample in samples),
        **relative,
    }


def memory_is_short() -> bool:
    """Whether less than half of the memory is available."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    kibibytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kibibytes["MemAvailable"] < kibibytes["MemTotal"] / 2


def progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
