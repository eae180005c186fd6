"""tools/trainer.py on a tiny setting: files, log lines, reproducibility, refusals."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import numpy as np
import paddle
import pytest
from tools.conftest import CONFIG, ROOT, TINY

NUMBER = r"-?\d+\.\d+"
BATCH = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - "
    rf"epoch: (\d+), batch_id: (\d+), acc:{NUMBER}, ci95:{NUMBER}, tasks:{NUMBER}, "
    rf"loss:{NUMBER}, avg_reader_cost: {NUMBER} sec, avg_batch_cost: {NUMBER} sec, "
    rf"avg_samples: {NUMBER}, ips: {NUMBER} ins/s"
)


def parameters(output, epoch=1) -> bytes:
    return (output / str(epoch) / "rec.pdparams").read_bytes()


def test_each_epoch_is_saved_and_one_is_best(trained):
    files = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    saved = {f"{epoch}/rec.{kind}" for epoch in (0, 1) for kind in ("pdparams", "pdopt")}
    assert files >= saved
    records = {"meta_test.json", "run.json", "history.jsonl", ".lock"}
    assert {path.name for path in trained.iterdir()} - records == {"0", "1", "best"}
    assert (trained / "best").is_symlink()
    assert (trained / "best").resolve() in {trained / "0", trained / "1"}
    assert parameters(trained, 0) != parameters(trained, 1)


def test_log_lines_are_those_of_paddlerec(trained):
    log = (trained.parent / "log").read_text()
    batches = [match.groups() for match in map(BATCH.fullmatch, log.splitlines()) if match]
    assert batches == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    done = re.findall(rf"epoch: (\w+(?: validation)?) done, acc: {NUMBER},.* epoch time: ", log)
    assert done == ["0", "0 validation", "1", "1 validation"]


def test_the_run_is_recorded(trained):
    history = [json.loads(line) for line in (trained / "history.jsonl").read_text().splitlines()]
    places = [(line["split"], line["epoch"], line["step"]) for line in history]
    assert places == [
        *[("train", 0, 1), ("train", 0, 2), ("valid", 0, 2)],
        *[("train", 1, 3), ("train", 1, 4), ("valid", 1, 4)],
    ]
    log = (trained.parent / "log").read_text()
    for line in history:
        assert f"acc:{line['values']['acc']:.6f}," in log.replace("acc: ", "acc:")
    assert [line["values"]["learning_rate"] for line in history if line["split"] == "train"] == (
        pytest.approx([0.001 * (1 + math.cos(math.pi * step / 4)) for step in range(4)])
    )
    assert len(history[-1]["summary"]["accuracy_per_step"]) == 4
    run = json.loads((trained / "run.json").read_text())
    assert run["config"]["hyper_parameters.n_way"] == 5
    assert "meta_steps" not in run["config"]
    assert run["versions"]["paddlepaddle"] == paddle.__version__


def test_best_is_the_epoch_of_the_highest_validation_accuracy(trained):
    log = (trained.parent / "log").read_text()
    accuracies = [float(a) for a in re.findall(rf"validation done, acc: ({NUMBER})", log)]
    assert (trained / "best").resolve().name == str(int(np.argmax(accuracies)))


def test_one_seed_gives_the_same_parameters_and_another_does_not(tool, trained, tmp_path):
    tool("trainer", tmp_path / "again")
    assert parameters(tmp_path / "again") == parameters(trained)
    tool("trainer", tmp_path / "other", "runner.seed=7")
    assert parameters(tmp_path / "other") != parameters(trained)


def test_reader_processes_do_not_change_the_parameters(tool, trained, tmp_path):
    tool("trainer", tmp_path, "runner.num_workers=2")
    assert parameters(tmp_path) == parameters(trained)


def test_reader_processes_share_a_reader_that_knows_nothing_of_them(tool, random_model, tmp_path):
    config = random_model / "config.yaml"
    reader = random_model / "reader.py"
    pids = tmp_path / "pids"
    text = reader.read_text().replace("[np.random.rand(), random.random()]", "[_, 1]")
    note = f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')"
    text = text.replace("for _ in", f"{note}\n        for _ in")
    reader.write_text(f"import os\n{text}")
    tool("trainer", tmp_path / "alone", "runner.epochs=1", config=config)
    assert len(set(pids.read_text().split())) == 1
    tool("trainer", tmp_path / "shared", "runner.epochs=1", "runner.num_workers=2", config=config)
    assert parameters(tmp_path / "shared", 0) == parameters(tmp_path / "alone", 0)
    assert len(set(pids.read_text().split())) == 1 + 2


def test_processes_share_a_reader_that_knows_nothing_of_them(tool, random_model, tmp_path):
    overrides = ["runner.epochs=1", "runner.print_interval=1", "runner.processes=2"]
    tool("trainer", tmp_path, *overrides, config=random_model / "config.yaml")
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert history[-1]["step"] == 24 / 2  # samples by train_batch_size


def test_mixed_precision_is_refused_where_a_gpu_was_wanted_but_not_found(refusal):
    assert "runner.use_amp needs" in refusal(
        "trainer", "runner.use_amp=true", "runner.use_gpu=true"
    )


def test_mixed_precision_is_refused_for_an_algorithm_that_has_none(refusal):
    overrides = ["runner.use_amp=true", "hyper_parameters.algorithm=proto_net"]
    assert "there is no mixed precision for" in refusal("trainer", *overrides)


def test_mixed_precision_is_refused_before_there_are_several_processes(refusal):
    assert "runner.use_amp needs" in refusal("trainer", "runner.use_amp=true", "runner.processes=2")


def test_mistakes_are_told_of_before_there_are_several_processes(refusal):
    overrides = ["runner.processes=2", "runner.model_init_path=nowhere"]
    assert "there is no checkpoint" in refusal("trainer", *overrides)


def test_nobody_reading_on_ends_the_trainer(tmp_path):
    command = [sys.executable, str(ROOT / "tools/trainer.py"), "-m", str(CONFIG), "-o", *TINY]
    command += [f"runner.model_save_path={tmp_path}", "runner.epochs=1000"]
    trainer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    trainer.stdout.readline()
    trainer.stdout.close()
    assert trainer.wait(timeout=120) == 141
    assert "Traceback" not in trainer.stderr.read()


def launched(output, *overrides):
    """Train as users of paddle.distributed.launch start it."""
    logs = output.with_name("launched.log")
    launch = ["-m", "paddle.distributed.launch", "--nproc_per_node=2", "--log_dir", str(logs)]
    command = [sys.executable, *launch, str(ROOT / "tools/trainer.py"), "-m", str(CONFIG), "-o"]
    settings = [*TINY, f"runner.model_save_path={output}", "runner.use_fleet=true", *overrides]
    done = subprocess.run([*command, *settings], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def assert_near(one, other):
    """Parameters agree to 1e-6."""
    one, other = (paddle.load(str(output / "1/rec.pdparams")) for output in (one, other))
    assert one.keys() == other.keys()
    for name in one:
        if not isinstance(one[name], dict):
            np.testing.assert_allclose(other[name].numpy(), one[name].numpy(), rtol=0, atol=1e-6)


def test_two_processes_train_to_the_parameters_of_one(tool, trained, tmp_path):
    tool("trainer", tmp_path / "own", "runner.processes=2")
    assert_near(trained, tmp_path / "own")
    launched(tmp_path / "fleet")
    assert parameters(tmp_path / "fleet") == parameters(tmp_path / "own")


def test_training_goes_on_from_given_parameters(tool, trained, tmp_path):
    still = "hyper_parameters.meta_optimizer.learning_rate=1.0e-12"
    tool("trainer", tmp_path, f"runner.model_init_path={trained / '1'}", still)
    assert_near(trained, tmp_path)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("runner.train_data_dir=nowhere", "python datasets/omniglot/prepare.py"),
        ("hyper_parameters.n_way=81", "has 80 classes, fewer than hyper_parameters.n_way = 81"),
        ("hyper_parameters.k_query=20", "has 20 images, fewer than k_spt + k_query = 1 + 20"),
        ("runner.model_init_path=nowhere", "there is no checkpoint"),
        ("runner.train_batch_size=eight", "it takes a whole number"),
        ("runner.processes=many", "it takes auto or a number from 1"),
        ("runner.epochs=0", "runner.epochs is 0: it takes 1 or more"),
        ("runner.seed=99999999999999999999", "it takes 4294967295 or less"),
        ("runner.train_reader_path=net", "net.py has no RecDataset"),
        ("runner.seed=-1", "runner.seed is -1: it takes 0 or more"),
        ("runner.train_batch_size=17", "less than one batch of runner.train_batch_size = 17"),
        ("runner.train_reader_path=no_such_reader", "there is no reader no_such_reader.py"),
        ("runner.processes=0", "auto or a number from 1"),
        ("runner=3", "runner is a section"),
        ("workspace=5", "workspace is 5"),
        ("hyper_parameters.n_way=2020-13-45", "not valid YAML"),
        ("runner.model_save_path=config.yaml", "cannot write to"),
        ("runner.use_amp=true", "runner.use_amp needs runner.use_gpu and a GPU that Paddle finds"),
        ("runner.use_amp=float16", "runner.use_amp is 'float16': it takes true or false"),
    ],
)
def test_refused(refusal, override, sentence):
    assert sentence in refusal("trainer", override)
