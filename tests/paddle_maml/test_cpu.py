"""The process settings: what they choose, and that the user's own choice stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("chosen", [None, "4"])
def test_a_choice_of_the_user_stays(chosen):
    environment = {k: v for k, v in os.environ.items() if k != "MKL_DEBUG_CPU_TYPE"}
    if chosen:
        environment["MKL_DEBUG_CPU_TYPE"] = chosen
    code = "import os, paddle_maml; print(os.environ.get('MKL_DEBUG_CPU_TYPE'))"
    environment["PYTHONPATH"] = os.path.join("models", "maml")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    printed = done.stdout.split()[-1]
    assert printed == chosen if chosen else printed in ("None", "5", "7")
