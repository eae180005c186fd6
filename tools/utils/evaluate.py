"""A pass over validation or test data."""

from __future__ import annotations

import time

from utils.config import required
from utils.errors import UserError
from utils.progress import Progress

# What a model's summary may have a sentence of: tasks without a finite loss, and adapting that does
# not help.
REMARKS = "nonfinite", "no_better"


def check_evaluates(model_class, config) -> None:
    """Refuse a model that cannot be evaluated."""
    if not hasattr(model_class, "infer_forward"):
        raise UserError(
            f"{config['model_dir']}/dygraph_model.py has no infer_forward: evaluate such a model "
            "with its own script, and train it without runner.valid_data_dir."
        )


def evaluate(model_class, model, loader, epoch, config):
    """Run `infer_forward` over all batches; returns its metrics, their names and last tensors."""
    check_evaluates(model_class, config)
    model.eval()
    metrics, names = model_class.create_metrics()
    batch_size = required(config, "runner.infer_batch_size")
    progress = Progress(epoch, config.get("runner.print_interval", 10), None, batch_size)
    tensors = None
    for number, batch in progress.over(loader):
        started = time.time()
        metrics, tensors = model_class.infer_forward(model, metrics, batch, config)
        progress.report(number, started, metrics, names, tensors)
    progress.done(metrics, names, tensors)
    return metrics, names, tensors
