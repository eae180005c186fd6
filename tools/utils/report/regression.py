"""Regression tasks as plots: what is predicted before and after adapting, and what is true."""

from __future__ import annotations

import numpy as np

from utils.report import plots
from utils.report.plots import Curve


def section(episodes: list) -> str:
    """A plot per task."""
    shown = "".join(task(number, episode) for number, episode in enumerate(episodes, 1))
    return (
        f"<p>The first {len(episodes)} tasks of the test split. The net sees the support points, "
        f'takes its inner steps and predicts the queries.</p><div class="grid">{shown}</div>'
    )


def task(number: int, episode) -> str:
    found = " → ".join(f"{error:.3g}" for error in errors(episode))
    steps = f"inner steps {', '.join(map(str, episode.steps))}"
    alt = f"Task {number}: predictions and truth over x; mean squared error {found} after {steps}."
    return (
        f"<figure><figcaption><b>Task {number}</b> mean squared error {found} after {steps}"
        f"</figcaption>{plots.plot(f'task{number}', alt, curves(episode), 'x')}</figure>"
    )


def picture(episodes: list) -> np.ndarray:
    """Pairs of a title and a task beside each other, as uint8 pixels (rows, columns, 3)."""
    return plots.picture([(title, curves(episode)) for title, episode in episodes], "x")


def errors(episode) -> list[float]:
    """The mean squared error on the queries, of each prediction."""
    return ((episode.predictions - episode.query_y) ** 2).mean(1).tolist()


def curves(episode) -> list[Curve]:
    """The truth, each prediction, and the support points."""
    lines = [Curve("truth", "ink", episode.query_x, episode.query_y)]
    for colour, step, y in zip(("train", "valid", "test"), episode.steps, episode.predictions):
        label = "before" if step == 0 else f"{step} step{'s' if step > 1 else ''}"
        lines.append(Curve(label, colour, episode.query_x, y))
    support = Curve("support", "ink", episode.support_x, episode.support_y, points=True)
    return [*lines, support]
