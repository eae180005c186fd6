"""A model directory's parts: its model class and its readers."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import paddle
from paddle.distributed import get_world_size as world_size
from paddle.io import IterableDataset

from utils import checkpoint, processes
from utils.config import check_runner, load_config, parse_arguments, path_of, required
from utils.errors import UserError
from utils.loader import BatchesInTurn, Loader
from utils.progress import logger, start_log


def open_tool(description: str, add_options=lambda parser: None):
    """What a tool does before its own work; returns its arguments, configuration and model."""
    arguments = parse_arguments(description, add_options=add_options)
    start_log()
    config = load_config(arguments.config_yaml, arguments.opt)
    model_class = load_model_class(config)
    set_device(config)
    return arguments, config, model_class


def load_model_class(config: dict):
    """Import `DygraphModel` from the model directory and let it check the configuration.

    Of a model directory that was written for PaddleRec, unread keys are only warned of.
    """
    directory = config["model_dir"]
    if not os.path.isfile(os.path.join(directory, "dygraph_model.py")):
        raise UserError(
            f"{directory} has no dygraph_model.py: put the configuration into a model directory, "
            "or name one with the key workspace."
        )
    sys.path.insert(1, directory)
    model_class = importlib.import_module("dygraph_model").DygraphModel()
    unread = check_runner(config)
    if not foreign(model_class):
        for key, hint in unread.items():
            raise UserError(f"unknown key {key}: {hint}")
        model_class.check(config)
    elif unread:
        logger.warning(f"not read by these tools, perhaps by the model: {', '.join(unread)}")
    return model_class


def foreign(model_class) -> bool:
    """Whether the model was written for PaddleRec's tools: those for these have `check(config)`."""
    return not hasattr(model_class, "check")


def set_device(config: dict) -> None:
    """Take the GPU if `runner.use_gpu` asks for one and there is one, else the CPU."""
    wanted = config.get("runner.use_gpu", True)
    found = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    if wanted and not found:
        logger.warning("runner.use_gpu is true but Paddle finds no GPU here: running on the CPU")
    paddle.set_device("gpu" if wanted and found else "cpu")


def best_model(model_class, config: dict):
    """The model with its best parameters, to be used, and the checkpoint that they are of."""
    directory = path_of(config, config.get("runner.infer_load_path", "model_output"))
    found = checkpoint.best_or_last(directory)
    paddle.seed(config.get("runner.seed", 12345))
    model = model_class.create_model(config)
    checkpoint.load(found, model)
    model.eval()
    return model, found.resolve()


def create_loader(config: dict, split: str, drop_last: bool = False) -> Loader:
    """The batches of a split: "train", always without an incomplete last one, "valid" or "test"."""
    training = split == "train"
    batch_size = required(config, f"runner.{'train' if training else 'infer'}_batch_size")
    reader = config.get(f"runner.{'train' if training else 'infer'}_reader_path", "reader")
    directory = data_directory(config, f"runner.{split}_data_dir")
    files = [os.path.join(directory, name) for name in os.listdir(directory)]
    if not files:
        raise UserError(f"runner.{split}_data_dir: {directory} is empty: put the data there.")
    reader_class = import_reader(reader, config["model_dir"], "runner.*_reader_path")
    dataset = reader_class(files, {**config, "split": split})
    ranks = world_size() if training else 1
    batch_size = processes.share(batch_size, ranks)
    workers = config.get("runner.num_workers", 0)
    if (workers or ranks > 1) and not hasattr(dataset, "shares_workers"):
        if isinstance(dataset, IterableDataset):
            dataset = BatchesInTurn(dataset, batch_size, ranks)
        elif ranks > 1:
            raise UserError(f"{reader}.py is no IterableDataset: train it in one process.")
    return Loader(
        dataset,
        batch_size=batch_size,
        drop_last=training or drop_last,
        num_workers=workers,
    )


def data_directory(config: dict, key: str) -> Path:
    """The directory that a key names, or in a sentence why there is none."""
    named = required(config, key)
    directory = path_of(config, named)
    if directory.is_dir():
        return directory
    if directory.is_file():
        raise UserError(f"{key}: {directory} is a file: unpack it, and name the directory.")
    here = Path(named).absolute()
    if here.is_dir():
        remedy = f"paths start from the configuration's directory; write {here}"
    elif directory.parent.is_dir() and key == "runner.valid_data_dir":
        remedy = "correct the path, or leave the key out to train without validation"
    else:
        remedy = (
            "correct the path, or make the data: python datasets/omniglot/prepare.py, or that of "
            "datasets/mini_imagenet"
        )
    raise UserError(f"{key}: there is no directory {directory}: {remedy}.")


def import_reader(name: str, directory, key: str):
    """The reader of a module in `directory`, which is on Python's path; `key` is what named it."""
    missing = UserError(f"{key}: there is no reader {name}.py in {directory}: correct the name.")
    if not all(part.isidentifier() for part in name.split(".")):
        raise missing
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        raise missing from error
    if not hasattr(module, "RecDataset"):
        raise UserError(f"{key}: {name}.py has no RecDataset: name the model's reader.")
    return module.RecDataset
