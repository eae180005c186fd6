"""Workers that are a few lines of Python, in real processes."""

from __future__ import annotations

import sys

import pytest
from job import Job, Setting
from team import Team

READY = """
import json, os, sys, time
job = json.loads(sys.argv[1])
def answer(ms=1.0):
    print(json.dumps({"ms": ms, "idle_cpu_ms": 2.0, "peak_mib": 3.0}), flush=True)
answer()
"""


@pytest.fixture
def team():
    """team(lines, processes=1, limit=60): a team that says it is ready and runs `lines`."""
    teams = []

    def start(lines: str, processes: int = 1, limit: float = 60) -> Team:
        command = [sys.executable, "-c", READY + lines]
        teams.append(Team(command, Job(Setting(), processes=processes), {}, limit))
        teams[-1].answers()
        return teams[-1]

    yield start
    for started in teams:
        started.close()
