"""What a user is told of a mistake is one line on a terminal."""

from __future__ import annotations

import pytest
from paddle_maml.errors import UserError
from utils import errors


@pytest.mark.parametrize("kind", [UserError, errors.UserError])
def test_text_from_elsewhere_stays_on_the_line_and_controls_no_terminal(kind):
    error = kind("class a\n  b\u2028c\x1b[2J\0\ud800 é 日本: rename it.")
    assert str(error) == r"class a b c\x1b[2J\x00\ud800 é 日本: rename it."
