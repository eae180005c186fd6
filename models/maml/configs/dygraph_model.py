"""Leads PaddleRec's tools, which look beside a configuration, to the model directory above."""

import sys
from pathlib import Path

del sys.modules[__name__]  # of the same name
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dygraph_model import DygraphModel  # noqa: E402, F401
