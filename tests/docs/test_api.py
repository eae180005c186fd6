"""The API reference is the docstrings', and every public name has an example that runs."""

from __future__ import annotations

import paddle_maml
import pytest
from api import PAGE, render


def test_the_page_is_what_the_docstrings_say():
    assert PAGE.read_text("utf-8") == render(), "render it anew: python docs/api.py"


def test_no_example_is_passed_over():
    assert "+SKIP" not in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", paddle_maml.__all__)
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(paddle_maml, name).__doc__
    assert f"\n## {name}\n" in PAGE.read_text("utf-8")
