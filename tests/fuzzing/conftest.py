"""How many inputs, and how many there were.

PADDLE_MAML_INPUTS=1000 sets the number per test, other ones every time or, with pytest's option
--hypothesis-seed, as that seed has them. Without it there are few, and always the same.
"""

from __future__ import annotations

import os

import pytest
from fuzzing import guard
from hypothesis import HealthCheck, settings

FEW = 100
INPUTS = "PADDLE_MAML_INPUTS"

fuzzed = settings(
    max_examples=int(os.environ.get(INPUTS, FEW)),
    derandomize=INPUTS not in os.environ,
    deadline=None,  # the guard has one that a busy machine keeps, too
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def target(tmp_path, monkeypatch):
    """The directory in which alone something may change; it has neighbours."""
    for name in ("target", "neighbour", "here"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("as it was")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "target"


def pytest_terminal_summary(terminalreporter):
    for test in sorted({test for test, _ in guard.inputs}):
        taken, refused = (guard.inputs[test, verdict] for verdict in ("taken", "refused"))
        terminalreporter.write_line(f"{test}: {taken + refused} inputs, {refused} refused")
