"""A pass over validation or test data."""

from __future__ import annotations

import time

from utils.errors import UserError
from utils.progress import Progress


def evaluate(model_class, model, loader, epoch, config):
    """Run `infer_forward` over all batches; returns its metrics, their names and last tensors."""
    model.eval()
    metrics, names = model_class.create_metrics()
    progress = Progress(epoch, config.get("runner.print_interval", 10), None)
    number = tensors = None
    for number, batch in progress.over(loader):
        started = time.time()
        metrics, tensors = model_class.infer_forward(model, metrics, batch, config)
        progress.report(number, started, metrics, names, tensors)
    if number is None:
        raise UserError("the reader gave no batch: there is nothing to evaluate on.")
    progress.done(metrics, names, tensors)
    return metrics, names, tensors
