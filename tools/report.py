"""Write a page about a training run: python tools/report.py models/maml/output_model_maml"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import utils.before_paddle  # noqa: F401

# isort: split
from utils import checkpoint
from utils.errors import PLOTS, UserError, needing, run
from utils.history import write_text
from utils.model import create_loader, load_model_class, set_device
from utils.progress import logger, start_log
from utils.report.record import Run, read_run

EPISODES = 4


def main():
    arguments = parse_arguments()
    directory = Path(arguments.run_dir)
    out = Path(arguments.out) if arguments.out else directory / "report.html"
    start_log()
    recorded = read_run(directory)
    page = load_page()
    if not out.parent.is_dir():
        raise UserError(f"--out: there is no directory {out.parent}: make it, or name another.")
    title, episodes, no_episodes = ask_model(recorded)
    write(out, page(recorded, title, episodes, no_episodes))
    logger.info(f"the report is in {out}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", help="where a training wrote to: its runner.model_save_path")
    parser.add_argument("--out", metavar="FILE", help="the page; RUN_DIR/report.html if not given")
    return parser.parse_args()


def load_page():
    """The function that makes the page; it needs matplotlib, which is an extra."""
    with needing(*PLOTS):
        from utils.report.page import page
    return page


def ask_model(recorded: Run) -> tuple[str, list, str]:
    """What only the model knows: its title, sample episodes, or a sentence on why there are none.

    The model directory, the data or the checkpoint may have gone since: a report is still of use.
    """
    config = {**recorded.config, "runner.num_workers": 0}  # for one batch
    title = f"Training of {Path(config['model_dir']).name}"
    try:
        model_class = load_model_class(config)
        if hasattr(model_class, "title"):
            title = model_class.title(config)
        if not hasattr(model_class, "episodes"):
            return title, [], ""
        set_device(config)
        model = model_class.create_model(config)
        checkpoint.load(checkpoint.best_or_last(recorded.directory), model)
        model.eval()
        batch = next(iter(create_loader(config, "test")))
        return title, list(islice(model_class.episodes(model, batch, config), EPISODES)), ""
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        return title, [], str(error)


def write(file: Path, text: str) -> None:
    """Write the page, or say why that cannot be."""
    try:
        write_text(file, text)
    except OSError as error:
        raise UserError(
            f"cannot write {file} ({error.strerror}): name another with --out."
        ) from error


if __name__ == "__main__":
    run(main)
