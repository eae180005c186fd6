"""The records of what was finished, kept apart from its checkpoints: small text without paths.

They have the names that the runner's own have, so that tables and plots are made of either.
"""

from __future__ import annotations

import json
from pathlib import Path

from utils import history
from utils.experiments.listing import Experiment
from utils.experiments.running import META_TEST, directory_of, read_record, write_record
from utils.history import write_text

MACHINE = "processor", "cores", "device"


def keep(experiment: Experiment, seed: int, out: Path, kept: Path) -> bool:
    """Copy the record of a run from `out` to `kept` if it was run to the end with these settings.

    What is kept of the history are the validations.
    """
    source, target = (directory_of(experiment, seed, directory) for directory in (out, kept))
    record = read_record(source)
    if record is None or not record.tested or record.settings != experiment.settings(seed):
        return False
    target.mkdir(parents=True, exist_ok=True)
    run = history.recorded(source)
    how = {key: run[key] for key in ("started", "versions", "processes")}
    machine = {key: run["machine"][key] for key in MACHINE}
    _write(target / history.RUN, {**how, "machine": machine, "config": record.settings})
    meta_test = json.loads((source / META_TEST).read_text(encoding="utf-8"))
    _write(target / META_TEST, {key: meta_test[key] for key in meta_test if key != "checkpoint"})
    lines = [line for line in history.read(source / history.HISTORY) if line["split"] == "valid"]
    lines = [json.dumps({k: line[k] for k in line if k != "summary"}) + "\n" for line in lines]
    write_text(target / history.HISTORY, "".join(lines))
    write_record(target, record)
    return True


def _write(file: Path, content: dict) -> None:
    write_text(file, json.dumps(content, indent=2) + "\n")
