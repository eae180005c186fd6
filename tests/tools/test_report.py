"""tools/report.py: what the page shows, what it does without, what is refused."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import paddle
import pytest
from conftest import CONFIG, ROOT, TINY
from dygraph_model import DygraphModel
from utils import checkpoint
from utils.config import load_config
from utils.model import create_loader
from utils.picture import letter
from utils.report.page import TEMPLATE, page
from utils.report.record import read_run

VOID = {"meta", "link", "img", "br"}
HOSTILE = "<script>alert('&\"$title')</script>"
SUMMARY = {
    "tasks": 20,
    "way": 5,
    "shot": 1,
    "query": 15,
    "steps": 3,
    "inner_lr": 2.0,
    "transductive": True,
    "accuracy_per_step": [0.2011, 0.6022, 0.6133, 0.6244],
    "ci95_per_step": [0.0301, 0.0402, 0.0403, 0.0404],
}


class Parsed(HTMLParser):
    """A page's elements as (tag, attributes), its rows of cells and all of its text."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.rows, self.text, self._open = [], [], "", []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.text += data
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data

    def all(self, tag) -> list[dict]:
        return [attributes for found, attributes in self.elements if found == tag]


def train_line(step, **values) -> dict:
    return {"split": "train", "epoch": step // 3, "step": step, "seconds": step, "values": values}


def valid_line(epoch, acc, ci95=0.01, **more) -> dict:
    values = {"acc": acc, "ci95": ci95, "tasks": 8.0}
    line = {"split": "valid", "epoch": epoch, "step": 2 * epoch + 2, "seconds": 65.4 + epoch}
    return {**line, "values": values, **more}


HISTORY = [
    train_line(1, acc=0.25, ci95=0.02, tasks=8.0, loss=1.5, learning_rate=0.002, gradient_norm=2.0,
               waiting=0.25),
    train_line(2, acc=0.31, ci95=0.02, tasks=16.0, loss=1.25, learning_rate=0.001,
               gradient_norm=1.75, waiting=0.0125),
    valid_line(0, 0.5123, 0.0321, summary={**SUMMARY, "accuracy_per_step": [0.2, 0.45, 0.5, 0.51]}),
    valid_line(1, 0.4987, 0.0298, summary={**SUMMARY, "accuracy_per_step": [0.2, 0.44, 0.48, 0.5]}),
]  # fmt: skip


def write_run(directory: Path, history=HISTORY, **changes) -> Path:
    """Write what a training of the tiny setting writes, with `changes` to its configuration."""
    record = {
        "command": ["tools/trainer.py", "-m", "models/maml/config.yaml", "-o", *TINY],
        "started": "2026-01-02T03:04:05",
        "config": {**load_config(str(CONFIG), TINY), **changes},
        "versions": {"python": "3.11.1", "paddlepaddle": "3.3.1", "numpy": "2.4.6"},
        "machine": {"platform": "Linux-6", "processor": "A Processor", "cores": 2},
        "processes": 1,
    }
    directory.mkdir(exist_ok=True)
    (directory / "run.json").write_text(json.dumps(record))
    lines = "".join(json.dumps(line) + "\n" for line in history)
    (directory / "history.jsonl").write_text(lines)
    return directory


def report(*arguments, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/report.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def read_page(directory: Path) -> str:
    """The page that the tool writes about a run."""
    done = report(directory)
    assert done.returncode == 0, done.stderr
    assert not list(directory.glob(".*.unfinished"))
    return (directory / "report.html").read_text(encoding="utf-8")


def without_model(directory: Path) -> Parsed:
    """The page about a run whose model is not asked."""
    return Parsed(page(read_run(directory), "A title", [], ""))


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A run that has ended: a real training's checkpoints, its records of known numbers."""
    directory = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(trained, directory, symlinks=True)
    write_run(directory)
    meta_test = {**SUMMARY, "split": "test", "checkpoint": str(directory / "1")}
    (directory / "meta_test.json").write_text(json.dumps(meta_test))
    return directory


@pytest.fixture(scope="module")
def html(run):
    return read_page(run)


@pytest.fixture(scope="module")
def parsed(html):
    return Parsed(html)


def test_nothing_is_loaded_from_elsewhere(html, parsed):
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:", "#"))
            assert not name.startswith("on")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_it_can_be_read_without_seeing_it(parsed):
    assert parsed.all("html") == [{"lang": "en"}]
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in parsed.all("svg"))
    headings = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(below - above <= 1 for above, below in zip(headings, headings[1:]))
    assert all("scope" in cell for cell in parsed.all("th"))


def test_ids_are_unique_and_references_lead_somewhere(html, parsed):
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([\w.-]+)', html)) <= set(ids)


def test_the_title_tells_the_experiment(html):
    assert "<title>5-way 1-shot: second-order MAML on Conv4</title>" in html
    assert "<h1>5-way 1-shot: second-order MAML on Conv4</h1>" in html


def test_the_headline_is_the_meta_tests_last_step(parsed):
    assert "62.44 ± 4.04 %" in parsed.text
    for fact in (
        "20 tasks of the split “test”",
        "15 queries per class, classified together (transductive)",
        "3 inner steps, inner learning rate 2.0",
        "Checkpoint of epoch 1",
    ):
        assert fact in parsed.text


def test_the_headline_says_of_how_many_views_it_is(tmp_path):
    directory = write_run(tmp_path / "run")
    (directory / "meta_test.json").write_text(json.dumps({**SUMMARY, "views": 8}))
    said = "the mean of 8 views of each task, turned or mirrored"
    assert said in without_model(directory).text
    (directory / "meta_test.json").write_text(json.dumps(SUMMARY))
    assert said not in without_model(directory).text


def test_how_far_the_training_came(parsed):
    assert "Started 2026-01-02 03:04:05 · 1 min 6 s of training · 2 of 2 epochs done" in parsed.text
    assert "interrupted" not in parsed.text


def test_tables_hold_the_numbers_of_the_files(parsed):
    assert ["Inner steps", "meta-test", "last validation"] in parsed.rows
    assert ["0", "20.11 ± 3.01 %", "20.00 ± 3.01 %"] in parsed.rows
    assert ["3", "62.44 ± 4.04 %", "50.00 ± 4.04 %"] in parsed.rows
    assert ["Epoch", "Step", "Accuracy, %"] in parsed.rows
    assert ["0", "2", "51.23 ± 3.21 %"] in parsed.rows
    assert ["1", "4", "49.87 ± 2.98 %"] in parsed.rows


def test_plots_say_what_they_show(parsed):
    assert [svg["aria-label"] for svg in parsed.all("svg")] == [
        "Accuracy, % over meta-steps: training from 25 to 31, validation from 51.23 to 49.87.",
        "Loss over meta-steps: training from 1.5 to 1.25.",
        "Learning rate over meta-steps: training from 0.002 to 0.001.",
        "Norm of the gradient over meta-steps: training from 2 to 1.75.",
        "Waiting for data, % over meta-steps: training from 25 to 1.25.",
        "Accuracy, % over inner steps 0 to 3: meta-test from 20.11 to 62.44, "
        "last validation from 20.00 to 50.00.",
        "Accuracy, % over inner steps 1 to 3: meta-test from 60.22 to 62.44, "
        "last validation from 44.00 to 50.00.",
    ]


def test_settings_and_environment(parsed):
    assert ["n_way", "5"] in parsed.rows
    assert ["bn_channel", "8"] in parsed.rows  # from -o
    assert ["rotation", "true"] in parsed.rows
    assert ["paddlepaddle", "3.3.1"] in parsed.rows
    assert ["processor", "A Processor"] in parsed.rows
    assert "python tools/trainer.py -m models/maml/config.yaml -o runner.epochs=2 " in parsed.text


def test_episodes_are_the_best_checkpoints_predictions(run, parsed):
    config = read_run(run).config
    model = DygraphModel().create_model(config)
    checkpoint.load(run / "best", model)
    batch = next(iter(create_loader(config, "test")))
    cells = [row[1:] for row in parsed.rows if "before: " in "".join(row)]
    assert len(cells) == 4 * 5
    with paddle.no_grad():
        for task, episode in zip(range(4), DygraphModel().episodes(model, batch, config)):
            for c in range(5):
                for place, cell in enumerate(cells[5 * task + c]):
                    query = 15 * c + place
                    for when, all_of_them in (("before", episode.before), ("after", episode.after)):
                        p = all_of_them[query]
                        verdict = "right" if p.argmax() == c else "wrong"
                        said = f"{when}: {letter(p.argmax())} {100 * p.max():.0f}\u202f% "
                        assert said + {"right": "✓ right", "wrong": "✗ wrong"}[verdict] in cell
            right = 100 * (episode.after.argmax(1) == episode.query_y).mean()
            title = rf"Task {task + 1}: \d+ % → {right:.0f} % right"
            assert re.search(title, parsed.text)


def test_what_is_configured_cannot_become_markup(tmp_path):
    changes = {"runner.model_save_path": HOSTILE, f"hyper_parameters.{HOSTILE}": HOSTILE}
    history = [train_line(1, **{HOSTILE: 1.0}), {**valid_line(0, 0.5), "values": {HOSTILE: 0.5}}]
    directory = write_run(tmp_path / "run", history, **changes)
    html = read_page(directory)
    assert "<script" not in html.lower()
    text = Parsed(html).text
    assert HOSTILE in text
    # The model refuses the settings, and its sentence stands where its episodes would.
    assert "There are no episodes to show: unknown key hyper_parameters.<script>" in text


def test_a_run_that_has_just_begun(tmp_path):
    directory = write_run(tmp_path / "run", [])
    text = Parsed(read_page(directory)).text
    assert "There is neither a validation nor a meta-test yet." in text
    assert "Nothing has been recorded yet." in text
    assert "0 of 2 epochs done · still running, or interrupted" in text
    assert f"There are no episodes to show: there is no checkpoint in {directory}" in text


def test_without_a_meta_test_it_tells_how_to_make_one(tmp_path):
    found = without_model(write_run(tmp_path / "run"))
    assert "51.23 ± 3.21 %" in found.text
    assert "Validation: Accuracy, %, best epoch: 0" in found.text
    assert "There is no meta-test yet" in found.text
    assert "python tools/infer.py -m models/maml/config.yaml -o runner.epochs=2" in found.text
    assert ["3", "50.00 ± 4.04 %"] in found.rows


def test_data_that_has_gone(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "run", symlinks=True)
    write_run(moved, **{"runner.test_data_dir": "/nowhere"})
    text = Parsed(read_page(moved)).text
    assert "no episodes to show: runner.test_data_dir: there is no directory /nowhere" in text
    assert "62.44 ± 4.04 %" in text


def test_another_model_directory(tmp_path):
    model = tmp_path / "dnn"
    model.mkdir()
    (model / "dygraph_model.py").write_text("class DygraphModel:\n    pass\n")
    history = [
        train_line(1, loss=0.7, auc=0.5),
        train_line(2, loss=0.6, auc=0.625),
        {**valid_line(0, 0), "values": {"auc": 0.75}},
    ]
    found = Parsed(read_page(write_run(tmp_path / "run", history, model_dir=str(model))))
    assert "Training of dnn" in found.text
    assert "Validation: AUC, best epoch: 0" in found.text
    assert ["0", "2", "0.75"] in found.rows
    assert [svg["aria-label"] for svg in found.all("svg")] == [
        "AUC over steps: training from 0.5 to 0.625, validation from 0.75 to 0.75.",
        "Loss over steps: training from 0.7 to 0.6.",
    ]
    for section in ("Sample episodes", "Accuracy per inner step", "meta-test yet"):
        assert section not in found.text


@pytest.mark.parametrize(
    "history",
    [
        [valid_line(0, 0.5)],
        [valid_line(0, 0.5, math.nan), train_line(3, acc=0.5, loss=math.inf)],
        [train_line(1, acc=0.2, loss=math.nan), valid_line(0, math.nan, math.nan)],
        [
            line
            for e in range(500)
            for line in (train_line(2 * e + 1, loss=1.0), valid_line(e, 0.5))
        ],
    ],
    ids=["one point", "one task", "diverged", "hundreds of epochs"],
)
def test_any_history_is_drawn(tmp_path, history):
    found = without_model(write_run(tmp_path / "run", history))
    assert found.all("svg")
    drawn = [attributes.get("d", "") for tag, attributes in found.elements if tag == "path"]
    assert not any(word in d for d in drawn for word in ("nan", "inf"))
    assert "± nan" not in found.text


def test_a_value_that_never_was_a_number_is_not_drawn(tmp_path):
    history = [train_line(1, loss=0.5, gradient_norm=math.nan)]
    (svg,) = without_model(write_run(tmp_path / "run", history)).all("svg")
    assert svg["aria-label"].startswith("Loss over steps")
    history = [train_line(1, loss=math.nan)]
    found = without_model(write_run(tmp_path / "run", history))
    assert "Nothing that was recorded is a finite number." in found.text


def test_a_line_cut_short_is_left_out(tmp_path):
    directory = write_run(tmp_path / "run", HISTORY)
    with open(directory / "history.jsonl", "a") as file:
        file.write('{"split": "valid", "epo')
    assert read_run(directory).history == HISTORY


def test_the_page_can_be_put_elsewhere(tmp_path):
    directory = write_run(tmp_path / "run", [])
    done = report(directory, "--out", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").is_file()
    assert not (directory / "report.html").exists()


@pytest.mark.parametrize(
    ("content", "arguments", "sentence"),
    [
        (None, [], "is not a run: it has no run.json"),
        ("{", [], "run.json is damaged: remove it"),
        ("[]", [], "run.json is damaged: remove it"),
        ("{}", [], "run.json is damaged: remove it"),
        ('{"config": {}}', ["--out", "nowhere/page.html"], "there is no directory nowhere"),
    ],
)
def test_refusals(tmp_path, content, arguments, sentence):
    if content:
        (tmp_path / "run.json").write_text(content)
    before = sorted(tmp_path.iterdir())
    done = report(tmp_path, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("report.py: ") and sentence in said
    assert sorted(tmp_path.iterdir()) == before


def test_without_matplotlib_it_says_how_to_get_it(tmp_path):
    absent = "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')"
    (tmp_path / "matplotlib.py").write_text(absent)
    directory = write_run(tmp_path / "run", [])
    done = report(directory, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert done.stderr.endswith('pip install -e ".[report]".\n')
    assert not (directory / "report.html").exists()


def test_contrast_in_both_schemes():
    # WCAG 2.1: 4.5 for text, 3 for the lines of a plot.
    light, dark = re.findall(r":root \{(.*?)\}", TEMPLATE.read_text(), re.DOTALL)
    for scheme in (light, dark):
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ground in ("page", "card"):
            for name in ("ink", "muted", "right", "wrong"):
                assert contrast(colours[name], colours[ground]) >= 4.5
            for name in ("train", "valid", "test"):
                assert contrast(colours[name], colours[ground]) >= 3


def contrast(first: str, second: str) -> float:
    dark, light = sorted(map(luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here to show the page")
def test_a_browser_shows_it_without_complaint(run, html, tmp_path):
    words = "headless no-sandbox disable-gpu no-first-run enable-logging=stderr dump-dom"
    options = [f"--{word}" for word in words.split()]
    where = [f"--user-data-dir={tmp_path}", (run / "report.html").as_uri()]
    done = subprocess.run([CHROMIUM, *options, *where], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "CONSOLE" not in done.stderr
    shown, written = Parsed(done.stdout), Parsed(html)
    assert shown.text.split() == written.text.split()
    assert [tag for tag, _ in shown.elements] == [tag for tag, _ in written.elements]
