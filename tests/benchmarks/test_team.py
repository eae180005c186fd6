"""benchmarks/team.py on small workers in real processes."""

from __future__ import annotations

import pytest
from team import Failed


def test_every_process_is_told_its_rank_and_the_command(team):
    started = team("for line in sys.stdin: answer([job['rank'], line])", processes=2)
    assert [a["ms"] for a in started.ask("step")] == [[0, "step\n"], [1, "step\n"]]
    assert [a["ms"] for a in started.ask("again")] == [[0, "again\n"], [1, "again\n"]]


def test_a_worker_that_dies_leaves_its_reason(team):
    started = team("input(); sys.exit('out of luck')")
    with pytest.raises(Failed, match="^out of luck$"):
        started.ask("step")
    with pytest.raises(Failed, match="^killed by SIGKILL$"):
        team("input(); os.kill(os.getpid(), 9)").ask("step")
    with pytest.raises(Failed, match="^ended with exit code 3$"):
        team("input(); sys.exit(3)").ask("step")


def test_one_process_that_dies_ends_the_others(team):
    started = team("input(); job['rank'] and sys.exit('gone'); time.sleep(600)", processes=2)
    with pytest.raises(Failed, match="^gone$"):
        started.ask("step")
    assert all(process.poll() is not None for process in started.processes)


def test_time_runs_out(team):
    started = team("input(); time.sleep(600)", limit=1)
    with pytest.raises(Failed, match="no answer in 1 s"):
        started.ask("step")
    assert started.processes[0].poll() is not None
