"""Accuracy over tasks, with its confidence interval."""

from __future__ import annotations

import numpy as np


class TaskAccuracies:
    """The query accuracies of the tasks seen so far, before and after each inner step."""

    def __init__(self):
        self.reset()

    def reset(self):
        self._rows = []

    def update(self, accuracies):
        """Add tasks: (task, inner steps + 1), or (task, 1) where only the last step is known."""
        self._rows.append(np.asarray(accuracies, dtype=np.float64))

    @property
    def tasks(self) -> int:
        return sum(len(rows) for rows in self._rows)

    def mean(self) -> np.ndarray:
        """Mean accuracy over tasks, per inner step."""
        return np.concatenate(self._rows).mean(0)

    def ci95(self) -> np.ndarray:
        """Half the 95 % confidence interval of the mean, 1.96 s / sqrt(n), per inner step."""
        rows = np.concatenate(self._rows)
        if len(rows) < 2:
            return np.full(rows.shape[1], np.nan)
        return 1.96 * rows.std(0, ddof=1) / np.sqrt(len(rows))


class Metric:
    """One number of a `TaskAccuracies`, with the two methods that PaddleRec's tools call."""

    def __init__(self, accuracies: TaskAccuracies, value):
        self.accuracies = accuracies
        self._value = value

    def accumulate(self) -> float:
        return float(self._value(self.accuracies)) if self.accuracies.tasks else float("nan")

    def reset(self):
        self.accuracies.reset()


def meta_test_metrics() -> tuple[list[Metric], list[str]]:
    """Accuracy after the last inner step, its confidence interval and the tasks behind them."""
    accuracies = TaskAccuracies()
    metrics = [
        Metric(accuracies, lambda a: a.mean()[-1]),
        Metric(accuracies, lambda a: a.ci95()[-1]),
        Metric(accuracies, lambda a: a.tasks),
    ]
    return metrics, ["acc", "ci95", "tasks"]
