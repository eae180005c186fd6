"""Figure 2 of the MAML paper: one sinusoid as runs predict it, before and after they adapt to it:

python benchmarks/sinusoid.py models/maml/configs/output_model_sinusoid_10shot{,_pretrained}
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(1, str(ROOT / "tools"))

import utils.before_paddle  # noqa: E402, F401

# isort: split
from PIL import Image  # noqa: E402
from utils import checkpoint  # noqa: E402
from utils.model import create_loader, load_model_class  # noqa: E402
from utils.report.record import Run, read_run  # noqa: E402
from utils.report.regression import picture  # noqa: E402

QUERIES = 500  # enough for a smooth line


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the runner.model_save_path of one")
    parser.add_argument("--task", type=int, default=0, help="which of the meta-test's, from 0")
    parser.add_argument("--out", default=str(ROOT / "docs/images/sinusoid.png"), metavar="FILE")
    arguments = parser.parse_args()
    runs = [read_run(Path(run)) for run in arguments.runs]
    panels = [adapted(run, arguments.task) for run in runs]
    Image.fromarray(picture(panels)).save(arguments.out, optimize=True)


def adapted(run: Run, task: int):
    """The run's title, and the task as its best checkpoint predicts it."""
    config = {**run.config, "hyper_parameters.k_query_test": QUERIES}
    model_class = load_model_class(config)
    model = model_class.create_model(config)
    checkpoint.load(checkpoint.best_or_last(run.directory), model)
    config["runner.infer_batch_size"] = task + 1
    batch = next(iter(create_loader(config, "test")))
    return model_class.title(config), list(model_class.episodes(model, batch, config))[task]


if __name__ == "__main__":
    main()
