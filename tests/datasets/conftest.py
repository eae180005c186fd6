"""The preparation of data sets, on sources that only look like them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DATASETS = Path(__file__).resolve().parents[2] / "datasets"


@pytest.fixture(scope="session")
def script():
    """script("omniglot/prepare.py"): a script of datasets/, imported."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(name.replace("/", "_")[:-3], DATASETS / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
