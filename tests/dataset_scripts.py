"""The scripts of datasets/, imported by their path: every data set has a prepare.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DATASETS = Path(__file__).resolve().parents[1] / "datasets"


def script(name: str):
    """Import datasets/{name}, such as omniglot/prepare.py."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_")[:-3], DATASETS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
