"""Time of a meta-step beside other frameworks': python benchmarks/meta_step.py

Every peer has processes and a virtual environment of its own. All take their meta-steps in turn,
A B C A B C, on the same tasks and with as many threads in total as there are cores. Linux only.
docs/performance.md says more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from comparison import PEERS, compare, start
from job import SETTINGS, Job, Setting, parameters, tasks
from team import Failed

ENVIRONMENTS = Path(__file__).with_name("environments")
AGREEMENT = 1e-8  # relative, of meta-gradients in float64
FORMATS = {
    "median_ms": "{:.0f}",
    "min_ms": "{:.0f}",
    "max_ms": "{:.0f}",
    "relative": "{:.2f}",
    "peak_mib": "{:.0f}",
    "idle_cpu_ms": "{:.1f}",
    "relative_error": "{:.1e}",
}


def main():
    options = arguments()
    rows = []
    for name in options.setting:
        setting = replace(SETTINGS[name], order=options.order)
        found = agreement(setting, options) if options.check else times(setting, options)
        rows += [{"setting": name, "order": options.order, **row} for row in found]
        if options.json:
            Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    sys.exit(not all(row.get("relative_error", 0) <= AGREEMENT for row in rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--order", type=int, choices=(1, 2), default=2)
    parser.add_argument("--iters", type=int, default=10, help="meta-steps of each")
    parser.add_argument("--json", metavar="FILE", help="write the rows here, too")
    parser.add_argument(
        "--check", action="store_true", help="compare meta-gradients in float64, not times"
    )
    for option, known in (("--setting", SETTINGS), ("--only", PEERS)):
        parser.add_argument(
            option,
            type=names_of(known),
            default=list(known),
            metavar="NAME[,NAME]",
            help=", ".join(known),
        )
    parser.add_argument(
        "--environments",
        type=Path,
        metavar="DIR",
        default=ENVIRONMENTS,
        help="what environments.sh has made",
    )
    parser.add_argument("--paddlerec", metavar="DIR", help="a checkout of PaddleRec")
    parser.add_argument(
        "--limit",
        type=float,
        default=1800,
        metavar="SECONDS",
        help="for a worker to start, with compilation and warm-up, and for each answer",
    )
    return parser.parse_args()


def names_of(known):
    """An argparse type: names out of `known`, with commas between."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"no {name!r}: choose from {', '.join(known)}")
        return names

    return parse


def times(setting: Setting, options) -> list[dict]:
    """A row for each worker with the milliseconds of its meta-step, or why there are none."""
    job = Job(setting, checkout=options.paddlerec)
    begin = partial(start, job=job, environments=options.environments, limit=options.limit)
    return compare(options.only, begin, options.iters)


def agreement(setting: Setting, options) -> list[dict]:
    """A row for each worker with the relative error of its meta-gradient against the first's.

    In float64, on a small setting of the kind, with parameters and tasks from a file.
    """
    small = replace(setting, tasks=4, filters=16, query=min(setting.query, 3))
    rows, expected = [], None
    with tempfile.TemporaryDirectory() as directory:
        given, answer = f"{directory}/given.npz", f"{directory}/gradient.npz"
        rng = np.random.default_rng(0)
        np.savez(given, *parameters(small, rng), *tasks(small, rng))
        job = Job(small, dtype="float64", given=given)
        for name in options.only:
            if name == "paddlerec":
                rows.append({"who": name, "reason": "its gradient is one of its own"})
                continue
            try:
                team = start(name, job, options.environments, options.limit)
                team.ask(f"gradient {answer}")
                team.close()
            except Failed as error:
                rows.append({"who": name, "reason": str(error)})
                continue
            with np.load(answer) as file:
                found = np.concatenate([file[name].ravel() for name in file.files])
            expected = found if expected is None else expected
            error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
            rows.append({"who": name, "relative_error": error})
    return rows


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table; a reason takes the place of figures."""
    columns = [key for key in FORMATS if any(key in row for row in rows)]
    heads = ["setting", "order", "who", *(key.replace("_", " ") for key in columns), ""]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        figures = [
            FORMATS[key].format(row[key]) if row.get(key) is not None else "" for key in columns
        ]
        lines.append(
            [row["setting"], str(row["order"]), row["who"], *figures, row.get("reason", "")]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
