"""The command line and the YAML: what is read from them, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from utils.config import check_runner, load_config, parse_arguments, path_of
from utils.errors import UserError
from utils.model import import_reader

ROOT = Path(__file__).parents[2]

PADDLEREC = """
runner:
  train_data_dir: "{data}/train"
  test_data_dir: "{data}/test"
  train_reader_path: "omniglot_reader"
  infer_reader_path: "omniglot_reader"
  use_gpu: false
  train_batch_size: 8
  infer_batch_size: 10
  epochs: 1
  print_interval: 1
  model_save_path: "output"
  infer_load_path: "output"
  infer_start_epoch: 0
  infer_end_epoch: 2
  use_auc: false
hyper_parameters:
  meta_optimizer:
    class: Adam
    learning_rate: 0.001
    strategy: async
  base_optimizer:
    class: SGD
    learning_rate: 0.1
    strategy: async
  update_step: 5
  update_step_test: 5
  n_way: 5
  k_spt: 1
  k_query: 15
  imgsize: 28
  conv_stride: 1
  conv_padding: 1
  conv_kernal: [3, 3]
  bn_channel: 64
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "workspace: model\nrunner:\n  epochs: 3\n  seed:\nhyper_parameters: {a: {b: 1}}"
    )
    return file


def overridden(config, *words) -> dict:
    """The config that `-m config` followed by `words` gives."""
    arguments = parse_arguments("", ["-m", str(config), *words])
    return load_config(arguments.config_yaml, arguments.opt)


def test_sections_become_dotted_keys(config, tmp_path):
    found = load_config(str(config), [])
    assert found == {
        "workspace": "model",
        "runner.epochs": 3,
        "hyper_parameters.a.b": 1,
        "config_abs_dir": str(tmp_path.resolve()),
        "model_dir": str(tmp_path.resolve() / "model"),
    }


def test_relative_paths_start_from_the_configuration(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_config("config.yaml", [])
    monkeypatch.chdir("/")
    assert path_of(found, "data/train") == tmp_path.resolve() / "data/train"
    assert path_of(found, "/data/train") == Path("/data/train")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("true", True),
        ("False", False),
        ("[3, 3]", [3, 3]),
        ("a=b", "a=b"),
        ("maml", "maml"),
    ],
)
def test_an_override_is_read_as_yaml(config, text, value):
    found = overridden(config, "-o", f"hyper_parameters.x={text}")["hyper_parameters.x"]
    assert found == value and type(found) is type(value)


def test_a_path_stays_text(config):
    found = overridden(config, "-o", "runner.model_save_path=5", "runner.infer_load_path=a=b")
    assert found["runner.model_save_path"] == "5"
    assert found["runner.infer_load_path"] == "a=b"


def test_overrides_can_be_repeated_and_the_last_one_holds(config):
    found = overridden(config, "-o", "runner.epochs=4", "runner.seed=1", "-o", "runner.epochs=5")
    assert found["runner.epochs"] == 5
    assert found["runner.seed"] == 1


def test_an_override_without_value_takes_a_key_out(config):
    assert "runner.epochs" not in load_config(str(config), ["runner.epochs="])


def test_an_override_needs_an_equals_sign(config):
    with pytest.raises(UserError, match="-o runner.epochs: write key=value"):
        overridden(config, "-o", "runner.epochs")


def test_paddlerecs_own_maml_configuration_runs(tool, tmp_path):
    # All of its keys are read; -o makes it small.
    file = tmp_path / "config.yaml"
    workspace = yaml.safe_dump({"workspace": str(ROOT / "models/maml")})
    file.write_text(workspace + PADDLEREC.format(data=ROOT / "models/maml/data/sample_data"))
    small = ["hyper_parameters.tasks_per_epoch=8", "runner.infer_tasks=2", "runner.epochs=1"]
    tool("trainer", tmp_path / "output", *small, config=file)
    assert (tmp_path / "output/0/rec.pdparams").is_file()
    chosen = ["runner.infer_start_epoch=0", "runner.infer_end_epoch=1"]
    printed = tool("infer", tmp_path / "output", *small, *chosen, config=file)
    assert "2 tasks, 5-way 1-shot" in printed


def test_a_missing_configuration(refusal, tmp_path):
    assert "nowhere.yaml: No such file" in refusal("infer", config=tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"runner:\n  epochs: [1,\n", "line 3 is not valid YAML"),
        (b"runner:\n\tepochs: 1\n", "line 2 is not valid YAML"),
        (b"\xff\xfe\xfa", "is not valid YAML"),
        (b"- runner\n- epochs\n", "holds no keys"),
        (b"", "holds no keys"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, content, sentence):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        load_config(str(tmp_path / "config.yaml"), [])


def test_a_directory_is_no_configuration(tmp_path):
    with pytest.raises(UserError, match="cannot read .*: Is a directory"):
        load_config(str(tmp_path), [])


@pytest.mark.parametrize("content", ["runner: [1,\n", "- runner\n"])
def test_a_tool_refuses_such_a_file_in_one_sentence(refusal, tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    assert str(tmp_path / "config.yaml") in refusal("trainer", config=tmp_path / "config.yaml")


def test_a_configuration_outside_a_model_directory(refusal, config):
    assert "has no dygraph_model.py" in refusal("trainer", config=config)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("runner.epoch=3", "unknown key runner.epoch: did you mean runner.epochs?"),
        ("hyper_parameters.n_ways=5", "did you mean hyper_parameters.n_way?"),
        ("runer.epochs=3", "unknown key runer.epochs: the sections are workspace, runner, "),
        ("runner.epochs=three", "runner.epochs is 'three': it takes a whole number."),
        ("runner.epochs=true", "runner.epochs is True: it takes a whole number."),
        ("hyper_parameters.n_way=5.5", "hyper_parameters.n_way is 5.5: it takes a whole number."),
        ("runner.epochs", "-o runner.epochs: write key=value"),
        ("runner.epochs=[1", "-o runner.epochs=[1: the value is not valid YAML."),
    ],
)
def test_a_tool_refuses_a_wrong_key_or_value(refusal, override, sentence):
    assert sentence in refusal("trainer", override)


@pytest.mark.parametrize("name", ["", ".", "..reader", "a b", "0.0", "a\0b", "no.such.reader"])
def test_a_readers_name_that_is_none(name):
    with pytest.raises(UserError, match="there is no reader .*: correct the name"):
        import_reader(name, "here", "runner.train_reader_path")


@pytest.mark.parametrize(
    ("key", "value", "least_or_most"),
    [
        ("valid_tasks", 2**31, "it takes 2147483647 or less"),
        ("seed", 2**32, "it takes 4294967295 or less"),
        ("save_seconds", float("nan"), "it takes 0 or more"),
    ],
)
def test_numbers_that_nothing_can_count_to(key, value, least_or_most):
    with pytest.raises(UserError, match=f"runner.{key} is {value}: {least_or_most}"):
        check_runner({f"runner.{key}": value})


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "\ud800"])
def test_a_path_that_no_system_takes(tmp_path, path):
    with pytest.raises(UserError, match="there is no way to .*: correct the path"):
        path_of({"config_abs_dir": str(tmp_path)}, path)


@pytest.mark.parametrize("name", ["trainer", "infer"])
def test_the_configuration_has_to_be_named(name, tmp_path):
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{name}.py: error: ")
    assert "-m/--config_yaml" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())
