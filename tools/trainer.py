"""Train a PaddleRec model directory: python tools/trainer.py -m models/maml/config.yaml"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import utils.before_paddle  # noqa: F401

# isort: split
import paddle
from utils import checkpoint, processes, randomness
from utils.checkpoint import Position
from utils.config import path_of, required
from utils.errors import UserError, run
from utils.evaluate import evaluate, measured
from utils.history import History, changed
from utils.model import create_loader, open_tool
from utils.picture import episode_picture
from utils.progress import Progress, logger
from utils.visual import Visual, log_writer


def main():
    arguments, config, model_class = open_tool(__doc__)
    # PaddleRec's word for having been launched, which the environment says as well.
    fleet = config.pop("runner.use_fleet", False)
    if not processes.launched():
        for override in arguments.opt:
            logger.info(f"-o {override}")
        count = 1 if fleet else processes.wanted(config)
        required(config, "runner.epochs")
        if config.get("runner.use_visual", False):
            log_writer()
        processes.share(required(config, "runner.train_batch_size"), count)
        if count > 1:  # a user's mistakes are told of while there is one process to tell
            create_loaders(config)
            processes.launch(count, make_save_path(config) / "log")
    randomness.seed(config.get("runner.seed", 12345))
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
    position = Position()
    if config.get("runner.resume", False):
        position = checkpoint.resume(directory, model, optimizer)
        logger.info(f"going on with epoch {position.epoch}, batch {position.batch}")
        if leading and (keys := changed(directory, config)):
            logger.warning(f"going on with other settings than before: {', '.join(keys)}")
    elif leading and (aside := checkpoint.set_aside(directory)):
        logger.info(f"the checkpoints of an earlier training are now in {aside}")
    records = []
    if leading:
        records.append(History(directory, config, position.step))
        if config.get("runner.use_visual", False):
            records.append(Visual(directory, "train"))
    seconds = config.get("runner.save_seconds", 60)
    saved = time.time()
    while position.epoch < required(config, "runner.epochs"):
        host_state = randomness.host_state()
        steps = train_epoch(model_class, parallel, optimizer, loader, position, config)
        for position, values in steps:
            for record in records if values else ():
                record.add("train", position.epoch, position.step, values)
            if leading and seconds and time.time() - saved >= seconds:
                checkpoint.save(directory, position, model, optimizer, host_state)
                saved = time.time()
        epoch, position = position.epoch, Position(position.epoch + 1, 0, position.step)
        if not leading:
            continue
        values = None
        if valid is not None:
            values, summary = validate(model_class, model, valid, epoch, config)
            for record in records:
                record.add("valid", epoch, position.step, values, summary)
                if isinstance(record, Visual):
                    record.add_pictures(pictures(model_class, model, valid, config), position.step)
        checkpoint.save(directory, position, model, optimizer, randomness.host_state(), values)
        saved = time.time()
        if values:
            checkpoint.mark_best(directory, next(iter(values)))
    logger.info(f"checkpoints are in {directory}")


def train_epoch(model_class, model, optimizer, loader, position, config):
    """Train from `position` to the end of its epoch.

    Yields, after each batch, where training stands and, every `runner.print_interval` batches, what
    was measured.
    """
    model.train()
    metrics, names = model_class.create_metrics()
    if hasattr(loader.dataset, "epoch"):
        loader.dataset.epoch = position.epoch
    scheduler = getattr(optimizer, "_learning_rate", None)
    interval = config.get("runner.print_interval", 10)
    progress = Progress(position.epoch, interval, batches(loader))
    tensors = None
    for number, batch in progress.over(loader):
        if number < position.batch:  # trained on before a resume
            continue
        started = time.time()
        optimizer.clear_grad()
        loss, metrics, tensors = model_class.train_forward(model, metrics, batch, config)
        loss.backward()
        values = None
        if number % interval == 0:
            values = measured(metrics, names, tensors) | {
                "learning_rate": float(optimizer.get_lr()),
                "gradient_norm": gradient_norm(model),
            }
        optimizer.step()
        if isinstance(scheduler, paddle.optimizer.lr.LRScheduler):
            scheduler.step()
        progress.report(number, started, metrics, names, tensors)
        position = Position(position.epoch, number + 1, position.step + 1)
        yield position, values
    if tensors is not None:
        progress.done(metrics, names, tensors)


def validate(model_class, model, loader, epoch, config) -> tuple[dict, dict]:
    """The metrics over the validation data, and the model's summary of them if it makes one."""
    metrics, names, tensors = evaluate(model_class, model, loader, f"{epoch} validation", config)
    summary = getattr(model_class, "summary", lambda *_: {})(metrics, config)
    return measured(metrics, names, tensors), summary


def pictures(model_class, model, loader, config) -> list:
    """The first episodes of the validation data as images, if the model shows any."""
    if not hasattr(model_class, "episodes"):
        return []
    episodes = model_class.episodes(model, next(iter(loader)), config)
    return [episode_picture(episode) for episode in islice(episodes, 4)]


def gradient_norm(model) -> float:
    """The Euclidean norm of the gradient of all parameters, nan where Paddle keeps it sparse."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if any(g.is_selected_rows() for g in gradients):
        return float("nan")
    return float(sum((g.astype("float32") ** 2).sum() for g in gradients) ** 0.5)


def batches(loader) -> int | None:
    """How many batches a loader gives, if its reader knows its length."""
    try:
        samples = len(loader.dataset)
    except (TypeError, RuntimeError):  # Paddle's IterableDataset has a __len__, which raises
        return None
    return samples // (loader.batch_size * paddle.distributed.get_world_size())


if __name__ == "__main__":
    run(main)
