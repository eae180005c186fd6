"""Validation curves of several experiments in one plot."""

from __future__ import annotations

import math
from itertools import cycle
from pathlib import Path

from utils.errors import UserError
from utils.experiments.listing import Plot
from utils.experiments.running import directory_of, read_record
from utils.measure import SHARES
from utils.report.page import WORDS
from utils.report.plots import SERIES, Curve, save
from utils.report.record import read_run

AXES = {"steps": "meta-steps", "minutes": "minutes of training"}


def draw(plot: Plot, out: Path) -> None:
    """Write a plot to its file, SVG or PNG by its name.

    Raises
    ------
    UserError
        If there is nothing to draw yet, or the experiments are not validated by the same value.
    """
    found = validations(plot, out)
    if not found:
        raise UserError(f"there is no validation yet of what {plot.file.name} is to show: run it.")
    if len(found) > 1:
        raise UserError(f"{plot.file.name} cannot show {' and '.join(found)} on one axis.")
    ((name, curves),) = found.items()
    plot.file.parent.mkdir(parents=True, exist_ok=True)
    save(plot.file, curves, AXES[plot.x], f"{WORDS.get(name, name)}, validation")


def validations(plot: Plot, out: Path) -> dict[str, list[Curve]]:
    """A curve per experiment and seed, by the name of the value that was validated.

    Of an experiment with one seed it has the 95 % confidence interval over tasks around it; several
    seeds are several lines. A training that has not ended is shown as far as it is.
    """
    found = {}
    for experiment, colour in zip(plot.experiments, cycle(SERIES)):
        label = experiment.label
        for seed in experiment.seeds:
            directory = directory_of(experiment, seed, out)
            record = read_record(directory)
            if record is None or record.settings != experiment.settings(seed):
                continue
            run = read_run(directory)
            name = run.values()[0]
            lines = run.lines("valid", name)
            if not lines:
                continue
            scale = 100 if name in SHARES else 1
            x = [line["step"] if plot.x == "steps" else line["seconds"] / 60 for line in lines]
            y = [scale * line["values"][name] for line in lines]
            ci = [scale * line["values"].get("ci95", math.nan) for line in lines]
            ci = ci if len(experiment.seeds) == 1 else None
            found.setdefault(name, []).append(Curve(label, colour, x, y, ci))
            label = "_"  # matplotlib leaves such out of the legend
    return found
