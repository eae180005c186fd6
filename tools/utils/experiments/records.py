"""The records of what was finished, kept apart from its checkpoints: small text without paths.

They have the names that the runner's own have, so that tables and plots are made of either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from utils import history
from utils.experiments.listing import Experiment
from utils.experiments.running import META_TEST, directory_of, write_record
from utils.experiments.tables import results
from utils.history import write_text

MACHINE = "processor", "cores", "device"


def keep(experiment: Experiment, out: Path, kept: Path) -> Iterable[str]:
    """Copy the records of runs that tables show from `out` to `kept`; yields their names.

    What is kept of the history are the validations.
    """
    for seed, record, meta_test in results(experiment, out):
        source, target = (directory_of(experiment, seed, directory) for directory in (out, kept))
        target.mkdir(parents=True, exist_ok=True)
        run = history.recorded(source)
        how = {key: run[key] for key in ("started", "versions", "processes")}
        machine = {key: run["machine"][key] for key in MACHINE}
        _write(target / history.RUN, {**how, "machine": machine, "config": record.settings})
        _write(target / META_TEST, {k: meta_test[k] for k in meta_test if k != "checkpoint"})
        lines = [x for x in history.read(source / history.HISTORY) if x["split"] == "valid"]
        lines = [json.dumps({k: x[k] for k in x if k != "summary"}) + "\n" for x in lines]
        write_text(target / history.HISTORY, "".join(lines))
        write_record(target, record)
        yield target.name


def _write(file: Path, content: dict) -> None:
    write_text(file, json.dumps(content, indent=2) + "\n")
