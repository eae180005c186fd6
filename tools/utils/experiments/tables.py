"""Tables in Markdown: what was published beside what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.experiments.listing import FIGURE, Experiment, Listing, Table
from utils.experiments.running import META_TEST, Record, differing, directory_of, read_record
from utils.measure import SHARES, shown
from utils.progress import logger
from utils.report.markup import duration

MARKED = re.compile(
    r"(<!-- experiments: (\S+) -->\n)((?:(?!<!-- experiments: ).)*?)(<!-- end -->)", re.DOTALL
)
MISSING = "not run"


def render(text: str, listing: Listing, out: Path) -> str:
    """A document with each table between the markers of its name, and all else as it was.

    Raises
    ------
    UserError
        If there is no marker, one has no end, or a table of its name is not in the list.
    """
    begun, found = text.count("<!-- experiments: "), MARKED.findall(text)
    if not begun:
        raise UserError(
            "there is nothing to render into: write <!-- experiments: GROUP --> and "
            "<!-- end --> on lines of their own."
        )
    if len(found) < begun:
        raise UserError("a marker <!-- experiments: GROUP --> has no <!-- end -->: add it.")
    for _, name, *_ in found:
        if name not in listing.tables:
            raise UserError(f"<!-- experiments: {name} -->: the list has no table of that name.")
    for name in listing.tables.keys() - {name for _, name, *_ in found}:
        logger.warning(f"table {name} has no marker there")
    return MARKED.sub(
        lambda match: f"{match[1]}{markdown(listing.tables[match[2]], out)}\n{match[4]}", text
    )


def markdown(table: Table, out: Path) -> str:
    """A table with its title."""
    header = ["experiment", "published", *table.figures, "tasks", "meta-steps", "training", "seeds"]
    rows = [[e.label, published(e), *cells(e, table, out)] for e in table.experiments]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join([f"**{table.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def cells(experiment: Experiment, table: Table, out: Path) -> list[str]:
    """What was measured of an experiment, and how."""
    found = list(results(experiment, out))
    if not found:
        return [MISSING, *[""] * (len(table.figures) + 3)]
    measurements = [[figure(path, r.meta_test) for r in found] for path in table.figures.values()]
    return [
        *(measured(path, of) for path, of in zip(table.figures.values(), measurements)),
        extent([r.meta_test["tasks"] for r in found], str),
        extent([r.steps for r in found], str),
        extent([r.seconds for r in found], duration),
        ", ".join(str(r.settings["runner.seed"]) for r in found),
    ]


def results(experiment: Experiment, out: Path) -> Iterable[Record]:
    """The records of the seeds that were run to the end with the settings of the list."""
    for seed in experiment.seeds:
        directory = directory_of(experiment, seed, out)
        record = read_record(directory)
        if record is None or record.meta_test is None:
            continue
        if changed := differing(record.settings, experiment.settings(seed)):
            logger.warning(
                f"{directory.name}: not shown, run with other settings ({', '.join(changed)})"
            )
            continue
        yield record


def figure(path: str, meta_test: dict) -> tuple[float, float | None]:
    """A figure of a meta-test and its 95 % confidence interval, if it has one.

    Examples
    --------
    >>> figure("mse_per_step[1]", {"mse_per_step": [4.0, 0.5], "ci95_per_step": [0.3, 0.1]})
    (0.5, 0.1)
    """
    name, index = FIGURE.fullmatch(path).groups()
    try:
        if index is None:
            return meta_test[name], meta_test.get("ci95")
        return meta_test[name][int(index)], meta_test["ci95_per_step"][int(index)]
    except (IndexError, KeyError, TypeError) as error:
        raise UserError(
            f"{META_TEST} has no {path}: it has {', '.join(meta_test)}; correct the list's figures."
        ) from error


def measured(path: str, measurements: list[tuple[float, float | None]]) -> str:
    """A figure of all seeds: their mean, how far they spread, and each with its interval.

    Examples
    --------
    >>> measured("accuracy", [(0.98, 0.004), (0.97, 0.005)])
    '97.50 %, 97.00 % to 98.00 %; by seed: 98.00 ± 0.40 %, 97.00 ± 0.50 %'
    >>> measured("mse_per_step[1]", [(0.5, 0.1), (0.25, 0.05)])
    '0.375, 0.25 to 0.5; by seed: 0.5 ± 0.1, 0.25 ± 0.05'
    """
    name = FIGURE.fullmatch(path)[1].replace("_per_step", "")
    each = [shown(name, value, ci) for value, ci in measurements]
    values = [value for value, _ in measurements]
    if len(values) == 1:
        return each[0]
    mean, low, high = (
        shown(name, value) if name in SHARES else f"{value:.4g}"
        for value in (float(np.mean(values)), min(values), max(values))
    )
    return f"{mean}, {low} to {high}; by seed: {', '.join(each)}"


def extent(values: list, write) -> str:
    """What is the same for all seeds, or from where to where it goes."""
    ends = dict.fromkeys([write(min(values)), write(max(values))])
    return " to ".join(ends)


def published(experiment: Experiment) -> str:
    return ", ".join(filter(None, [experiment.published, experiment.source]))
