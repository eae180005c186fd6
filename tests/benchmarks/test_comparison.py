"""benchmarks/comparison.py: turns, groups and rows."""

from __future__ import annotations

import comparison
import pytest
from comparison import compare, start
from job import Job, Setting
from team import Failed

STEPS = "for line in sys.stdin: answer({})"


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    monkeypatch.setattr(comparison, "REST", 0)


def test_workers_take_turns(team, tmp_path):
    log = tmp_path / "log"
    lines = f"for line in sys.stdin: open({str(log)!r}, 'a').write('{{}}'); answer()"
    compare(["project", "jax"], lambda name: team(lines.format(name[0])), rounds=3)
    assert log.read_text() == "pjpjpj"


def test_a_row_is_median_and_spread_beside_the_project(team):
    milliseconds = {"project": "2.0", "jax": "ms()"}
    counting = "ms = iter([30.0, 10.0, 12.0]).__next__\n"
    found = compare(
        ["jax", "project"],
        lambda name: team(counting + STEPS.format(milliseconds[name])),
        rounds=3,
    )
    jax, project = found
    assert (jax["min_ms"], jax["median_ms"], jax["max_ms"]) == (10, 12, 30)
    assert (jax["relative"], project["relative"]) == (6, 1)
    assert (jax["peak_mib"], jax["idle_cpu_ms"]) == (3, 2)


def test_memory_and_waste_of_a_worker_are_those_of_its_processes(team):
    (found,) = compare(
        ["jax"], lambda _: team(STEPS.format("5.0 + job['rank']"), processes=2), rounds=1
    )
    assert (found["median_ms"], found["peak_mib"], found["idle_cpu_ms"]) == (6, 6, 4)
    assert "relative" not in found


def test_who_cannot_finish_is_said_so(team):
    lines = {
        "project": STEPS.format(1.0),
        "jax": "input(); answer(); input(); sys.exit('tired')",
        "torch_func": "sys.exit()",
    }

    def begin(name):
        if name == "torch_loop":
            raise Failed("no such thing")
        return team(lines[name])

    rows = compare(["project", "torch_loop", "jax", "torch_func"], begin, rounds=3)
    by_name = {row["who"]: row for row in rows}
    assert by_name["project"]["median_ms"] == 1
    assert by_name["torch_loop"]["reason"] == "no such thing"
    assert by_name["jax"]["reason"] == "tired"
    assert by_name["jax"]["median_ms"] is by_name["jax"]["peak_mib"] is None
    assert by_name["torch_func"]["reason"] == "ended with exit code 0"


def test_little_memory_makes_groups_that_all_contain_the_project(team, monkeypatch):
    monkeypatch.setattr(comparison, "memory_is_short", lambda: True)
    started = []

    def begin(name):
        started.append(name)
        return team(STEPS.format(float(len(started))))

    rows = compare(["project", "jax", "torch_loop"], begin, rounds=1)
    assert started == ["project", "jax", "project", "torch_loop"]
    assert [row["median_ms"] for row in rows] == [2, 2, 4]  # the project's are 1 and 3
    assert [row["relative"] for row in rows[1:]] == [2, 4 / 3]


@pytest.mark.parametrize(
    ("name", "reason"), [("jax", "environments.sh"), ("paddlerec", "--paddlerec")]
)
def test_what_a_worker_lacks_is_named(name, reason, tmp_path):
    with pytest.raises(Failed, match=reason):
        start(name, Job(Setting()), tmp_path, limit=60)
