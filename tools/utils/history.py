"""What a run leaves to be read later: run.json, its settings and where it ran, and history.jsonl.

A line of the history is a JSON object: `split` (train or valid), `epoch`, `step` (batches trained
on so far), `seconds` since the run began, `values` by name, and after a validation the model's
`summary`, if it makes one.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import paddle

from utils import intact
from utils.checkpoint import GO_ON
from utils.errors import UserError, writing

RUN, HISTORY = "run.json", "history.jsonl"
SHAPING = ("runner.seed", "runner.epochs", "runner.train_batch_size", "runner.train_data_dir")


class History:
    """Appends to the history of the run in `directory`.

    A fresh run begins a new one; one that goes on drops the lines after `step` and those of the
    validation of `epoch`, which it is about to repeat.
    """

    def __init__(self, directory: Path, config: dict, epoch: int = 0, step: int = 0):
        self.file = directory / HISTORY
        repeated = {"train": math.inf, "valid": epoch}
        lines = [
            line
            for line in (read(self.file) if step else ())
            if line["step"] <= step and line["epoch"] < repeated[line["split"]]
        ]
        self.began = time.time() - (lines[-1]["seconds"] if lines else 0)
        run = describe(config)
        if step and (began := recorded(directory)):  # how it began stays on record
            again = {key: run[key] for key in ("command", "started")}
            run |= {key: began[key] for key in again if key in began}
            run["resumed"] = [*began.get("resumed", []), again]
        write_text(directory / RUN, json.dumps(run, indent=2) + "\n")
        write_text(self.file, "".join(json.dumps(line) + "\n" for line in lines))

    def add(self, split: str, epoch: int, step: int, values: dict, summary: dict | None = None):
        """Add one line."""
        line = {"split": split, "epoch": epoch, "step": step}
        line |= {"seconds": round(time.time() - self.began, 3), "values": values}
        line |= {"summary": summary} if summary else {}
        with writing(self.file, GO_ON), open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def changed(directory: Path, config: dict) -> list[str]:
    """The settings, of those that shape training, that differ from those of the run so far."""
    before = recorded(directory).get("config", config)
    return [
        key
        for key in sorted({*before, *config})
        if key.startswith("hyper_parameters.") or key in SHAPING
        if before.get(key) != config.get(key)
    ]


def recorded(directory: Path) -> dict:
    """What run.json says, its `config` at least; nothing if there is none.

    Raises
    ------
    UserError
        If it is damaged.
    """
    file = directory / RUN
    if not file.is_file():
        return {}
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
        if not (isinstance(run["config"], dict) and isinstance(run.get("resumed", []), list)):
            raise TypeError
    except (OSError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{file} is damaged: remove it to go on without what it says.") from error
    return run


def read(file: Path) -> list[dict]:
    """The lines of a history up to the first that is none, as a crash leaves it."""
    lines = []
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    for line in text.splitlines():
        try:
            lines.append(_line(json.loads(line)))
        except (LookupError, RecursionError, TypeError, ValueError):
            break
    return lines


def _line(line: dict) -> dict:
    """Raise unless it is one of a history."""
    numbers = [line["epoch"], line["step"], line["seconds"], *dict.values(line["values"])]
    if not all(type(number) in (int, float) for number in numbers):
        raise TypeError
    if line["split"] not in ("train", "valid") or not isinstance(line.get("summary", {}), dict):
        raise ValueError
    return line


def describe(config: dict) -> dict:
    """The settings of a run, and what it runs on."""
    versions = {"python": platform.python_version(), "paddlepaddle": paddle.__version__}
    return {
        "command": sys.argv,
        "started": datetime.now().isoformat(timespec="seconds"),
        "config": {key: value for key, value in config.items() if key != "meta_steps"},  # a count
        "versions": {**versions, "numpy": np.__version__},
        "machine": {
            "platform": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "device": paddle.get_device(),
        },
        "processes": paddle.distributed.get_world_size(),
    }


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def write_text(file: Path, text: str) -> None:
    """Write a file that is there whole or not at all.

    What a file's name has of bytes that are no UTF-8 becomes `\\udcXX`, as JSON spells it.
    """
    intact.write(file, text.encode(errors="backslashreplace"))
