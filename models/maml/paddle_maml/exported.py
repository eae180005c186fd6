"""Exported models: tostatic.json (paddle 3) or .pdmodel, tostatic.pdiparams, and infer_cfg.yml.

The first two are Paddle Inference's, under the name that PaddleRec gives them; the last says in
YAML what goes in and what comes out, as other Paddle toolkits do. Nothing that is read is a pickle.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import paddle
import yaml
from paddle import inference

from . import plain_yaml
from .errors import UserError

MODEL, DESCRIPTION = "tostatic", "infer_cfg.yml"
PROGRAMS = (".json", ".pdmodel")
READ = {f"{MODEL}{s}" for s in (*PROGRAMS, ".pdiparams")}
OURS = READ | {f"{MODEL}.pdiparams.info", DESCRIPTION}


class Export(NamedTuple):
    """What is written.

    `layer` is in evaluation mode and takes what `input_spec` says; `description` goes into
    `infer_cfg.yml` beside it.
    """

    layer: paddle.nn.Layer
    input_spec: list
    description: dict


def check_target(directory: str | os.PathLike[str]) -> None:
    """Raise UserError rather than write over what is no export."""
    directory = Path(directory)
    try:
        strange = directory.is_file() or directory.is_dir() and {*os.listdir(directory)} - OURS
    except OSError as error:
        raise _unwritable(directory, error) from error
    if strange or directory.is_symlink():
        raise UserError(f"{directory} is there and no export: name another directory.")


def write(directory: str | os.PathLike[str], export: Export) -> None:
    """Write an export, whole or not at all, over an earlier one.

    A process that is killed between two renames leaves the earlier one as `.NAME.replaced`.

    Raises
    ------
    UserError
        If something else is there, or it cannot be written.
    """
    check_target(directory)
    directory = Path(directory).resolve()
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        paddle.jit.save(export.layer, str(unfinished / MODEL), input_spec=export.input_spec)
        sums = {name: _sum(unfinished / name) for name in sorted({*os.listdir(unfinished)} & READ)}
        described = {**export.description, "sha256": sums}
        text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
        (unfinished / DESCRIPTION).write_text(text, encoding="utf-8")
        _put_in_place(unfinished, directory)
    except OSError as error:
        raise _unwritable(directory, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(unfinished: Path, directory: Path) -> None:
    """Give an export its name; the one that has it is removed afterwards, or gets it back."""
    earlier = directory.with_name(f".{directory.name}.replaced")
    try:
        if directory.exists():
            shutil.rmtree(earlier, ignore_errors=True)
            directory.rename(earlier)
        unfinished.rename(directory)
    finally:
        if earlier.exists() and not directory.exists():
            earlier.rename(directory)
    shutil.rmtree(earlier, ignore_errors=True)


def describe(directory: str | os.PathLike[str]) -> dict:
    """What `infer_cfg.yml` says; nothing for an export of PaddleRec's, which has none.

    Raises
    ------
    UserError
        If it is damaged.
    """
    file = Path(directory) / DESCRIPTION
    if not file.is_file():
        return {}
    try:
        description = plain_yaml.load(file.read_text(encoding="utf-8"))
        if not isinstance(description.get("image", {}), dict):
            raise ValueError("what it says of images has no keys")
        return description
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: export again.") from error


def predictor(
    directory: str | os.PathLike[str], use_gpu: bool = False, cpu_threads: int = 1
) -> inference.Predictor:
    """A Paddle Inference predictor for the export in `directory`, whatever it is called there.

    Raises
    ------
    UserError
        If there is none, it is damaged, or a newer Paddle wrote it.
    """
    directory = Path(directory)
    programs = sorted(f for f in directory.glob("*") if f.suffix in PROGRAMS)
    programs = [f for f in programs if f.with_suffix(".pdiparams").is_file()]
    if len(programs) != 1:
        raise UserError(
            f"{directory} holds {len(programs) or 'no'} exported models (a "
            f"{' or '.join(PROGRAMS)} beside a .pdiparams): name the directory that "
            "tools/to_static.py wrote."
        )
    program = programs[0]
    damaged = f"{program} or its parameters are damaged: export it again."
    if program.suffix == ".json" and paddle.__version__ < "3":
        raise UserError(f"{program} was exported by paddle 3: run it there, or export it again.")
    if not _is_whole(directory):
        raise UserError(damaged)
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
        raise UserError(damaged) from error


def run(predictor: inference.Predictor, inputs: list) -> list:
    """The outputs for one batch, numpy arrays both, in the order of the exported layer."""
    for name, value in zip(predictor.get_input_names(), inputs):
        predictor.get_input_handle(name).copy_from_cpu(value)
    predictor.run()
    return [predictor.get_output_handle(n).copy_to_cpu() for n in predictor.get_output_names()]


def _is_whole(directory: Path) -> bool:
    """Whether the files are those that were written, as far as that was noted."""
    sums = describe(directory).get("sha256", {})
    try:
        return all(_sum(directory / Path(name).name) == sums[name] for name in sums)
    except (OSError, TypeError, ValueError):
        return False


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _unwritable(directory: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {directory} ({error.strerror or error}): name another.")
