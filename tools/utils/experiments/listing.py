"""The list of experiments, a YAML file.

experiments:
  NAME:                     # its directory is OUT/NAME-SEED
    recipe: config.yaml     # what -m takes; from the list's directory, as every path here
    label: 5-way 1-shot     # in tables and plots; NAME if not given
    options: [hyper_parameters.order=1]             # what -o takes
    seeds: [12345]          # that if not given
    budget: 1800            # seconds of wall time for training; as many as it takes if not given
    published: 98.7 ± 0.4 % # what it is to be held against
    source: Finn et al. (2017), table 1
tables:
  GROUP:
    title: Omniglot
    figures: {accuracy: accuracy}   # column: figure of meta_test.json, e.g. mse_per_step[1]
    experiments: [NAME]
plots:
  NAME:
    file: images/order.svg
    x: minutes              # or steps, as if not given
    experiments: [NAME]
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from utils import safe_yaml
from utils.config import load_config
from utils.errors import UserError

SEED = 12345  # PaddleRec's
FIGURE = re.compile(r"(\w+)(?:\[(\d+)\])?")
# Of a configuration, what the runner sets itself or what changes no figure.
PLACES = ("runner.model_save_path", "runner.infer_load_path", "config_abs_dir", "model_dir")
WITHOUT_EFFECT = ("runner.resume", "runner.print_interval")
WITHOUT_EFFECT += ("runner.save_seconds", "runner.keep_checkpoints")
WITHOUT_EFFECT += ("runner.use_visual", *PLACES)
# What a training knows nothing of: the meta-test alone follows from it.
OF_TEST = ("runner.test_data_dir", "runner.infer_tasks", "runner.infer_ensemble")
OF_TEST += ("runner.infer_views", "runner.infer_start_epoch", "runner.infer_end_epoch")


class Experiment(NamedTuple):
    """A recipe with overrides, to be run with each of the seeds."""

    name: str
    recipe: Path
    label: str
    options: list[str]
    seeds: list[int]
    budget: float | None
    published: str
    source: str

    def settings(self, seed: int) -> dict:
        """What the figures of a run follow from; they are its own as long as this is the same."""
        settings = shaping(load_config(str(self.recipe), [*self.options, f"runner.seed={seed}"]))
        if self.budget is None:
            return settings
        settings.pop("runner.epochs", None)  # follows from the budget
        return {**settings, "budget": self.budget}


class Table(NamedTuple):
    title: str
    figures: dict[str, str]  # by the heading of their column
    experiments: list[Experiment]


class Plot(NamedTuple):
    file: Path
    x: str
    experiments: list[Experiment]


class Listing(NamedTuple):
    """A list of experiments and what is to be shown of them."""

    experiments: dict[str, Experiment]
    tables: dict[str, Table]
    plots: dict[str, Plot]

    def chosen(self, names: list[str] | None) -> list[Experiment]:
        """The experiments of these names, in the order of the list; all without names."""
        for name in names or []:
            _known(name, self.experiments, "--only")
        return [e for e in self.experiments.values() if names is None or e.name in names]


def shaping(config: dict) -> dict:
    """A configuration without what has no effect on a run's figures."""
    return {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}


def read_listing(path: str) -> Listing:
    """Read a list, and the recipes that it names.

    Raises
    ------
    UserError
        If a file cannot be read, or the list has a wrong key or value.
    """
    file = Path(path)
    try:
        content = safe_yaml.load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; name a list.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{file} is not valid YAML: mend it.") from error
    keys = {"experiments": dict, "tables": dict, "plots": dict}
    sections = _checked(str(file), content, keys, ("experiments",))
    here = file.resolve().parent
    experiments = {
        name: _experiment(name, given, here) for name, given in sections["experiments"].items()
    }
    for experiment in experiments.values():
        for seed in experiment.seeds:
            experiment.settings(seed)
    tables = {
        name: _table(f"tables.{name}", given, experiments)
        for name, given in sections.get("tables", {}).items()
    }
    plots = {
        name: _plot(f"plots.{name}", given, experiments, here)
        for name, given in sections.get("plots", {}).items()
    }
    return Listing(experiments, tables, plots)


def _experiment(name, given, here) -> Experiment:
    where = f"experiments.{name}"
    if not re.fullmatch(r"[\w.-]+", str(name)):
        raise UserError(f"{where}: a name takes letters, digits and _ . - alone.")
    keys = {"recipe": str, "label": str, "options": list, "seeds": list, "budget": (int, float)}
    keys |= {"published": (str, int, float), "source": str}
    given = _checked(where, given, keys, ("recipe",))
    options, seeds = given.get("options", []), given.get("seeds", [SEED])
    for option in options:
        key = str(option).partition("=")[0]
        if key in (*PLACES, "runner.seed", "runner.resume"):
            raise UserError(f"{where}.options: {key} is set by this tool; take it out.")
    if not seeds or any(type(seed) is not int for seed in seeds) or len({*seeds}) < len(seeds):
        raise UserError(f"{where}.seeds is {seeds}: it takes different whole numbers.")
    return Experiment(
        str(name),
        here / given["recipe"],
        given.get("label", str(name)),
        [str(option) for option in options],
        seeds,
        given.get("budget"),
        str(given.get("published", "")),
        given.get("source", ""),
    )


def _table(where, given, experiments) -> Table:
    keys = {"title": str, "figures": dict, "experiments": list}
    given = _checked(where, given, keys, ("title", "experiments"))
    figures = given.get("figures", {"accuracy": "accuracy"})
    for figure in figures.values():
        if not FIGURE.fullmatch(str(figure)):
            raise UserError(
                f"{where}.figures: {figure!r} is no figure of meta_test.json; write NAME or "
                "NAME[INDEX]."
            )
    return Table(given["title"], figures, _members(where, given, experiments))


def _plot(where, given, experiments, here) -> Plot:
    keys = {"file": str, "x": str, "experiments": list}
    given = _checked(where, given, keys, ("file", "experiments"))
    x = given.get("x", "steps")
    if x not in ("steps", "minutes"):
        raise UserError(f"{where}.x is {x}: it takes steps or minutes.")
    return Plot(here / given["file"], x, _members(where, given, experiments))


def _members(where, given, experiments) -> list[Experiment]:
    return [
        experiments[_known(name, experiments, f"{where}.experiments")]
        for name in given["experiments"]
    ]


def _checked(where: str, given, kinds: dict, needed: tuple) -> dict:
    """The keys that were given a value, each known and of its type."""
    if not isinstance(given, dict):
        raise UserError(f"{where} holds no keys: it takes {', '.join(kinds)}.")
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        _known(key, kinds, where)
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise UserError(f"{where}.{key} is {value!r}: it takes {_WORDS[kinds[key]]}.")
    for key in needed:
        if key not in given:
            raise UserError(f"{where}.{key} is missing: add it.")
    return given


_WORDS = {
    str: "text",
    (str, int, float): "text",
    (int, float): "a number",
    list: "a list",
    dict: "keys with values",
}


def _known(name, names, where: str):
    if name in names:
        return name
    near = difflib.get_close_matches(str(name), map(str, names), 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(map(str, names))}."
    raise UserError(f"{where}: unknown {name}: {hint}")
