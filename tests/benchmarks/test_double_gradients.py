"""The measurement of docs/double-gradients.md, and that the document is of these cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import paddle
import pytest
from cases import cases

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs/double-gradients.md").read_text()


def column(name: str) -> dict[str, str]:
    """The cells of a column of the document's tables, by row."""
    found, at = {}, None
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and not cells[0]:
            at = cells.index(name)
        elif len(cells) > 2 and cells[0].startswith("`"):
            found[cells[0].strip("`")] = cells[at]
    return {code: cell for code, cell in found.items() if cell != "-"}


def test_document_has_each_case_as_it_is():
    """tests/paddle_maml/test_operators.py holds the cases themselves to what is written here."""
    if paddle.__version__ not in DOCUMENT:
        pytest.skip("the document is of other versions of Paddle")
    found = column(f"{paddle.__version__} with paddle_maml")
    expected = {case.code: "refused" if case.impossible else "exact" for case in cases()}
    assert {code: cell.split(" in ")[0] for code, cell in found.items()} == expected


@pytest.mark.parametrize(
    ("code", "alone", "with_ours"),
    [
        (r"^F\.silu\(x\)$", {"exact": 2}, {"exact": 2}),
        (r"^F\.softmax\(x\)$", {"no double gradient": 2}, {"exact": 2}),
        (r"^F\.conv2d\(x, w\)$", {"exact": 8, "wrong": 2}, {"exact": 10}),
        (r"^paddle\.linalg\.qr", {"crashes": 2}, {"refused": 2}),
    ],
)
def test_measurement(tmp_path, code, alone, with_ours):
    command = [sys.executable, ROOT / "benchmarks/double_gradients.py", "measure"]
    subprocess.run([*command, tmp_path / "found.json", "--only", code], check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["paddle"] == paddle.__version__
    [cells] = [cells for family in found["found"].values() for cells in family.values()]
    assert cells == {"alone": alone, "with paddle_maml": with_ours}
