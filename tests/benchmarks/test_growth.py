"""benchmarks/growth.py: every setting of the table makes a meta-step."""

from __future__ import annotations

import growth
import pytest
from job import Setting


@pytest.mark.parametrize("what", growth.CHANGES)
def test_every_change_makes_a_step(what, monkeypatch):
    small = Setting(tasks=1, way=2, query=1, filters=16, image_side=16)
    monkeypatch.setattr(growth, "BASE", small)
    assert growth.milliseconds(growth.meta_step(**{what: growth.CHANGES[what][0]})) > 0
