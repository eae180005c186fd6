"""The model directory, copied into a checkout whose tools behave like PaddleRec's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import google.protobuf
import paddle
import pytest
import yaml
from trees import write_photographs

ROOT = Path(__file__).parents[2]
TINY = {
    "runner.epochs": 2,
    "runner.print_interval": 1,
    "runner.valid_tasks": 4,
    "runner.infer_tasks": 40,
    "runner.infer_start_epoch": 0,
    "runner.infer_end_epoch": 2,
    "hyper_parameters.tasks_per_epoch": 16,
    "hyper_parameters.bn_channel": 8,
}
NUMBER = r"-?\d+\.\d+"
VALUES = rf"acc: ({NUMBER}),ci95: ({NUMBER}),tasks: ({NUMBER}),"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The copy of models/maml in a checkout, its config.yaml made small."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(Path(__file__).parent / "tools", checkout / "tools")
    model = checkout / "models/multitask/maml_so"
    shutil.copytree(ROOT / "models/maml", model)
    config = yaml.safe_load((model / "config.yaml").read_text())
    for key, value in TINY.items():
        section, name = key.split(".")
        config[section][name] = value
    (model / "config.yaml").write_text(yaml.safe_dump(config))
    return model


@pytest.fixture(scope="module")
def run(model):
    """run(tool, *overrides, launcher=(...)): PaddleRec's command line, in the model directory."""

    def run(tool: str, *overrides: str, launcher=()) -> str:
        command = [sys.executable, "-u", *launcher, f"../../../tools/{tool}.py"]
        options = ["-m", "config.yaml", *(["-o", *overrides] if overrides else [])]
        done = subprocess.run(
            [*command, *options], cwd=model, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr  # where Python logs to

    return run


@pytest.fixture(scope="module")
def log(run) -> str:
    """What a training printed; its checkpoints are in output_model_maml, below the copy."""
    return run("trainer")


def train_here(model: Path, output: Path, *overrides: str) -> None:
    """The same training under this project's tools."""
    command = [sys.executable, str(ROOT / "tools/trainer.py"), "-m", str(model / "config.yaml")]
    where = f"runner.model_save_path={output}"
    done = subprocess.run(
        [*command, "-o", where, *overrides], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def parameters(output: Path) -> list[bytes]:
    return [(output / str(epoch) / "rec.pdparams").read_bytes() for epoch in range(2)]


def test_each_batch_is_logged_and_each_epoch_saved(log, model):
    line = rf" epoch: (\d)(?:, batch_id: (\d),| done,) {VALUES}loss:{NUMBER},$"
    lines = re.findall(line, log, re.MULTILINE)
    assert [line[:2] for line in lines] == [
        ("0", "0"),
        ("0", "1"),
        ("0", ""),
        ("1", "0"),
        ("1", "1"),
        ("1", ""),
    ]
    assert [float(line[-1]) for line in lines] == [8, 16, 16, 8, 16, 16]
    saved = (model / "output_model_maml").rglob("*.*")
    assert sorted(str(path.relative_to(model)) for path in saved) == [
        f"output_model_maml/{epoch}/rec.{kind}"
        for epoch in (0, 1)
        for kind in ("pdopt", "pdparams")
    ]


def test_the_parameters_are_those_of_this_projects_tools(log, model, tmp_path):
    train_here(model, tmp_path)
    assert parameters(model / "output_model_maml") == parameters(tmp_path)


def test_worker_processes_do_not_change_the_parameters(log, run, model):
    run("trainer", "runner.num_workers=2", "runner.model_save_path=with_workers")
    assert parameters(model / "with_workers") == parameters(model / "output_model_maml")


@pytest.mark.skipif(
    paddle.__version__ < "3" and int(google.protobuf.__version__.split(".")[0]) > 6,
    reason="fleet of paddle 2.6 needs protobuf below 7",
)
def test_two_processes_of_fleet_train_as_this_projects_two_on_twice_the_batch(run, model, tmp_path):
    launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node=2", "--log_dir", str(tmp_path)]
    overrides = ["runner.use_fleet=True", "runner.train_batch_size=4"]
    run("trainer", *overrides, "runner.model_save_path=with_fleet", launcher=launcher)
    train_here(model, tmp_path, "runner.processes=2", "runner.train_batch_size=8")
    assert parameters(model / "with_fleet") == parameters(tmp_path)


def test_the_last_line_of_infer_is_this_projects_meta_test(log, run, model):
    found = re.findall(rf" epoch: (\d) done, {VALUES}loss:{NUMBER},$", run("infer"), re.MULTILINE)
    assert [(epoch, float(tasks)) for epoch, _, _, tasks in found] == [("0", 40), ("1", 40)]
    command = [sys.executable, str(ROOT / "tools/infer.py"), "-m", str(model / "config.yaml")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    summary = json.loads((model / "output_model_maml/meta_test.json").read_text())
    assert found[-1][1:3] == (f"{summary['accuracy']:.6f}", f"{summary['ci95']:.6f}")
    assert summary["tasks"] == 40


def test_a_loss_that_is_not_finite_ends_the_training(model):
    exploding = "hyper_parameters.base_optimizer.learning_rate=1e30"
    command = [sys.executable, "../../../tools/trainer.py", "-m", "config.yaml", "-o", exploding]
    where = "runner.model_save_path=exploded"
    done = subprocess.run([*command, where], cwd=model, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.match(r"paddle_maml.errors.DivergenceError: epoch 0, batch 0: the .* is not", last)
    assert last.endswith("; RecDataset.task(0, 0) draws the task again")
    assert not (model / "exploded").exists()


def test_the_configuration_for_full_omniglot_is_the_headlines():
    full, headline = (
        yaml.safe_load((ROOT / name).read_text())
        for name in ("docs/upstream/config_bigdata.yaml", "config.yaml")
    )
    assert full["hyper_parameters"] == headline["hyper_parameters"]
    same = ("train_batch_size", "infer_batch_size", "infer_tasks", "epochs", "seed")
    assert [full["runner"][key] for key in same] == [headline["runner"][key] for key in same]
    assert full["runner"]["infer_end_epoch"] == headline["runner"]["epochs"]


def test_a_recipe_starts_where_it_lies(model):
    data = model / "data/sample_data/train"
    overrides = ["runner.epochs=1", "hyper_parameters.tasks_per_epoch=32"]
    command = [sys.executable, "-u", "../../../../tools/trainer.py", "-m"]
    done = subprocess.run(
        [*command, "omniglot_5way_1shot.yaml", "-o", *overrides, f"runner.train_data_dir={data}"],
        cwd=model / "configs",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    output = model / "configs/output_model_omniglot_5way_1shot"
    assert (output / "0/rec.pdparams").is_file()


def run_beside(recipe: Path, tool: Path) -> str:
    """Run a tool where the recipe lies; returns what PaddleRec's tools print."""
    command = [sys.executable, "-u", str(tool), "-m", recipe.name]
    done = subprocess.run(command, cwd=recipe.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_a_regression_ends_as_under_this_projects_tools(model, tmp_path):
    recipe = model / "configs/small_sinusoid.yaml"
    config = yaml.safe_load((recipe.parent / "sinusoid_10shot.yaml").read_text())
    config["runner"] |= {"epochs": 2, "infer_start_epoch": 0, "infer_end_epoch": 2}
    config["runner"] |= {"infer_tasks": 50, "valid_tasks": 25, "model_save_path": str(tmp_path)}
    config["runner"] |= {"infer_load_path": str(tmp_path)}
    config["hyper_parameters"]["tasks_per_epoch"] = 75
    recipe.write_text(yaml.safe_dump(config))
    tools = model.parents[2] / "tools"
    run_beside(recipe, tools / "trainer.py")
    tested = re.findall(rf"epoch: 1 done, mse: ({NUMBER}),", run_beside(recipe, tools / "infer.py"))
    saved = parameters(tmp_path)
    run_beside(recipe, ROOT / "tools/trainer.py")
    assert parameters(tmp_path) == saved
    run_beside(recipe, ROOT / "tools/infer.py")
    assert tested == [f"{json.loads((tmp_path / 'meta_test.json').read_text())['mse']:.6f}"]


def test_a_split_drawn_from_one_directory_ends_as_under_this_projects_tools(model, tmp_path):
    write_photographs(tmp_path / "images", 15, 4)
    recipe = model / "configs/small_images.yaml"
    config = yaml.safe_load((recipe.parent / "own_images.yaml").read_text())
    config["runner"] |= {f"{s}_data_dir": str(tmp_path / "images") for s in ("train", "test")}
    config["runner"] |= {"valid_data_dir": str(tmp_path / "images"), "image_cache": None}
    config["runner"] |= {"epochs": 2, "infer_start_epoch": 0, "infer_end_epoch": 2}
    config["runner"] |= {"infer_tasks": 20, "valid_tasks": 4, "model_save_path": str(tmp_path)}
    config["runner"] |= {"infer_load_path": str(tmp_path)}
    config["hyper_parameters"] |= {"n_way": 3, "k_spt": 1, "k_query": 2, "tasks_per_epoch": 8}
    config["hyper_parameters"] |= {"update_step": 1, "update_step_test": 1, "bn_channel": 8}
    config["hyper_parameters"] |= {"imgsize": 16, "conv_stride": 2}
    recipe.write_text(yaml.safe_dump(config))
    tools = model.parents[2] / "tools"
    run_beside(recipe, tools / "trainer.py")
    tested = re.findall(rf"epoch: 1 done, acc: ({NUMBER}),", run_beside(recipe, tools / "infer.py"))
    saved = parameters(tmp_path)
    run_beside(recipe, ROOT / "tools/trainer.py")
    assert parameters(tmp_path) == saved
    run_beside(recipe, ROOT / "tools/infer.py")
    summary = json.loads((tmp_path / "meta_test.json").read_text())
    assert tested == [f"{summary['accuracy']:.6f}"] and summary["tasks"] == 20
