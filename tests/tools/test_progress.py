"""What a line tells of the time: how long the reader kept the training waiting."""

from __future__ import annotations

import logging

import pytest
from utils.progress import Progress


def test_waiting_is_the_readers_share_of_the_time_since_the_last_line(monkeypatch, caplog):
    seconds = 0.0
    monkeypatch.setattr("utils.progress.time.time", lambda: seconds)

    def read():
        nonlocal seconds
        for needed in (3, 2, 4, 1):
            seconds += needed
            yield [range(8)]

    progress, shares = Progress(0, interval=2, batches=None), []
    with caplog.at_level(logging.INFO, "paddlerec"):
        for number, _ in progress.over(read()):
            started = seconds
            seconds += 1
            shares.append(progress.waiting())
            seconds += 1
            progress.report(number, started, [], [], {})
    assert shares == pytest.approx([3 / 4, 2 / 3, 6 / 9, 1 / 2])
    lines = [record.message.partition("avg_reader_cost: ")[2] for record in caplog.records]
    assert lines == [
        "1.50000 sec, avg_batch_cost: 2.50000 sec, avg_samples: 4.00000, ips: 1.59997 ins/s",
        "3.00000 sec, avg_batch_cost: 5.00000 sec, avg_samples: 8.00000, ips: 1.59998 ins/s",
    ]
