"""What a network for many classes makes of tasks of fewer.

    python benchmarks/fewer_classes.py -m models/maml/config.yaml -o runner.infer_tasks=300

Tests the checkpoint of `runner.infer_load_path` on tasks of 2 to n_way classes of the test split,
all queries together, adapted with all outputs in the loss, as `learner.first` has it, and with
those of the task's classes alone. Prints a table in Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "models/maml")]

import utils.before_paddle  # noqa: E402, F401

# isort: split
import paddle  # noqa: E402
from paddle_maml.learner import FirstOutputs  # noqa: E402
from paddle_maml.metrics import TaskCurves  # noqa: E402
from utils import checkpoint  # noqa: E402
from utils.config import path_of  # noqa: E402
from utils.errors import run  # noqa: E402
from utils.model import create_loader, open_tool  # noqa: E402

SHOTS = (1, 5)


def main():
    _, config, model_class = open_tool(__doc__.splitlines()[0])
    found = checkpoint.best_or_last(path_of(config, config["runner.infer_load_path"]))
    model = model_class.create_model(config)
    checkpoint.load(found, model)
    model.eval()
    print(f"{found.resolve()}, {config['runner.infer_tasks']} tasks, paddle {paddle.__version__}\n")
    print("| classes | shots | all outputs in the loss | the first outputs |")
    print("|---|---|---|---|")
    net, steps = model.net, config["hyper_parameters.update_step_test"]
    for way in range(2, config["hyper_parameters.n_way"] + 1):
        for shots in SHOTS:
            task = {"hyper_parameters.n_way": way, "hyper_parameters.k_spt": shots}
            curves = TaskCurves()
            for batch in create_loader({**config, **task}, "test"):
                curves.update([accuracies(model, net, way, steps, *task) for task in zip(*batch)])
            columns = zip(100 * curves.mean(), 100 * curves.ci95())
            cells = [f"{mean:.2f} ± {ci:.2f} %" for mean, ci in columns]
            print(f"| {way} | {shots} |", " | ".join(cells), "|", flush=True)


def accuracies(model, net, way, steps, support_x, support_y, query_x, query_y) -> list[float]:
    """With all outputs of `net` in the loss, and with the first ones."""
    found = []
    for model.net in (net, FirstOutputs(net, way)):
        learner = model.adapt(support_x, support_y, steps).first(way)
        right = learner(query_x).argmax(-1) == query_y
        found.append(right.astype("float32").mean().item())
    return found


if __name__ == "__main__":
    run(main)
