"""runner.use_visual: what VisualDL reads back is what was measured."""

from __future__ import annotations

import json

import pytest
from visualdl import LogReader


@pytest.fixture(scope="module")
def watched(tool, tmp_path_factory):
    output = tmp_path_factory.mktemp("watched") / "output"
    tool("trainer", output, "runner.use_visual=true")
    tool("infer", output, "runner.use_visual=true")
    return output


def scalars(directory, tag) -> list[tuple[int, float]]:
    (log,) = directory.glob("*.log")
    return [
        (point.id, point.value) for point in LogReader(file_path=str(log)).get_data("scalar", tag)
    ]


@pytest.mark.parametrize(
    ("split", "name"),
    [
        ("train", "loss"),
        ("train", "learning_rate"),
        ("train", "gradient_norm"),
        ("train", "waiting"),
        ("valid", "acc"),
        ("valid", "loss"),
        ("valid", "acc_after_inner_step_3"),
    ],
)
def test_scalars_are_those_of_the_history(watched, split, name):
    lines = [json.loads(line) for line in (watched / "history.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["split"] == split]
    measured = [
        (line["step"], line["values"].get(name, line.get("summary", {}).get("accuracy")))
        for line in lines
    ]
    written = scalars(watched / "visualDL_log/train", f"{split}/{name}")
    assert [step for step, _ in written] == [step for step, _ in measured]
    assert [value for _, value in written] == pytest.approx([value for _, value in measured])


def test_inner_loop_curves_are_runs_of_their_own(watched):
    curves = watched / "visualDL_log/inner_loop"
    assert {path.name for path in curves.iterdir()} >= {"valid_0", "valid_1"}
    (tested,) = curves.glob("infer_*")
    summary = json.loads((watched / "meta_test.json").read_text())
    curve = scalars(tested, "inner_loop/acc")
    assert [value for _, value in curve] == pytest.approx(summary["accuracy_per_step"])


def test_episodes_are_images(watched):
    (log,) = (watched / "visualDL_log/train").glob("*.log")
    reader = LogReader(file_path=str(log))
    assert set(reader.get_tags()["image"]) == {f"valid/episode_{n}" for n in range(4)}
    first = reader.get_data("image", "valid/episode_0")[0].image.encoded_image_string
    assert first.startswith(b"\x89PNG")


def test_watching_does_not_change_the_parameters(watched, trained):
    name = "1/rec.pdparams"
    assert (watched / name).read_bytes() == (trained / name).read_bytes()
