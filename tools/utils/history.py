"""What a run leaves to be read later: run.json, its settings and where it ran, and history.jsonl.

A line of the history is a JSON object: `split` (train or valid), `epoch`, `step` (batches trained
on so far), `seconds` since the run began, `values` by name, and after a validation the model's
`summary`, if it makes one.
"""

from __future__ import annotations

import json
from pathlib import Path

RUN, HISTORY = "run.json", "history.jsonl"


def read(file: Path) -> list[dict]:
    """The whole lines of a history; one that was cut short by a crash is left out."""
    lines = []
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
