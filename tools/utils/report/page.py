"""A run as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
import shlex
from html import escape
from pathlib import Path
from string import Template

from utils.measure import SHARES, measure_of, shown
from utils.report import episodes as sample
from utils.report.markup import duration, pairs, table
from utils.report.plots import TEMPLATE, Curve, plot
from utils.report.record import Run

# Names of values in words, and those that have an interval or a small plot.
WORDS = {
    "acc": "Accuracy, %",
    "accuracy": "Accuracy, %",
    "mse": "Mean squared error",
    "auc": "AUC",
    "loss": "Loss",
    "learning_rate": "Learning rate",
    "gradient_norm": "Norm of the gradient",
    "waiting": "Waiting for data, %",
}
SCORES = ("acc", "mse")
SMALL = ("learning_rate", "gradient_norm", "waiting")


def page(run: Run, title: str, episodes: list, no_episodes: str) -> str:
    """The page; `no_episodes` is the sentence that stands for missing episodes, if there is one."""
    sections = [
        ("Learning curve", learning_curve(run)),
        (f"{_bare(run.measure())} per inner step", inner_steps(run)),
        ("Sample episodes", sample.section(episodes, no_episodes)),
        ("Settings", settings(run.config)),
        ("Environment", environment(run)),
        ("How to reproduce", reproduce(run)),
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        status=escape(status(run)),
        headline=headline(run),
        sections="\n".join(
            f"<section>\n<h2>{name}</h2>\n{content}\n</section>"
            for name, content in sections
            if content
        ),
    )


def status(run: Run) -> str:
    """How far the training has come."""
    wanted, done = run.config.get("runner.epochs"), run.epochs_done()
    began = str(run.record.get("started", "")).replace("T", " ")
    words = [f"Started {began}"] if began else []
    if run.history:
        words.append(f"{duration(run.history[-1]['seconds'])} of training")
    words.append(f"{done} of {wanted} epochs done" if wanted else f"{done} epochs done")
    if wanted and done < wanted:
        words.append("still running, or interrupted: runner.resume=true goes on")
    return " · ".join(words)


def headline(run: Run) -> str:
    """The one number, and what it is of."""
    summary, validation = run.meta_test, run.best_validation()
    if summary:
        measure = measure_of(summary)
        value = shown(measure, summary[f"{measure}_per_step"][-1], summary["ci95_per_step"][-1])
        score = _bare(measure).lower()
        facts = [f"Meta-test: {score} on queries after adaptation", *protocol(summary)]
        if "checkpoint" in summary:
            together = summary.get("ensemble", [Path(summary["checkpoint"]).name])
            facts.append(f"Checkpoint of epoch {', '.join(together)}")
    elif validation:
        name = next(iter(validation["values"]))
        value = _value(name, validation["values"])
        facts = [f"Validation: {_words(name)}, best epoch: {validation['epoch']}"]
        facts += protocol(validation.get("summary") or {})
    else:
        return '<div class="card"><p>There is neither a validation nor a meta-test yet.</p></div>'
    number, _, rest = value.partition(" ")
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return (
        f'<div class="card"><div class="figure">{number} <small>{rest}</small></div>'
        f"<ul>{items}</ul></div>"
    )


def protocol(summary: dict) -> list[str]:
    """How a summary's score was measured."""
    facts = []
    if "tasks" in summary:
        split = f" of the split “{summary['split']}”" if "split" in summary else ""
        facts.append(
            f"{summary['tasks']} tasks{split}; ± is the 95 % confidence interval of the mean"
        )
    if "query" in summary:
        per_class = " per class" if "way" in summary else ""
        together = ", classified together (transductive)" if summary.get("transductive") else ""
        facts.append(f"{summary['query']} queries{per_class}{together}")
    if "steps" in summary and "inner_lr" in summary:
        facts.append(f"{summary['steps']} inner steps, inner learning rate {summary['inner_lr']}")
    if "views" in summary:
        facts.append(f"the mean of {summary['views']} views of each task, turned or mirrored")
    return facts


def learning_curve(run: Run) -> str:
    """A plot per value, and the validations as a table."""
    if not run.history:
        return "<p>Nothing has been recorded yet.</p>"
    unit = "meta-steps" if run.of_tasks() else "steps"
    plots = [
        figure(_words(name), _note(run, name), curves(run, name, number, unit))
        for number, name in enumerate(run.values())
        if any(
            math.isfinite(line["values"][name]) for line in run.history if name in line["values"]
        )
    ]
    if not plots:
        return "<p>Nothing that was recorded is a finite number.</p>"
    return f'<div class="grid">{"".join(plots)}</div>{validations(run)}'


def curves(run: Run, name: str, number: int, unit: str) -> str:
    """One value in training and validation."""
    scale = 100 if name in SHARES else 1
    found, said = [], []
    for split, label in (("train", "training"), ("valid", "validation")):
        lines = run.lines(split, name)
        if not lines:
            continue
        y = [scale * line["values"][name] for line in lines]
        ci = None
        if split == "valid" and name == run.values()[0]:
            ci = [scale * line["values"].get("ci95", math.nan) for line in lines]
        found.append(Curve(label, split, [line["step"] for line in lines], y, ci))
        said.append(f"{label} from {y[0]:.4g} to {y[-1]:.4g}")
    alt = escape(f"{_words(name)} over {unit}: {', '.join(said)}.")
    return plot(f"value{number}", alt, found, unit, 180 if name in SMALL else 250)


def validations(run: Run) -> str:
    lines = [line for line in run.history if line["split"] == "valid"]
    names = [name for name in run.values() if run.lines("valid", name)]
    if not lines:
        return ""
    rows = [
        [str(line["epoch"]), str(line["step"])]
        + [_value(name, line["values"]) if name in line["values"] else "" for name in names]
        for line in lines
    ]
    return (
        f"<details><summary>The validations as a table</summary>"
        f"{table(['Epoch', 'Step', *map(_words, names)], rows)}</details>"
    )


def inner_steps(run: Run) -> str:
    """The score before and after each inner step, in the meta-test and the last validation."""
    measure = run.measure()
    scale = 100 if measure in SHARES else 1
    found = [
        (label, colour, summary)
        for label, colour, summary in (
            ("meta-test", "test", run.meta_test),
            ("last validation", "valid", run.last_summary()),
        )
        if summary and len(summary.get(f"{measure}_per_step", ())) > 1
    ]
    missing = ""
    if run.of_tasks() and not run.meta_test:
        missing = f"<p>There is no meta-test yet. To make one:</p>{_command(run, 'infer.py')}"
    if not found:
        return missing
    lines = [
        Curve(
            label,
            colour,
            list(range(len(summary["ci95_per_step"]))),
            [scale * score for score in summary[f"{measure}_per_step"]],
            [math.nan if ci is None else scale * ci for ci in summary["ci95_per_step"]],
        )
        for label, colour, summary in found
    ]
    words = _words(measure)
    plots = [figure(words, "on queries, by inner steps", steps_plot("inner", words, lines))]
    if min(len(c.x) for c in lines) > 2:
        adapted = [c._replace(x=c.x[1:], y=c.y[1:], ci=c.ci[1:]) for c in lines]
        note = "from the first step on; bands: 95 % intervals"
        plots.append(figure(words, note, steps_plot("adapted", words, adapted)))
    rows = [
        [
            str(step),
            *(
                shown(measure, c.y[step] / scale, c.ci[step] / scale) if step < len(c.x) else ""
                for c in lines
            ),
        ]
        for step in range(max(len(c.x) for c in lines))
    ]
    numbers = table(["Inner steps", *(c.label for c in lines)], rows)
    drawn = f'<div class="grid">{"".join(plots)}</div>'
    return f'{missing}{drawn}<div class="card numbers">{numbers}</div>'


def steps_plot(name: str, words: str, lines: list[Curve]) -> str:
    said = ", ".join(f"{c.label} from {c.y[0]:.2f} to {c.y[-1]:.2f}" for c in lines)
    unit = f"inner steps {lines[0].x[0]} to {lines[0].x[-1]}"
    return plot(name, f"{words} over {unit}: {said}.", lines, "inner steps")


def figure(title: str, note: str, drawn: str) -> str:
    return f"<figure><figcaption><b>{escape(title)}</b> {escape(note)}</figcaption>{drawn}</figure>"


def settings(config: dict) -> str:
    """A table per section."""
    groups = {}
    for key, value in config.items():
        section, dot, name = key.partition(".")
        groups.setdefault(section if dot else "directories", []).append((name or key, value))
    tables = "".join(
        f"<div><h3>{escape(name)}</h3>{pairs(rows)}</div>" for name, rows in groups.items()
    )
    return (
        f'<p class="muted small">As configured, -o included; keys that are not named have their '
        f'defaults.</p><div class="grid">{tables}</div>'
    )


def environment(run: Run) -> str:
    rows = [
        *run.record.get("versions", {}).items(),
        *run.record.get("machine", {}).items(),
        ("processes", run.record.get("processes", 1)),
        ("directory", run.directory.resolve()),
    ]
    return pairs(rows)


def reproduce(run: Run) -> str:
    seeded = ""
    if "runner.seed" in run.config:
        seed = escape(str(run.config["runner.seed"]))
        seeded = f"<p>All random numbers follow from runner.seed = {seed}.</p>"
    return f"{_command(run)}{seeded}"


def _value(name: str, values: dict) -> str:
    return shown(name, values[name], values.get("ci95") if name in SCORES else None)


def _note(run: Run, name: str) -> str:
    if name not in SCORES:
        return ""
    note = "training: the epoch's mean so far"
    banded = any("ci95" in line["values"] for line in run.lines("valid", name))
    return f"{note}; band: 95 % interval" if banded else note


def _words(name: str) -> str:
    return WORDS.get(name, name)


def _bare(name: str) -> str:
    """As `_words`, without the unit."""
    return _words(name).partition(",")[0]


def _command(run: Run, script: str | None = None) -> str:
    first, *rest = run.record["command"]
    words = ["python", str(Path(first).with_name(script)) if script else first, *rest]
    return f"<pre><code>{escape(shlex.join(words))}</code></pre>"
