"""PaddleRec's command line and its YAML, read strictly."""

from __future__ import annotations

import argparse
import difflib
import os
from contextlib import suppress
from pathlib import Path

import yaml

from utils import safe_yaml
from utils.errors import UserError

SECTIONS = ("workspace", "runner", "hyper_parameters")

# The keys below `runner.`, with PaddleRec's names and meaning where it has them.
RUNNER = {
    "train_data_dir": str,
    "valid_data_dir": str,
    "test_data_dir": str,
    "train_reader_path": str,
    "infer_reader_path": str,
    "train_batch_size": int,
    "infer_batch_size": int,
    "num_workers": int,
    "processes": (int, str),
    "epochs": int,
    "valid_tasks": int,
    "infer_tasks": int,
    "print_interval": int,
    "model_save_path": str,
    "model_init_path": str,
    "infer_load_path": str,
    "infer_start_epoch": int,
    "infer_end_epoch": int,
    "infer_ensemble": int,
    "infer_views": int,
    "save_seconds": (int, float),
    "broken_images": int,
    "image_cache": str,
    "keep_checkpoints": int,
    "task_chunk": int,
    "resume": bool,
    "seed": int,
    "use_gpu": bool,
    "use_amp": bool,
    "use_fleet": bool,
    "use_visual": bool,
    "use_auc": bool,
}
# Devices of PaddleRec's trainer and infer that these tools do not have: accepted if false.
PADDLERECS = {
    "use_xpu": "there is runner.use_gpu.",
    "use_npu": "there is runner.use_gpu.",
}
AT_LEAST_ONE = (
    "train_batch_size",
    "infer_batch_size",
    "epochs",
    "valid_tasks",
    "infer_tasks",
    "print_interval",
    "task_chunk",
    "keep_checkpoints",
    "infer_ensemble",
)
MOST = dict.fromkeys(RUNNER, 2**31 - 1) | {"seed": 2**32 - 1}  # Paddle's and numpy's
AT_LEAST_ZERO = (
    "num_workers",
    "seed",
    "save_seconds",
    "broken_images",
    "infer_start_epoch",
    "infer_end_epoch",
)
ONE_OF = {"infer_views": (1, 4, 8)}  # a task as it is, turned, and mirrored too
_NAMES = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    (int, str): "a number or auto",
    (int, float): "a number",
}


def parse_arguments(
    description: str, arguments: list[str] | None = None, add_options=lambda parser: None
) -> argparse.Namespace:
    """PaddleRec's command line: -m CONFIG [-o key=value ...], and a tool's own options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "-m", "--config_yaml", required=True, metavar="CONFIG", help="the YAML configuration"
    )
    parser.add_argument(
        "-o",
        "--opt",
        nargs="*",
        action="extend",
        default=[],
        metavar="key=value",
        help="set a key of the configuration, e.g. -o runner.epochs=3 hyper_parameters.n_way=20",
    )
    add_options(parser)
    return parser.parse_args(arguments)


def load_config(path: str, overrides: list[str]) -> dict:
    """Read a configuration into a flat dict, {"runner.epochs": 3, ...}, and apply overrides.

    Adds `config_abs_dir`, the directory that relative data and output paths start from, and
    `model_dir`: that directory, or what `workspace` names below it.

    Raises
    ------
    UserError
        If the file cannot be read, or an override is not `key=value`.
    """
    file = Path(path)
    config = _flat(_read(file))
    for override in overrides:
        key, equals, value = override.strip().partition("=")
        if not equals:
            raise UserError(f"-o {override}: write key=value, e.g. -o runner.epochs=3.")
        if key in SECTIONS[1:]:
            raise UserError(f"-o {override}: {key} is a section; name a key in it, {key}.NAME=...")
        if value:
            config[key] = _value(key, value, config.get(key))
        else:
            config.pop(key, None)  # as a key without value in the file
    if not isinstance(config.get("workspace", ""), str):
        raise UserError(f"workspace is {config['workspace']!r}: it takes a directory's name.")
    directory = file.resolve().parent
    config["config_abs_dir"] = str(directory)
    config["model_dir"] = str(directory / config.get("workspace", ""))
    return config


def check_runner(config: dict) -> dict[str, str]:
    """Check the keys below `runner.`; returns those that the tools do not read, each with a hint.

    Raises
    ------
    UserError
        If a value has the wrong type or is out of range.
    """
    unread = {}
    for key, value in config.items():
        if not key.startswith("runner."):
            if key.split(".")[0] not in (*SECTIONS, "config_abs_dir", "model_dir"):
                unread[key] = f"the sections are {', '.join(SECTIONS)}."
            continue
        name = key[len("runner.") :]
        if name in PADDLERECS:
            if value:
                unread[key] = PADDLERECS[name]
        elif name not in RUNNER:
            near = difflib.get_close_matches(name, RUNNER, 1)
            unread[key] = (
                f"did you mean runner.{near[0]}?" if near else f"known: {', '.join(RUNNER)}."
            )
        elif not _fits(value, RUNNER[name]):
            raise UserError(f"{key} is {value!r}: it takes {_NAMES[RUNNER[name]]}.")
        elif name in ONE_OF and value not in ONE_OF[name]:
            raise UserError(f"{key} is {value}: it has to be one of {ONE_OF[name]}.")
        elif name in AT_LEAST_ONE and value < 1 or name in AT_LEAST_ZERO and not value >= 0:
            raise UserError(f"{key} is {value}: it takes {int(name in AT_LEAST_ONE)} or more.")
        elif type(value) is int and value > MOST[name]:
            raise UserError(f"{key} is {value}: it takes {MOST[name]} or less.")
    return unread


def required(config: dict, key: str):
    """The value of a key that has no default."""
    if key not in config:
        raise UserError(f"{key} is missing: add it to the configuration or set it with -o.")
    return config[key]


def path_of(config: dict, path: str) -> Path:
    """A path of the configuration; a relative one starts from the configuration's directory.

    Raises
    ------
    UserError
        If the system takes it for no path, or does not tell whether there is something.
    """
    try:
        found = Path(config["config_abs_dir"], os.path.expanduser(path))
        found.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise UserError(f"there is no way to {path} ({why}): correct the path.") from error
    return found


def _read(file: Path) -> dict:
    try:
        content = safe_yaml.load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; -m takes a YAML file.") from error
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line, why = (f", line {where.line + 1}", "") if where else ("", f" ({error})")
        raise UserError(f"{file}{line} is not valid YAML{why}: mend it.") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no keys: a configuration has {', '.join(SECTIONS)}.")
    return content


def _flat(tree: dict, prefix: str = "") -> dict:
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat


def _fits(value, kinds) -> bool:
    if kinds is bool:
        return value in (0, 1)  # as some of PaddleRec's files have it
    # isinstance would take true for a whole number.
    return type(value) in (kinds if isinstance(kinds, tuple) else (kinds,))


def _value(key: str, text: str, before):
    if key.startswith("runner.") and RUNNER.get(key[len("runner.") :]) is str:
        return text
    if isinstance(before, float):
        with suppress(ValueError):  # 1e-3 is text to YAML, and 1 a whole number
            return float(text)
    try:
        return safe_yaml.load(text)
    except yaml.YAMLError as error:
        raise UserError(f"-o {key}={text}: the value is not valid YAML.") from error
