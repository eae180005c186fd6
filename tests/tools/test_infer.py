"""tools/infer.py on a tiny training: which checkpoint, what it reports, refusals."""

from __future__ import annotations

import json
import re
import shutil

import pytest


def summary(output) -> dict:
    return json.loads((output / "meta_test.json").read_text())


@pytest.fixture
def output(trained, tmp_path):
    """A copy of the training to write into."""
    return shutil.copytree(trained, tmp_path / "copy", symlinks=True)


def test_reports_accuracy_per_inner_step(tool, output):
    printed = tool("infer", output)
    found = summary(output)
    assert found.keys() >= {
        *("accuracy", "ci95", "tasks", "way", "shot", "query", "steps", "accuracy_per_step"),
        *("split", "seed", "checkpoint"),
    }
    assert [found[key] for key in ("tasks", "way", "shot", "query", "steps", "seed", "split")] == [
        *(20, 5, 1, 15, 3, 12345),
        "test",
    ]
    assert len(found["accuracy_per_step"]) == 4
    assert found["accuracy"] == found["accuracy_per_step"][-1]
    rows = re.findall(r"^ +(\d+)  (\d+\.\d\d) ± (\d+\.\d\d) %$", printed, re.MULTILINE)
    assert [int(step) for step, _, _ in rows] == [0, 1, 2, 3]
    assert [mean for _, mean, _ in rows] == [f"{100 * a:.2f}" for a in found["accuracy_per_step"]]
    assert rows[-1][2] == f"{100 * found['ci95']:.2f}"


def test_the_best_epoch_is_taken_and_twice_gives_the_same_numbers(tool, output):
    tool("infer", output)
    first = summary(output)
    assert first["checkpoint"] == str((output / "best").resolve())
    tool("infer", output)
    assert summary(output) == first


def test_best_is_taken_wherever_it_points(tool, output):
    other = "0" if (output / "best").resolve().name == "1" else "1"
    (output / "best").unlink()
    (output / "best").symlink_to(other)
    tool("infer", output)
    assert summary(output)["checkpoint"] == str(output / other)


def test_without_a_best_epoch_the_last_is_taken(tool, output):
    (output / "best").unlink()
    tool("infer", output)
    assert summary(output)["checkpoint"] == str(output / "1")


@pytest.mark.parametrize(("first", "end", "epochs"), [(0, 2, ["0", "1"]), (1, 2, ["1"])])
def test_epochs_can_be_chosen(tool, output, first, end, epochs):
    printed = tool(
        "infer", output, f"runner.infer_start_epoch={first}", f"runner.infer_end_epoch={end}"
    )
    assert re.findall(r"load model \S+/(\w+)$", printed, re.MULTILINE) == epochs
    assert summary(output)["checkpoint"] == str(output / epochs[-1])


def test_the_best_epochs_answer_together(tool, output, refusal):
    printed = tool("infer", output, "runner.infer_ensemble=2")
    best = (output / "best").resolve().name
    both = [best, "0" if best == "1" else "1"]
    assert re.findall(r"load model \S+/(\w+)$", printed, re.MULTILINE) == both
    found = summary(output)
    assert (found["checkpoint"], found["ensemble"]) == (str(output / best), both)
    sentence = refusal("infer", "runner.infer_ensemble=3", output=output)
    assert "has 2 epochs that were validated: ask for as many." in sentence
    chosen = ["runner.infer_ensemble=2", "runner.infer_end_epoch=2"]
    assert "leave out runner.infer_start_epoch" in refusal("infer", *chosen, output=output)


def test_a_network_with_itself_says_what_it_says_alone(tool, output):
    tool("infer", output)
    alone = summary(output)
    worse = output / ("0" if (output / "best").resolve().name == "1" else "1")
    shutil.copyfile((output / "best/rec.pdparams").resolve(), worse / "rec.pdparams")
    (worse / "SHA256SUMS").unlink()  # as PaddleRec's checkpoints have none
    tool("infer", output, "runner.infer_ensemble=2")
    twice = summary(output)
    assert twice["accuracy_per_step"] == alone["accuracy_per_step"]
    assert twice["loss_per_step"] == pytest.approx(alone["loss_per_step"], rel=1e-5)


def test_turned_and_mirrored_views_answer_together(tool, output, refusal):
    tool("infer", output)
    alone = summary(output)
    printed = tool("infer", output, "runner.infer_views=8")
    found = summary(output)
    assert printed.rstrip().endswith(", each task in 8 views")
    assert (found.pop("views"), alone.get("views")) == (8, None)
    assert found.keys() == alone.keys()
    assert found["loss_per_step"] != pytest.approx(alone["loss_per_step"], rel=1e-3)
    sentence = refusal("infer", "runner.infer_views=2", output=output)
    assert "runner.infer_views is 2: it has to be one of (1, 4, 8)" in sentence


def test_no_checkpoint(refusal):
    assert "there is no checkpoint in " in refusal("infer")


def test_a_checkpoint_that_was_never_written(refusal, output):
    chosen = ["runner.infer_start_epoch=7", "runner.infer_end_epoch=8"]
    assert "7/rec.pdparams: train first" in refusal("infer", *chosen, output=output)


def test_the_checkpoint_of_another_network(refusal, output):
    sentence = refusal("infer", "hyper_parameters.bn_channel=16", output=output)
    assert "belongs to another network" in sentence
    assert "[8, 1, 3, 3] float32 there and [16, 1, 3, 3] float32 here" in sentence


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_a_damaged_checkpoint(refusal, output, size):
    file = output / "best/rec.pdparams"
    assert file.stat().st_size > size
    file.write_bytes(file.read_bytes()[:size])
    sentence = refusal("infer", output=output)
    assert f"{file} is damaged: its checksum is not that of SHA256SUMS" in sentence
    good, bad = ("0", "1") if (output / "best").resolve().name == "1" else ("1", "0")
    assert f"good checkpoint is {output / good}: to use it, remove {output / bad}." in sentence


def test_of_a_single_task_there_is_no_interval(tool, output):
    printed = tool("infer", output, "runner.infer_tasks=1")
    assert "nan" not in printed.split("inner steps")[1]
    assert "NaN" not in (output / "meta_test.json").read_text()
    assert summary(output)["ci95"] is None


def test_a_split_tested_on_another_ones_classes_keeps_its_own_protocol(tool, output):
    same = ["data/sample_data/test"] * 2
    overrides = [f"runner.{s}_data_dir={d}" for s, d in zip(("valid", "test"), same)]
    tool("infer", output, *overrides)
    assert summary(output)["tasks"] == 20  # infer_tasks, not valid_tasks
