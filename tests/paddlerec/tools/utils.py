"""What the stand-ins for PaddleRec's trainer and infer share."""

import argparse
import importlib
import os
import sys

import paddle
import yaml


def read_config():
    """The flat config, with PaddleRec's ways of reading it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--config_yaml")
    parser.add_argument("-o", "--opt", nargs="*", default=[])  # of several -o the last one holds
    arguments = parser.parse_args()
    with open(arguments.config_yaml, encoding="utf-8") as file:
        sections = yaml.safe_load(file)
    config = {"config_abs_dir": os.path.dirname(os.path.abspath(arguments.config_yaml))}
    for section in ("workspace", "runner", "hyper_parameters"):  # others are dropped
        config.update(flat(section, sections.get(section)))
    for option in arguments.opt:
        key, value = option.split("=")
        # Cast by the type of what is there: an absent key stays text, so that "False" is true.
        kind = type(config.get(key))
        if kind in (int, float):
            value = kind(value)
        elif kind is bool:
            value = value.lower() == "true"
        config[key] = value
    return config


def flat(prefix, value):
    """{"a.b": 1} from a: {b: 1}."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for name in value for k, v in flat(f"{prefix}.{name}", value[name]).items()}


def load_model_class(config):
    """The model directory comes last on the path: a utils.py in it would never be found."""
    sys.path.append(config["config_abs_dir"])
    return importlib.import_module("dygraph_model").DygraphModel()


def create_loader(config, split):
    """Train and test reader get the same config, and files in the order of the directory."""
    kind = "train" if split == "train" else "infer"
    directory = os.path.join(config["config_abs_dir"], config[f"runner.{split}_data_dir"])
    files = [os.path.join(directory, name) for name in os.listdir(directory)]
    reader = importlib.import_module(config[f"runner.{kind}_reader_path"])
    return paddle.io.DataLoader(
        reader.RecDataset(files, config=config),
        batch_size=config[f"runner.{kind}_batch_size"],  # of each process
        drop_last=True,
        num_workers=int(config.get("runner.num_workers", 0)),
    )


def batches(loader):
    """The batches of an epoch, after a look at the first that opens the reader once more."""
    assert any(loader())
    return enumerate(loader())


def printed(metrics, names, tensors):
    """PaddleRec strips the brackets of an array and expects the rest to fit on the line."""
    text = "".join(f"{name}: {metric.accumulate():.6f}," for name, metric in zip(names, metrics))
    return text + "".join(f"{n}:{str(t.numpy()).strip('[]')}," for n, t in (tensors or {}).items())
