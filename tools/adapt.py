"""Classify images by a few of each class: python tools/adapt.py -m CONFIG --support DIR --query DIR

The best checkpoint of runner.infer_load_path is adapted to the images of --support, a folder for
each class, and classifies those of --query. Prints the class of each and writes the probability of
every class to a CSV file, with a contact sheet beside it. Where the folders of --query are named
after the classes, the accuracy is told, too.
"""

from __future__ import annotations

from pathlib import Path

import utils.before_paddle  # noqa: F401
import utils.library  # noqa: F401

# isort: split
import numpy as np
from paddle_maml import exported
from paddle_maml.batch_statistics import normalisation
from paddle_maml.image_dataset import load_images
from utils import predictions
from utils.config import path_of
from utils.contact_sheet import contact_sheet
from utils.errors import UserError, run
from utils.model import best_model, open_tool
from utils.predictions import Predictions
from utils.progress import logger


def main():
    arguments, config, model_class = open_tool(__doc__, add_options)
    if not hasattr(model_class, "adapt"):
        raise UserError(
            f"{config['model_dir']}/dygraph_model.py has no adapt(): a model directory of "
            "PaddleRec's own cannot be adapted to new classes."
        )
    if arguments.steps is not None and arguments.steps < 0:
        raise UserError(f"--steps is {arguments.steps}: it takes 0 or more.")
    directory = path_of(config, config.get("runner.infer_load_path", "model_output"))
    out = Path(arguments.out) if arguments.out else directory / "predictions.csv"
    predictions.check_target(out)
    if arguments.export:
        exported.check_target(arguments.export)
    model, found = best_model(model_class, config)
    task = model_class.adapt(model, config, arguments.support, arguments.steps)
    names, pixels = read(Path(arguments.query), task.form)
    support_x = None if arguments.together else task.support_x
    probabilities = task.learner.predict(task.scale.values(pixels), support_x)
    predicted = Predictions(names, task.support.names, probabilities)
    print(predicted.table())
    told = [summary(task, predicted, support_x), *accuracy(predicted)]
    predictions.write(out, predicted, contact_sheet(task.support, pixels, predicted, told))
    print(*told, f"checkpoint {found}", sep="\n")
    print(f"written: {out}, {predictions.sheet_beside(out)}")
    if arguments.export:
        export = task.export()
        export.description["checkpoint"] = str(found)
        exported.write(arguments.export, export)
        print(f"exported to {arguments.export}; batch norm: {export.description['batch_norm']}")


def read(directory: Path, form: tuple) -> tuple[list[str], np.ndarray]:
    """The names and pixels of the queries, in the form of the support images."""
    if not directory.is_dir():
        raise UserError(f"--query: there is no directory {directory}: name one with images.")
    broken = []
    found = load_images(directory, form, broken)
    for error in broken:
        logger.warning(f"left out: {error}")
    return found


def summary(task, predicted: Predictions, support_x) -> str:
    """What was adapted to, and how."""
    shots = sorted({*np.diff(task.support.starts).tolist()})
    each = f"{shots[0]} to {shots[-1]}" if len(shots) > 1 else shots[0]
    steps = "" if task.steps is None else f"inner steps: {task.steps}; "
    return (
        f"images: {len(predicted.names)}; classes: {len(predicted.classes)}; support images of "
        f"each: {each}; {steps}batch norm: {normalisation(task.learner.standalone(support_x))}"
    )


def accuracy(predicted: Predictions) -> list[str]:
    """The accuracy, if the class of any image is known, and which folders do not tell theirs."""
    found = predicted.accuracy()
    if found is None:
        return []
    others = sorted({*predicted.folders} - {*predicted.classes, "."})
    if others:
        logger.warning(f"no class is called {', '.join(others)}: their images do not count")
    return [found]


def add_options(parser):
    parser.add_argument(
        "--support", metavar="DIR", required=True, help="a folder of images for each class"
    )
    parser.add_argument(
        "--query", metavar="DIR", required=True, help="images to classify, or folders of them"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="inner steps; update_step_test if not given"
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="let batch norm normalise by all query images together, as in a meta-test, which "
        "profits from a query set with all classes equally often. Without, it is fixed to the "
        "support images, so that what is said of an image depends on that image alone; that "
        "costs 2.1 points of accuracy with one image per class and 0.3 with five "
        "(docs/export.md). Makes no difference to algorithms that keep running statistics",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the CSV file; predictions.csv in runner.infer_load_path if not given",
    )
    parser.add_argument(
        "--export", metavar="DIR", help="write the adapted classifier, as tools/to_static.py does"
    )


if __name__ == "__main__":
    run(main)
