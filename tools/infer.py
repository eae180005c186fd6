"""Meta-test a PaddleRec model directory: python tools/infer.py -m models/maml/config.yaml"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import utils.before_paddle  # noqa: F401

# isort: split
from utils import checkpoint, randomness, splits
from utils.config import path_of, required
from utils.errors import UserError, run
from utils.evaluate import evaluate
from utils.history import write_text
from utils.measure import measure_of, measured, shown
from utils.model import create_loader, foreign, open_tool
from utils.progress import logger
from utils.visual import Visual


def main():
    _, config, model_class = open_tool(__doc__)
    randomness.seed(config.get("runner.seed", 12345))
    directory = path_of(config, config.get("runner.infer_load_path", "model_output"))
    together = config.get("runner.infer_ensemble", 1)
    views = config.get("runner.infer_views", 1)
    if together * views > 1 and not hasattr(model_class, "create_ensemble"):
        raise UserError(
            "runner.infer_ensemble, runner.infer_views: this model has no create_ensemble: leave "
            "them out."
        )
    model = model_class.create_model(config)
    found = checkpoints(directory, config, getattr(model_class, "lower_is_better", False))
    members = [model, *(model_class.create_model(config) for _ in range(together - 1))]
    if together * views > 1:
        model = model_class.create_ensemble(members, views)
    loader = create_loader(config, "test", drop_last=foreign(model_class))  # as PaddleRec's infer
    splits.check_unseen(directory, loader.reader)
    visual = Visual(directory, "infer") if config.get("runner.use_visual", False) else None
    for number, paths in enumerate(found):
        for path, member in zip(paths, members):
            logger.info(f"load model {path}")
            checkpoint.load(path, member, use=use_another(config))
        name = "+".join(path.resolve().name for path in paths)
        metrics, names, tensors = evaluate(model_class, model, loader, name, config)
        summary = None
        if hasattr(model_class, "summary"):
            summary = model_class.summary(metrics, config)
            report(summary, paths, directory, config, splits.tested(loader.reader, config))
        if visual:
            visual.add("infer", name, number, measured(metrics, names, tensors), summary)


def checkpoints(directory: Path, config: dict, lower_is_better: bool) -> Iterable[list[Path]]:
    """What is to be tested: the best epoch, the best that answer together, or one after the other
    of those that the configuration asks for.
    """
    first, end = config.get("runner.infer_start_epoch"), config.get("runner.infer_end_epoch")
    together = config.get("runner.infer_ensemble", 1)
    if first is None and end is None:
        if together == 1:
            return [[checkpoint.best_or_last(directory)]]
        best = checkpoint.by_validation(directory, lower_is_better)
        if len(best) < together:
            raise UserError(
                f"runner.infer_ensemble is {together}, but {directory} has {len(best)} epochs "
                "that were validated: ask for as many."
            )
        return [best[:together]]
    if together > 1:
        raise UserError(
            "runner.infer_ensemble takes the epochs that are best in validation: leave out "
            "runner.infer_start_epoch and infer_end_epoch."
        )
    first, end = first or 0, required(config, "runner.infer_end_epoch")
    if end <= first:
        raise UserError("runner.infer_end_epoch has to lie above runner.infer_start_epoch.")
    epochs = range(first, end)  # one by one, lest a wrong end fill memory
    return ([directory / str(epoch)] for epoch in epochs)


def use_another(config: dict) -> str | None:
    """How to test another checkpoint than a damaged one that was asked for by its number."""
    return "test it with runner.infer_start_epoch" if "runner.infer_end_epoch" in config else None


def report(summary: dict, paths: list[Path], directory: Path, config: dict, split: str) -> None:
    """Write the meta-test to `meta_test.json` and print it."""
    where, views = str(paths[0].resolve()), config.get("runner.infer_views", 1)
    if "nonfinite" not in summary:
        how = {"split": split, "seed": config.get("runner.seed", 12345), "checkpoint": where}
        if len(paths) > 1:
            how["ensemble"] = [path.name for path in paths]
        if views > 1:
            how["views"] = views
        written = {**summary, **how}
        write_text(directory / "meta_test.json", json.dumps(finite(written), indent=2) + "\n")
    measure = measure_of(summary)
    print(f"inner steps  {measure}")
    scores = zip(summary[f"{measure}_per_step"], summary["ci95_per_step"])
    for step, (mean, ci) in enumerate(scores):
        print(f"{step:11d}  {shown(measure, mean, ci)}")
    if "nonfinite" in summary:
        raise UserError(f"{paths[0]}: {summary['nonfinite']}.")
    if "no_better" in summary:
        logger.warning(f"{summary['no_better']}.")
    way = f"{summary['way']}-way " if "way" in summary else ""
    others = f" with {len(paths) - 1} more" if len(paths) > 1 else ""
    if views > 1:
        others += f", each task in {views} views"
    print(f"{summary['tasks']} tasks, {way}{summary['shot']}-shot, {where}{others}")


def finite(value):
    """As JSON can have it: None for what is not a finite number, as the interval of one task."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    run(main)
