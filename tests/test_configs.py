"""The recipes in models/maml/configs and the headline's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from dygraph_model import DygraphModel
from utils.config import check_runner, load_config

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "models/maml/configs").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_is_accepted_and_keeps_its_checkpoints_apart(recipe):
    config = load_config(str(recipe), [])
    assert check_runner(config) == {}
    DygraphModel().check(config)
    model = ROOT / "models/maml"
    for kind in ("train", "infer"):
        assert (model / f"{config[f'runner.{kind}_reader_path']}.py").is_file()
    for key in ("model_save_path", "infer_load_path"):
        assert config[f"runner.{key}"] == f"output_model_{recipe.stem}"


def test_the_headline_is_the_recipe_of_its_name():
    where = ("_data_dir", "_path", "_dir", "workspace")
    headline, recipe = (
        {key: value for key, value in load_config(str(path), []).items() if not key.endswith(where)}
        for path in (ROOT / "config.yaml", ROOT / "models/maml/configs/omniglot_5way_1shot.yaml")
    )
    assert headline == recipe
