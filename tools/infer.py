"""Meta-test a PaddleRec model directory: python tools/infer.py -m models/maml/config.yaml"""

from __future__ import annotations

import json
import os
from pathlib import Path

import utils.before_paddle  # noqa: F401

# isort: split
import paddle
from utils import checkpoint
from utils.config import path_of, required
from utils.errors import UserError, run
from utils.evaluate import evaluate
from utils.model import create_loader, foreign, open_tool
from utils.progress import logger


def main():
    _, config, model_class = open_tool(__doc__)
    paddle.seed(config.get("runner.seed", 12345))
    directory = path_of(config, config.get("runner.infer_load_path", "model_output"))
    found = checkpoints(directory, config)
    model = model_class.create_model(config)
    loader = create_loader(config, "test", drop_last=foreign(model_class))  # as PaddleRec's infer
    for path in found:
        logger.info(f"load model {path}")
        checkpoint.load(path, model)
        metrics, _, _ = evaluate(model_class, model, loader, path.resolve().name, config)
        if hasattr(model_class, "summary"):
            report(model_class.summary(metrics, config), path, directory, config)


def checkpoints(directory: Path, config: dict) -> list[Path]:
    """The epochs that the configuration asks for, or the best."""
    first, end = config.get("runner.infer_start_epoch"), config.get("runner.infer_end_epoch")
    if first is None and end is None:
        return [checkpoint.best_or_last(directory)]
    first, end = first or 0, required(config, "runner.infer_end_epoch")
    if end <= first:
        raise UserError("runner.infer_end_epoch has to lie above runner.infer_start_epoch.")
    return [directory / str(epoch) for epoch in range(first, end)]


def report(summary: dict, path: Path, directory: Path, config: dict) -> None:
    """Print the meta-test and write it to `meta_test.json`."""
    print("inner steps  accuracy")
    for step, (mean, ci) in enumerate(zip(summary["accuracy_per_step"], summary["ci95_per_step"])):
        print(f"{step:11d}  {100 * mean:.2f} ± {100 * ci:.2f} %")
    print(
        f"{summary['tasks']} tasks, {summary['way']}-way {summary['shot']}-shot, {path.resolve()}"
    )
    summary |= {
        "split": Path(required(config, "runner.test_data_dir")).name,
        "seed": config.get("runner.seed", 12345),
        "checkpoint": str(path.resolve()),
    }
    unfinished = directory / ".meta_test.unfinished"
    unfinished.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, directory / "meta_test.json")


if __name__ == "__main__":
    run(main)
