"""The records of what was finished, kept apart from its checkpoints: small text without paths.

They have the names that the runner's own have, so that tables and plots are made of either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from utils import history
from utils.experiments.listing import Experiment
from utils.experiments.running import directory_of, write_record
from utils.experiments.tables import results
from utils.history import write_text

MACHINE = "processor", "cores", "device"


def keep(experiment: Experiment, out: Path, kept: Path) -> Iterable[str]:
    """Copy the records of runs that tables show from `out` to `kept`; yields their names.

    What is kept of the history are the validations.
    """
    for record in results(experiment, out):
        seed = record.settings["runner.seed"]
        source, target = (directory_of(experiment, seed, directory) for directory in (out, kept))
        target.mkdir(parents=True, exist_ok=True)
        run = history.recorded(source)
        how = {key: run[key] for key in ("started", "versions", "processes")}
        machine = {key: run["machine"][key] for key in MACHINE}
        kept_run = {**how, "machine": machine, "config": record.settings}
        write_text(target / history.RUN, json.dumps(kept_run, indent=2) + "\n")
        lines = [x for x in history.read(source / history.HISTORY) if x["split"] == "valid"]
        lines = [json.dumps({k: x[k] for k in x if k != "summary"}) + "\n" for x in lines]
        write_text(target / history.HISTORY, "".join(lines))
        meta_test = {k: v for k, v in record.meta_test.items() if k != "checkpoint"}
        write_record(target, record._replace(meta_test=meta_test))
        yield target.name
