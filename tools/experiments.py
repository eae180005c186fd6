"""Run a list of experiments and show them: python tools/experiments.py docs/experiments.yaml

Each experiment is trained by tools/trainer.py and meta-tested by tools/infer.py, one seed after the
other. What is finished is passed over, what was broken off goes on, and what was run with other
settings than the list has now is put aside and run anew, or tested anew if they are of the
meta-test alone. One that fails does not stop the others.

An experiment with a budget, in seconds of wall time, first trains one epoch apart to see how long
it takes, and then as many as fit, so that a schedule of the learning rate ends with the budget.
Starting the trainer and validating count as training, that first epoch does not. A machine that is
busier than then takes longer than the budget: tables show the time that was really taken.

With --keep, --render or --plots nothing is run. --keep copies the records of what was finished,
small text files without checkpoints or paths; tables and plots show what is in --out, which may be
such records, too.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import utils.before_paddle  # noqa: F401

# isort: split
from utils.errors import PLOTS, UserError, needing, run, writing
from utils.experiments.listing import Listing, read_listing
from utils.experiments.records import keep
from utils.experiments.running import ToolFailed, carry_out
from utils.experiments.tables import render
from utils.history import write_text
from utils.progress import logger, start_log


def main():
    arguments = parse_arguments()
    start_log()
    listing, out = read_listing(arguments.list), Path(arguments.out)
    if arguments.keep:
        keep_all(listing, out, Path(arguments.keep))
    if arguments.render:
        render_file(Path(arguments.render), listing, out)
    if arguments.plots:
        draw_plots(listing, out)
    if arguments.keep or arguments.render or arguments.plots:
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = arguments.only.split(",") if arguments.only else None
    if failed := carry_out_all(listing, names, out):
        logger.error(f"failed: {', '.join(failed)}")
        sys.exit(1)


def parse_arguments() -> argparse.Namespace:
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", metavar="LIST", help="the experiments, as YAML")
    parser.add_argument("--only", metavar="NAME,...", help="of those to be run")
    parser.add_argument(
        "--out", metavar="DIR", default="output_experiments", help="holds NAME-SEED of each run"
    )
    parser.add_argument("--keep", metavar="DIR", help="copy the records of finished runs there")
    parser.add_argument(
        "--render", metavar="FILE", help="write the tables between the markers in a document"
    )
    parser.add_argument("--plots", action="store_true", help="write the plots to their files")
    return parser.parse_args()


def carry_out_all(listing: Listing, names: list[str] | None, out: Path) -> list[str]:
    """Run what has not been; returns what failed."""
    failed = []
    for experiment in listing.chosen(names):
        for seed in experiment.seeds:
            try:
                carry_out(experiment, seed, out)
            except (ToolFailed, UserError) as error:
                failed.append(f"{experiment.name}-{seed}")
                logger.error(f"{failed[-1]}: {error}")
    return failed


def keep_all(listing: Listing, out: Path, kept: Path) -> None:
    with writing(kept):
        for experiment in listing.experiments.values():
            for name in keep(experiment, out, kept):
                logger.info(f"{name}: its record is in {kept}")


def render_file(file: Path, listing: Listing, out: Path) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"--render: cannot read {file}: {error.strerror}.") from error
    write_text(file, render(text, listing, out))
    logger.info(f"the tables are in {file}")


def draw_plots(listing: Listing, out: Path) -> None:
    with needing(*PLOTS):
        from utils.experiments.curves import draw
    for plot in listing.plots.values():
        draw(plot, out)
        logger.info(f"{plot.file} is drawn")


if __name__ == "__main__":
    run(main)
