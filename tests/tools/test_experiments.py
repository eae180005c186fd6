"""tools/experiments.py: lists are run, gone on with, and shown."""

from __future__ import annotations

import doctest
import fcntl
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from tools.conftest import CONFIG, ROOT, TINY
from utils.errors import UserError
from utils.experiments import running, tables
from utils.experiments.listing import read_listing
from utils.experiments.running import Record, epochs_within, read_record, write_record

OPTIONS = [*TINY, "hyper_parameters.tasks_per_epoch=64", "runner.save_seconds=0.001"]
STEPS = 2 * 64 // 8  # 2 epochs, batches of 8 tasks


def experiment(*options, **keys) -> dict:
    return {"recipe": str(CONFIG), "options": [*OPTIONS, *options], **keys}


def write_list(directory: Path, experiments: dict, **sections) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / "list.yaml"
    file.write_text(
        yaml.safe_dump({"experiments": experiments, **sections}, sort_keys=False), encoding="utf-8"
    )
    return file


def command(file, out, *arguments) -> list[str]:
    tool = str(ROOT / "tools/experiments.py")
    return [sys.executable, tool, str(file), "--out", str(out), *arguments]


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)


def parameters(directory: Path) -> bytes:
    return (directory / "1/rec.pdparams").read_bytes()


def meta_test(directory: Path) -> dict:
    return json.loads((directory / "meta_test.json").read_text())


TABLES = {
    "omniglot": {"title": "A title", "experiments": ["tiny", "broken"]},
    "steps": {
        "title": "By inner steps",
        "figures": {"before": "accuracy_per_step[0]", "after 2": "accuracy_per_step[2]"},
        "experiments": ["tiny"],
    },
}


class Ended:
    """A list of two experiments that was run: `tiny` with two seeds, and `broken`, which cannot."""

    def __init__(self, directory: Path):
        self.out = directory / "out"
        tiny = experiment(label="Tiny", seeds=[1, 2], published="98.7 ± 0.4 %", source="A paper")
        plots = {
            x: {"file": f"images/{x}.svg", "x": x, "experiments": ["tiny"]}
            for x in ("steps", "minutes")
        }
        experiments = {"broken": experiment("hyper_parameters.n_way=1"), "tiny": tiny}
        self.list = write_list(directory, experiments, tables=TABLES, plots=plots)
        self.done = run(self.list, self.out)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    return Ended(tmp_path_factory.mktemp("ended"))


def test_an_experiment_that_fails_does_not_stop_the_others(ended):
    assert ended.done.returncode == 1, ended.done.stderr
    assert "broken-12345: trainer ended with 2:\n  trainer.py: " in ended.done.stdout
    assert "hyper_parameters.n_way is 1: it takes 2 or more." in ended.done.stdout
    assert ended.done.stdout.endswith("failed: broken-12345\n")
    for seed in (1, 2):
        record = read_record(ended.out / f"tiny-{seed}")
        assert (record.steps, record.epochs) == (STEPS, None)
        assert record.meta_test == meta_test(ended.out / f"tiny-{seed}")
        assert (
            record.settings["runner.seed"] == meta_test(ended.out / f"tiny-{seed}")["seed"] == seed
        )
        history = (ended.out / f"tiny-{seed}/history.jsonl").read_text().splitlines()
        assert record.seconds > json.loads(history[-1])["seconds"]
    assert parameters(ended.out / "tiny-1") != parameters(ended.out / "tiny-2")


def test_what_is_finished_is_passed_over(ended):
    before = {path: path.stat().st_mtime_ns for path in ended.out.rglob("*")}
    again = run(ended.list, ended.out, "--only", "tiny")
    assert again.returncode == 0, again.stderr
    assert re.findall(r"(tiny-\d): finished before", again.stdout) == ["tiny-1", "tiny-2"]
    assert {path: path.stat().st_mtime_ns for path in ended.out.rglob("*")} == before


def test_a_record_without_its_meta_test_has_it_made_again(ended, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(ended.out / "tiny-1", out / "tiny-1", symlinks=True)
    file = out / "tiny-1/experiment.json"
    record = json.loads(file.read_text())
    measured = record.pop("meta_test")
    file.write_text(json.dumps({**record, "tested": True}))
    done = run(write_list(tmp_path, {"tiny": experiment(seeds=[1])}), out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny-1: training" not in done.stdout
    assert parameters(out / "tiny-1") == parameters(ended.out / "tiny-1")
    again = read_record(out / "tiny-1")
    assert again.meta_test["accuracy_per_step"] == measured["accuracy_per_step"]
    assert again.steps == STEPS


@pytest.mark.parametrize(
    "content", ["[]", "3", "{}", '{"settings": ', '{"settings": {}, "more": 1}']
)
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "experiment.json").write_text(content)
    with pytest.raises(UserError, match=r"experiment.json is damaged: remove its directory"):
        read_record(tmp_path)


def test_what_was_run_with_other_settings_is_put_aside_and_not_shown(ended, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(ended.out / "tiny-1", out / "tiny-1", symlinks=True)
    tiny = experiment("hyper_parameters.update_step=2", seeds=[1])
    file = write_list(tmp_path, {"tiny": tiny}, tables={"steps": TABLES["steps"]})
    document = tmp_path / "results.md"
    document.write_text("<!-- experiments: steps -->\n<!-- end -->\n")
    rendered = run(file, out, "--render", str(document))
    assert "| tiny |  | not run |" in document.read_text()
    assert "tiny-1: not shown, run with other settings" in rendered.stdout
    again = run(file, out)
    assert again.returncode == 0, again.stderr
    assert "begun anew, for other settings (hyper_parameters.update_step)" in again.stdout
    assert parameters(out / "tiny-1-earlier-1") == parameters(ended.out / "tiny-1")
    assert parameters(out / "tiny-1") != parameters(ended.out / "tiny-1")
    run(file, out, "--render", str(document))
    assert "not run" not in document.read_text()


def test_for_another_meta_test_nothing_is_trained_again(ended, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(ended.out / "tiny-1", out / "tiny-1", symlinks=True)
    before = read_record(out / "tiny-1")
    tiny = experiment("runner.infer_tasks=7", "runner.infer_views=4", seeds=[1])
    done = run(write_list(tmp_path, {"tiny": tiny}), out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny-1: training" not in done.stdout and "begun anew" not in done.stdout
    assert parameters(out / "tiny-1") == parameters(ended.out / "tiny-1")
    after = read_record(out / "tiny-1")
    assert after[1:4] == before[1:4]
    assert after.meta_test["tasks"] == 7 and after.meta_test["views"] == 4
    assert after.settings == {
        **before.settings,
        "runner.infer_tasks": 7,
        "runner.infer_views": 4,
    }


def test_a_run_that_was_broken_off_goes_on_to_the_same_bytes(ended, tmp_path):
    out = tmp_path / "out"
    file = write_list(tmp_path, {"tiny": experiment(seeds=[1])})
    tool = subprocess.Popen(command(file, out), stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not any((out / f"tiny-1/0-{batch}").is_dir() for batch in range(3, 8)):
        assert tool.poll() is None and time.monotonic() < until
    tool.send_signal(signal.SIGTERM)
    tool.communicate(timeout=60)
    assert tool.returncode == 130
    with open(out / "tiny-1.log", "rb") as log:  # the trainer has ended, too: its lock is free
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not (out / "tiny-1/1").exists()
    broken_off = read_record(out / "tiny-1")
    assert broken_off.seconds > 0 and broken_off.steps is None and broken_off.meta_test is None
    done = run(file, out)
    assert done.returncode == 0, done.stdout + done.stderr
    record = read_record(out / "tiny-1")
    assert record.seconds > broken_off.seconds and record.steps == STEPS and record.meta_test
    assert not list(out.glob("*earlier*"))
    assert "going on with epoch 0, batch" in (out / "tiny-1.log").read_text()
    assert parameters(out / "tiny-1") == parameters(ended.out / "tiny-1")
    assert meta_test(out / "tiny-1")["accuracy"] == meta_test(ended.out / "tiny-1")["accuracy"]


def test_a_training_that_was_started_by_hand_is_taken_over(trained, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(trained, out / "hand-12345", symlinks=True)
    saved = out / "hand-12345/1/rec.pdparams"
    before = saved.stat().st_mtime_ns
    done = run(write_list(tmp_path, {"hand": {"recipe": str(CONFIG), "options": TINY}}), out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert saved.stat().st_mtime_ns == before
    record = read_record(out / "hand-12345")
    history = (out / "hand-12345/history.jsonl").read_text().splitlines()
    assert record.meta_test and record.seconds > json.loads(history[-1])["seconds"]
    assert not list(out.glob("*earlier*"))


def test_two_at_one_run_are_one_too_many(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    file = write_list(tmp_path, {"tiny": experiment()})
    with open(out / "tiny-12345.log", "wb") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        done = run(file, out)
    assert done.returncode == 1
    assert "tiny-12345: another process is at it" in done.stdout
    assert not (out / "tiny-12345").exists()


def test_epochs_are_chosen_to_fit_the_budget():
    assert epochs_within(budget=100, start=8, epoch=23) == 4
    assert epochs_within(budget=100, start=8, epoch=92) == 1
    with pytest.raises(UserError, match="budget of 100 s is less than one epoch, .* 93.0 s"):
        epochs_within(budget=100, start=8, epoch=93)


def test_a_budget_has_an_epoch_timed_and_decides_on_their_number(tmp_path):
    out = tmp_path / "out"
    budgets = {"short": experiment(budget=0.001), "chosen": experiment(budget=7200)}
    file = write_list(tmp_path, budgets)
    chosen = read_listing(str(file)).experiments["chosen"]
    (out / "chosen-12345").mkdir(parents=True)
    write_record(out / "chosen-12345", Record(chosen.settings(12345), epochs=3))
    done = run(file, out)
    assert done.returncode == 1
    assert "short-12345: the budget of 0.001 s is less than one epoch" in done.stdout
    assert [path.name for path in (out / "short-12345").iterdir()] == ["experiment.json"]
    log = (out / "short-12345.log").read_text()
    assert len(re.findall(r"epoch: \d done", log)) == 1
    record = read_record(out / "chosen-12345")
    assert record.meta_test and record.steps == 3 * 64 // 8
    assert "runner.epochs" not in record.settings and record.settings["budget"] == 7200


BEFORE = "# Results\n\nText | that stays.\n\n<!-- experiments: omniglot -->\n"
AFTER = "<!-- end -->\nMore.\n<!-- experiments: steps -->\nold\n<!-- end -->\n\nThe end"


def test_tables_show_each_seed_and_their_spread_and_nothing_else_changes(ended, tmp_path):
    document = tmp_path / "results.md"
    document.write_text(f"{BEFORE}an | old | table\n{AFTER}", encoding="utf-8")
    done = run(ended.list, ended.out, "--render", str(document))
    assert done.returncode == 0, done.stderr
    text = document.read_text(encoding="utf-8")
    assert text.startswith(f"{BEFORE}**A title**\n\n|") and text.endswith("<!-- end -->\n\nThe end")
    assert "\n<!-- end -->\nMore.\n<!-- experiments: steps -->\n**By inner steps**" in text
    assert "old" not in text
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == [
        *["experiment", "published", "accuracy", "tasks", "meta-steps", "training", "seeds"]
    ]
    assert rows[3] == ["broken", "", "not run", "", "", "", ""]
    per_step = [meta_test(ended.out / f"tiny-{seed}") for seed in (1, 2)]
    accuracy = 100 * np.array([m["accuracy_per_step"] for m in per_step])
    ci95 = 100 * np.array([m["ci95_per_step"] for m in per_step])
    cells = [
        f"{accuracy[:, step].mean():.2f} %, {accuracy[:, step].min():.2f} % to "
        f"{accuracy[:, step].max():.2f} %; by seed: "
        f"{accuracy[0, step]:.2f} ± {ci95[0, step]:.2f} %, "
        f"{accuracy[1, step]:.2f} ± {ci95[1, step]:.2f} %"
        for step in (-1, 0, 2)
    ]
    assert rows[2][:5] == ["Tiny", "98.7 ± 0.4 %, A paper", cells[0], "20", str(STEPS)]
    assert rows[2][6] == "1, 2"
    assert rows[6][:4] == ["Tiny", "98.7 ± 0.4 %, A paper", *cells[1:]]


def test_kept_records_make_the_same_tables_and_plots_without_paths(ended, tmp_path):
    from utils.experiments.curves import validations

    kept = tmp_path / "kept"
    out = shutil.copytree(ended.out, tmp_path / "out", symlinks=True)
    (out / "tiny-1/meta_test.json").write_text('{"accuracy": 1.0}')  # of another infer, later
    done = run(ended.list, out, "--keep", str(kept))
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\S+): its record is in", done.stdout) == ["tiny-1", "tiny-2"]
    files = {file.relative_to(kept).as_posix(): file.read_text() for file in kept.glob("*/*")}
    names = ("experiment.json", "history.jsonl", "run.json")
    assert {*files} == {f"tiny-{seed}/{name}" for seed in (1, 2) for name in names}
    places = str(ended.out), str(ROOT)
    assert not [name for name, text in files.items() if any(p in text for p in places)]
    shown = []
    for out in (ended.out, kept):
        listing = read_listing(str(ended.list))
        shown.append([tables.markdown(table, out) for table in listing.tables.values()])
        shown[-1].append([validations(plot, out) for plot in listing.plots.values()])
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no marker", "nothing to render into"),
        ("<!-- experiments: omniglot -->\n", "no <!-- end -->"),
        (
            "<!-- experiments: omniglot -->\n<!-- experiments: steps -->\n<!-- end -->",
            "no <!-- end -->",
        ),
        ("<!-- experiments: other -->\n<!-- end -->", "no table of that name"),
    ],
)
def test_a_document_without_its_markers_is_refused(tmp_path, text, sentence):
    file = write_list(tmp_path, {"tiny": experiment(), "broken": experiment()}, tables=TABLES)
    with pytest.raises(UserError, match=sentence):
        tables.render(text, read_listing(str(file)), tmp_path)


def test_a_figure_that_the_meta_test_does_not_have_is_refused():
    for path in ("mse", "accuracy[0]", "accuracy_per_step[3]"):
        with pytest.raises(UserError, match=re.escape(f"has no {path}: it has accuracy, ")):
            tables.figure(path, {"accuracy": 0.5, "ci95": 0.1, "accuracy_per_step": [0.2, 0.5]})


@pytest.mark.parametrize("module", [running, tables])
def test_the_examples_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0


def test_curves_of_all_seeds_are_in_one_plot(ended):
    done = run(ended.list, ended.out, "--plots")
    assert done.returncode == 0, done.stderr
    for x, label in (("steps", "meta-steps"), ("minutes", "minutes of training")):
        svg = (ended.list.parent / f"images/{x}.svg").read_text(encoding="utf-8")
        written = "".join(ElementTree.fromstring(svg).itertext())
        assert label in written and "Accuracy, %, validation" in written
        assert written.count("Tiny") == 1


def test_a_curve_is_that_of_the_history(ended):
    from utils.experiments.curves import validations

    listing = read_listing(str(ended.list))
    for x, plot in listing.plots.items():
        ((name, curves),) = validations(plot, ended.out).items()
        assert name == "acc" and [curve.label for curve in curves] == ["Tiny", "_"]
        for seed, curve in zip((1, 2), curves):
            text = (ended.out / f"tiny-{seed}/history.jsonl").read_text()
            lines = [
                line for line in map(json.loads, text.splitlines()) if line["split"] == "valid"
            ]
            assert curve.y == [100 * line["values"]["acc"] for line in lines]
            assert curve.x == (
                [8, 16] if x == "steps" else [line["seconds"] / 60 for line in lines]
            )


def test_a_plot_of_nothing_is_refused(tmp_path):
    plots = {"order": {"file": "order.svg", "experiments": ["tiny"]}}
    done = run(write_list(tmp_path, {"tiny": experiment()}, plots=plots), tmp_path, "--plots")
    assert done.returncode == 2
    assert done.stderr == (
        "experiments.py: there is no validation yet of what order.svg is to show: run it.\n"
    )


@pytest.mark.parametrize(
    ("experiments", "sections", "sentence"),
    [
        ({"a": {}}, {}, "experiments.a.recipe is missing"),
        ({"a/b": {"recipe": "x"}}, {}, "a name takes letters"),
        ({"a": {"recipe": "no.yaml"}}, {}, "cannot read .*no.yaml"),
        ({"a": experiment(seed=1)}, {}, "experiments.a: unknown seed: did you mean seeds?"),
        ({"a": experiment(seeds=[1, 1])}, {}, "seeds is .* different whole numbers"),
        ({"a": experiment(budget="long")}, {}, "budget is 'long': it takes a number"),
        ({"a": experiment("runner.seed=3")}, {}, "runner.seed is set by this tool"),
        ({"a": experiment("epochs")}, {}, "-o epochs: write key=value"),
        ({"a": experiment()}, {"table": {}}, "unknown table: did you mean tables?"),
        ({"a": experiment()}, {"tables": {"t": {"title": "T"}}}, "experiments is missing"),
        (
            {"a": experiment()},
            {"tables": {"t": {"title": "T", "experiments": ["b"]}}},
            "tables.t.experiments: unknown b: there are a",
        ),
        (
            {"a": experiment()},
            {"tables": {"t": {"title": "T", "experiments": [], "figures": {"x": "y[z]"}}}},
            "'y\\[z\\]' is no figure",
        ),
        (
            {"a": experiment()},
            {"plots": {"p": {"file": "p.svg", "experiments": ["a"], "x": "hours"}}},
            "plots.p.x is hours",
        ),
    ],
)
def test_a_list_with_a_mistake_is_refused(tmp_path, experiments, sections, sentence):
    with pytest.raises(UserError, match=sentence):
        read_listing(str(write_list(tmp_path, experiments, **sections)))


def test_an_unknown_name_is_refused_before_anything_is_run(tmp_path):
    done = run(write_list(tmp_path, {"tiny": experiment()}), tmp_path / "out", "--only", "tny")
    assert done.returncode == 2
    assert done.stderr == "experiments.py: --only: unknown tny: did you mean tiny?\n"
    assert not (tmp_path / "out").exists()


def test_the_projects_list_has_its_tables_in_the_results():
    listing = read_listing(str(ROOT / "docs/experiments.yaml"))
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert {name for _, name, *_ in tables.MARKED.findall(text)} == {*listing.tables}
    views = [*listing.tables.values(), *listing.plots.values()]
    assert {*listing.experiments} == {e.name for view in views for e in view.experiments}
