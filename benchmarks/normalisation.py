"""What fixing batch norm to the support set costs in accuracy.

    python benchmarks/normalisation.py -m config.yaml -o runner.infer_tasks=600

Tests the checkpoint of `runner.infer_load_path` on tasks of the test split, in the ways in which an
adapted network can normalise: by all queries of its task together, by the queries 1 of each class
at a time, and by the support images, as an exported classifier does. Prints a table in Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "models/maml")]

import utils.before_paddle  # noqa: E402, F401

# isort: split
import paddle  # noqa: E402
from paddle_maml.metrics import TaskCurves  # noqa: E402
from utils import checkpoint  # noqa: E402
from utils.config import path_of  # noqa: E402
from utils.errors import run  # noqa: E402
from utils.model import create_loader, open_tool  # noqa: E402

SHOTS, QUERIES = (1, 5), 15


def main():
    _, config, model_class = open_tool(__doc__.splitlines()[0])
    found = checkpoint.best_or_last(path_of(config, config["runner.infer_load_path"]))
    print(f"{found.resolve()}, {config['runner.infer_tasks']} tasks, paddle {paddle.__version__}\n")
    print("| shots | all queries | one query of each class | the support images |")
    print("|---|---|---|---|")
    for shots in SHOTS:
        config["hyper_parameters.k_spt"] = shots
        config["hyper_parameters.k_query_test"] = QUERIES
        paddle.seed(config.get("runner.seed", 12345))
        model = model_class.create_model(config)
        checkpoint.load(found, model)
        model.eval()
        curves = TaskCurves()
        for batch in create_loader(config, "test"):
            for task in zip(*batch):
                curves.update([accuracies(model, *task, config)])
        columns = zip(100 * curves.mean(), 100 * curves.ci95())
        print(f"| {shots} |", " | ".join(f"{mean:.2f} ± {ci:.2f} %" for mean, ci in columns), "|")


def accuracies(maml, support_x, support_y, query_x, query_y, config) -> list[float]:
    """Of one task, whose queries come class by class."""
    learner = maml.adapt(support_x, support_y, config["hyper_parameters.update_step_test"])
    rounds = np.arange(len(query_y)).reshape(-1, QUERIES).T  # one query of each class each
    by_round = paddle.concat([learner(query_x[list(round)]) for round in rounds])
    return [
        right(learner(query_x), query_y),
        right(by_round, query_y[list(rounds.ravel())]),
        right(learner.standalone(support_x)(query_x), query_y),
    ]


def right(logits, labels) -> float:
    """Share of right answers."""
    return (logits.argmax(-1) == labels).astype("float32").mean().item()


if __name__ == "__main__":
    run(main)
