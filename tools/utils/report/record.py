"""A run as it can be read from its directory."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

from utils import checkpoint, history
from utils.errors import UserError
from utils.measure import measure_of

META_TEST = "meta_test.json"
# Values that belong to others: how many tasks the score is of, and its interval.
COMPANIONS = ("ci95", "tasks")


class Run(NamedTuple):
    """Settings and environment (`record`), history and, if there was one, the meta-test."""

    directory: Path
    record: dict
    history: list[dict]
    meta_test: dict | None

    @property
    def config(self) -> dict:
        return self.record["config"]

    def values(self) -> list[str]:
        """The names of what was measured, the main one first."""
        names = [name for split in ("valid", "train") for name in self._names(split)]
        return [name for name in dict.fromkeys(names) if name not in COMPANIONS]

    def lines(self, split: str, value: str) -> list[dict]:
        """The lines of a split that have a value."""
        return [x for x in self.history if x["split"] == split and value in x["values"]]

    def of_tasks(self) -> bool:
        """Whether the score is one over tasks, as in meta-learning."""
        return any("tasks" in line["values"] for line in self.history)

    def best_validation(self) -> dict | None:
        """The first validation with the best main value, as the trainer marks it."""
        best = min if (self.last_summary() or {}).get("lower_is_better") else max
        for name in self._names("valid")[:1]:
            lines = [x for x in self.lines("valid", name) if not math.isnan(x["values"][name])]
            return best(lines, key=lambda line: line["values"][name], default=None)
        return None

    def measure(self) -> str:
        """What was measured per inner step: "accuracy", or the name of an error."""
        return measure_of(self.meta_test or self.last_summary() or {})

    def last_summary(self) -> dict | None:
        """The model's summary of the last validation that has one."""
        summaries = [line["summary"] for line in self.history if line.get("summary")]
        return summaries[-1] if summaries else None

    def epochs_done(self) -> int:
        return max(checkpoint.epochs(self.directory), default=-1) + 1

    def _names(self, split) -> list[str]:
        lines = [line for line in self.history if line["split"] == split]
        return list(dict.fromkeys(name for line in lines for name in line["values"]))


def read_run(directory: Path) -> Run:
    """Read a run, whether it has ended or not.

    Raises
    ------
    UserError
        If the directory is not that of a run, or its files are damaged.
    """
    if not (directory / history.RUN).is_file():
        raise UserError(
            f"{directory} is not a run: it has no {history.RUN}; name the directory that a "
            "training wrote to (runner.model_save_path)."
        )
    record = history.recorded(directory)
    meta_test = _read(directory / META_TEST) if (directory / META_TEST).is_file() else None
    if meta_test and not {f"{measure_of(meta_test)}_per_step", "ci95_per_step"} <= {*meta_test}:
        raise UserError(f"{directory / META_TEST} has no {measure_of(meta_test)}: meta-test again.")
    return Run(directory, record, history.read(directory / history.HISTORY), meta_test)


def _read(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}): it is damaged.") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no keys: it is damaged.")
    return content
