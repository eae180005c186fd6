"""Train a PaddleRec model directory: python tools/trainer.py -m models/maml/config.yaml"""

from __future__ import annotations

import random
import time
from pathlib import Path

import utils.before_paddle  # noqa: F401

# isort: split
import numpy as np
import paddle
from utils import checkpoint, processes
from utils.config import path_of, required
from utils.errors import UserError, run
from utils.evaluate import evaluate
from utils.model import create_loader, open_tool
from utils.progress import Progress, logger


def main():
    arguments, config, model_class = open_tool(__doc__)
    if not processes.launched():
        for override in arguments.opt:
            logger.info(f"-o {override}")
        count = processes.wanted(config)
        required(config, "runner.epochs")
        processes.share(required(config, "runner.train_batch_size"), count)
        if count > 1:  # a user's mistakes are told of while there is one process to tell
            create_loaders(config)
            processes.launch(count, make_save_path(config) / "log")
    seed = config.get("runner.seed", 12345)
    paddle.seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    train(model_class, config)


def create_loaders(config):
    """The training data and, if the configuration names any, the validation data."""
    training = create_loader(config, "train")
    valid = create_loader(config, "valid") if "runner.valid_data_dir" in config else None
    return training, valid


def make_save_path(config) -> Path:
    """The directory for checkpoints, made if need be."""
    directory = path_of(config, config.get("runner.model_save_path", "model_output"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"runner.model_save_path: cannot write to {directory} ({error.strerror}): "
            "name another directory."
        ) from error
    return directory


def train(model_class, config) -> None:
    """Train for `runner.epochs`; after each one validate, save, and mark the best so far."""
    model = model_class.create_model(config)
    if "runner.model_init_path" in config:
        checkpoint.load(path_of(config, config["runner.model_init_path"]), model)
    optimizer = model_class.create_optimizer(model, config)
    parallel = model
    if processes.launched():
        processes.join()
        parallel = paddle.DataParallel(model)
    leading = paddle.distributed.get_rank() == 0
    loader, valid = create_loaders(config)
    directory = make_save_path(config)
    first = 0
    if config.get("runner.resume", False):
        first = checkpoint.resume(directory, model, optimizer)
        logger.info(f"going on with epoch {first}")
    elif leading and (aside := checkpoint.set_aside(directory)):
        logger.info(f"the checkpoints of an earlier training are now in {aside}")
    for epoch in range(first, required(config, "runner.epochs")):
        train_epoch(model_class, parallel, optimizer, loader, epoch, config)
        if not leading:
            continue
        validation = {}
        if valid is not None:
            metrics, names, _ = evaluate(model_class, model, valid, f"{epoch} validation", config)
            validation = {name: metric.accumulate() for name, metric in zip(names, metrics)}
        checkpoint.save(directory, epoch, model, optimizer, validation)
        if validation:
            checkpoint.mark_best(directory, names[0])
    logger.info(f"checkpoints are in {directory}")


def train_epoch(model_class, model, optimizer, loader, epoch, config) -> None:
    """One pass over the loader: forward, backward and a step of the optimizer per batch."""
    model.train()
    metrics, names = model_class.create_metrics()
    if hasattr(loader.dataset, "epoch"):
        loader.dataset.epoch = epoch
    scheduler = getattr(optimizer, "_learning_rate", None)
    progress = Progress(epoch, config.get("runner.print_interval", 10), batches(loader))
    tensors = None
    for number, batch in progress.over(loader):
        started = time.time()
        optimizer.clear_grad()
        loss, metrics, tensors = model_class.train_forward(model, metrics, batch, config)
        loss.backward()
        optimizer.step()
        if isinstance(scheduler, paddle.optimizer.lr.LRScheduler):
            scheduler.step()
        progress.report(number, started, metrics, names, tensors)
    progress.done(metrics, names, tensors)


def batches(loader) -> int | None:
    """How many batches a loader gives, if its reader knows its length."""
    try:
        samples = len(loader.dataset)
    except RuntimeError:  # what Paddle's datasets raise unless they define it
        return None
    return samples // (loader.batch_size * paddle.distributed.get_world_size())


if __name__ == "__main__":
    run(main)
