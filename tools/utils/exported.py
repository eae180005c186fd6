"""Exported models: tostatic.json (paddle 3) or .pdmodel, tostatic.pdiparams, and infer_cfg.yml.

The first two are Paddle Inference's, under the name that PaddleRec gives them; the last says in
YAML what goes in and what comes out, as other Paddle toolkits do.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import paddle
import yaml
from paddle import inference

from utils.errors import UserError

MODEL, DESCRIPTION = "tostatic", "infer_cfg.yml"
PROGRAMS = (".json", ".pdmodel")
OURS = {f"{MODEL}{s}" for s in (*PROGRAMS, ".pdiparams", ".pdiparams.info")} | {DESCRIPTION}


def check_target(directory: Path) -> None:
    """Refuse to write over what is no export."""
    strange = directory.is_file() or directory.is_dir() and {*os.listdir(directory)} - OURS
    if strange or directory.is_symlink():
        raise UserError(f"--out: {directory} is there and no export: name another directory.")


def write(directory: Path, layer: paddle.nn.Layer, input_spec: list, description: dict) -> None:
    """Write an export, whole or not at all, over an earlier one."""
    directory = directory.resolve()
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        paddle.jit.save(layer, str(unfinished / MODEL), input_spec=input_spec)
        text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
        (unfinished / DESCRIPTION).write_text(text, encoding="utf-8")
        if directory.exists():
            shutil.rmtree(directory)
        unfinished.rename(directory)
    except OSError as error:
        raise UserError(
            f"--out: cannot write {directory} ({error.strerror}): name another."
        ) from error


def describe(directory: Path) -> dict:
    """What `infer_cfg.yml` says; nothing for an export of PaddleRec's."""
    file = directory / DESCRIPTION
    if not file.is_file():
        return {}
    try:
        return dict(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: export again.") from error


def load(directory: Path, use_gpu: bool = False, cpu_threads: int = 1):
    """A Paddle Inference predictor for the export in `directory`, whatever it is called there."""
    programs = sorted(f for f in directory.glob("*") if f.suffix in PROGRAMS)
    programs = [f for f in programs if f.with_suffix(".pdiparams").is_file()]
    if len(programs) != 1:
        raise UserError(
            f"--model_dir: {directory} holds {len(programs) or 'no'} exported models (a "
            f"{' or '.join(PROGRAMS)} beside a .pdiparams): name the directory that "
            "tools/to_static.py wrote."
        )
    program = programs[0]
    if program.suffix == ".json" and paddle.__version__ < "3":
        raise UserError(f"{program} was exported by paddle 3: run it there, or export it again.")
    settings = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    if use_gpu:
        settings.enable_use_gpu(100, 0)
    else:
        settings.disable_gpu()
        settings.disable_mkldnn()
        settings.set_cpu_math_library_num_threads(cpu_threads)
    settings.disable_glog_info()
    try:
        return inference.create_predictor(settings)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{program} or its parameters are damaged: export it again.") from error


def run(predictor, inputs: list) -> list:
    """The outputs for one batch, numpy arrays both, in the order of the exported layer."""
    for name, value in zip(predictor.get_input_names(), inputs):
        predictor.get_input_handle(name).copy_from_cpu(value)
    predictor.run()
    return [predictor.get_output_handle(n).copy_to_cpu() for n in predictor.get_output_names()]
