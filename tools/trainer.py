"""Train a PaddleRec model directory: python tools/trainer.py -m models/maml/config.yaml"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import utils.before_paddle  # noqa: F401

# isort: split
import paddle
from utils import checkpoint, processes, randomness, splits
from utils.checkpoint import Position
from utils.config import path_of, required
from utils.divergence import check_finite, last_good_named
from utils.errors import run, writing
from utils.evaluate import REMARKS, check_evaluates, evaluate
from utils.history import History, changed
from utils.lock import locked
from utils.measure import gradient_norm, measured
from utils.model import create_loader, foreign, open_tool
from utils.progress import Progress, logger
from utils.stop import Stop
from utils.visual import Visual, log_writer


def main():
    arguments, config, model_class = open_tool(__doc__)
    # PaddleRec's word for having been launched, which the environment says as well.
    fleet = config.pop("runner.use_fleet", False)
    if not processes.launched():
        for override in arguments.opt:
            logger.info(f"-o {override}")
        if fleet:
            logger.warning("runner.use_fleet: 1 process; start python -m paddle.distributed.launch")
        count = 1 if fleet else processes.wanted(config)
        required(config, "runner.epochs")
        if config.get("runner.use_visual", False):
            log_writer()
        processes.share(required(config, "runner.train_batch_size"), count)
        if count > 1:  # a user's mistakes are told of while there is one process to tell
            training, _ = create_loaders(config)
            model = create_model(model_class, config)
            optimizer = model_class.create_optimizer(model, config)
            directory = make_save_path(config)
            with locked(directory):
                if config.get("runner.resume", False):
                    checkpoint.resume(directory, model, optimizer)
                    splits.check_same(directory, training.reader)
            sys.exit(processes.run(count, work, directory / "log"))
    randomness.seed(config.get("runner.seed", 12345))
    train(model_class, config)


def work() -> None:
    """What each of several processes does."""
    run(main)


def create_loaders(config):
    """The training data and, if the configuration names any, the validation data."""
    training = create_loader(config, "train")
    valid = create_loader(config, "valid") if "runner.valid_data_dir" in config else None
    return training, valid


def create_model(model_class, config):
    """The model with its parameters at the start, as far as files have them."""
    if "runner.valid_data_dir" in config:
        check_evaluates(model_class, config)
    model = model_class.create_model(config)
    if "runner.model_init_path" in config:
        found = path_of(config, config["runner.model_init_path"])
        checkpoint.load(found, model, use="name it in runner.model_init_path")
    return model


def make_save_path(config) -> Path:
    """The directory for checkpoints, made if need be."""
    directory = path_of(config, config.get("runner.model_save_path", "model_output"))
    with writing(f"{directory}, which is runner.model_save_path"):
        directory.mkdir(parents=True, exist_ok=True)
    return directory


def train(model_class, config) -> None:
    """Train for `runner.epochs`; after each one validate, save, and mark the best so far."""
    model = create_model(model_class, config)
    optimizer = model_class.create_optimizer(model, config)
    parallel = model
    if processes.launched():
        processes.join()
        parallel = paddle.DataParallel(model)
    leading = paddle.distributed.get_rank() == 0
    loader, valid = create_loaders(config)
    directory = make_save_path(config)
    lock = locked(directory) if leading else nullcontext()
    with lock, last_good_named(directory, leading), Stop() as stop:
        if config.get("runner.resume", False):
            splits.check_same(directory, loader.reader)
        position = begin(directory, model_class, model, optimizer, config, leading)
        if leading:
            splits.record(directory, loader.reader)
        records = open_records(directory, config, position) if leading else []
        config["meta_steps"] = position.step  # for models that count them, lest they begin anew
        seconds, on_gpu = config.get("runner.save_seconds", 60), paddle.get_device() != "cpu"
        saved = time.time()
        while position.epoch < required(config, "runner.epochs"):
            host_state = randomness.host_state()
            steps = train_epoch(model_class, parallel, optimizer, loader, position, config)
            for position, values in steps:
                for record in records if values else ():
                    record.add("train", position.epoch, position.step, values)
                stopping = stop.agreed()
                looked_at = values or not on_gpu  # a GPU's numbers are when some are printed
                due = seconds and time.time() - saved >= seconds and looked_at
                if leading and (stopping or due):
                    check_numbers(model_class, model, optimizer, position)
                    checkpoint.save(directory, position, model, optimizer, host_state)
                    saved = time.time()
                if stopping:
                    processes.wait_for_all()
                    raise stop.stopped(directory / position.name)
            ended, position = position, Position(position.epoch + 1, 0, position.step)
            if leading:
                check_numbers(model_class, model, optimizer, ended)
                values = None
                if valid is not None:  # lest a kill or a stop while validating lose more than that
                    checkpoint.save(directory, ended, model, optimizer, host_state)
                    with stop.at_once(directory / ended.name):
                        values = validate(model_class, model, valid, position, records, config)
                host_state = randomness.host_state()
                checkpoint.save(directory, position, model, optimizer, host_state, values)
                saved = time.time()
                select(directory, model_class, config)
    logger.info(f"checkpoints are in {directory}")


def check_numbers(model_class, model, optimizer, position) -> None:
    """Refuse to save what is not finite; what PaddleRec's own models come to is theirs."""
    if not foreign(model_class):
        check_finite(model, optimizer, position)


def select(directory, model_class, config) -> None:
    """Mark the best of the epochs and remove those that need not be kept."""
    if "runner.valid_data_dir" in config:
        checkpoint.mark_best(directory, getattr(model_class, "lower_is_better", False))
    if "runner.keep_checkpoints" in config:
        checkpoint.prune(directory, config["runner.keep_checkpoints"])


def begin(directory, model_class, model, optimizer, config, leading) -> Position:
    """Go on from the newest checkpoint, or put those of an earlier training aside."""
    if config.get("runner.resume", False):
        position = checkpoint.resume(directory, model, optimizer)
        logger.info(f"going on with epoch {position.epoch}, batch {position.batch}")
        if leading:  # a kill may have come before that
            checkpoint.tidy(directory)
            select(directory, model_class, config)
        if leading and (keys := changed(directory, config)):
            logger.warning(f"going on with other settings than before: {', '.join(keys)}")
        return position
    if leading and (aside := checkpoint.set_aside(directory)):
        logger.info(f"the checkpoints of an earlier training are now in {aside}")
    return Position()


def open_records(directory, config, position) -> list:
    """What the run is recorded in: its history and, if asked for, VisualDL."""
    records = [History(directory, config, position.epoch, position.step)]
    if config.get("runner.use_visual", False):
        records.append(Visual(directory, "train"))
    return records


def train_epoch(model_class, model, optimizer, loader, position, config):
    """Train from `position` to the end of its epoch.

    Yields, after each batch, where training stands and, every `runner.print_interval` batches, what
    was measured. That of batches passed over after a resume is where the resume began.
    """
    model.train()
    metrics, names = model_class.create_metrics()
    if hasattr(loader.reader, "epoch"):
        loader.reader.epoch = position.epoch
    scheduler = getattr(optimizer, "_learning_rate", None)
    interval = config.get("runner.print_interval", 10)
    progress = Progress(position.epoch, interval, batches(loader))
    first, tensors = position.batch, None
    for number, batch in progress.over(loader):
        if number < first:  # trained on before a resume
            yield position, None
            continue
        started = time.time()
        optimizer.clear_grad()
        config["position"] = position  # for models that say where a number is not finite
        loss, metrics, tensors = model_class.train_forward(model, metrics, batch, config)
        loss.backward()
        values = None
        if number % interval == 0:
            values = measured(metrics, names, tensors) | {
                "learning_rate": float(optimizer.get_lr()),
                "gradient_norm": gradient_norm(model),
                "waiting": progress.waiting(),
            }
        optimizer.step()
        if isinstance(scheduler, paddle.optimizer.lr.LRScheduler):
            scheduler.step()
        progress.report(number, started, metrics, names, tensors)
        position = Position(position.epoch, number + 1, position.step + 1)
        yield position, values
    if position.batch > first:
        progress.done(metrics, names, tensors)


def validate(model_class, model, loader, position, records, config) -> dict[str, float]:
    """Evaluate and record the epoch that ended at `position`; returns the metrics by name."""
    epoch = position.epoch - 1
    metrics, names, tensors = evaluate(model_class, model, loader, f"{epoch} validation", config)
    values = measured(metrics, names, tensors)
    summary = getattr(model_class, "summary", lambda *_: {})(metrics, config)
    for remark in (key for key in REMARKS if key in summary):
        logger.warning(f"validation of epoch {epoch}: {summary[remark]}.")
    for record in records:
        record.add("valid", epoch, position.step, values, summary)
        if isinstance(record, Visual) and hasattr(model_class, "episodes"):
            episodes = model_class.episodes(model, next(iter(loader)), config)
            record.add_episodes(islice(episodes, 4), position.step)
    return values


def batches(loader) -> int | None:
    """How many batches a loader gives, if its reader knows its length."""
    try:
        samples = len(loader.reader)
    except (TypeError, RuntimeError):  # Paddle's IterableDataset has a __len__, which raises
        return None
    return samples // (loader.batch_size * paddle.distributed.get_world_size())


if __name__ == "__main__":
    run(main)
