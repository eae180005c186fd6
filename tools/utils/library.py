"""Lets the tools import `paddle_maml` from a plain clone, too, where it is not installed."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "models" / "maml"))
