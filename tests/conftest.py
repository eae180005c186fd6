"""What all tests share: hypothesis makes the same cases every time, and threads can be busy."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def busy_threads():
    """Threads take turns more often than is usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)
