"""Scores and losses over tasks, with confidence intervals."""

from __future__ import annotations

import numpy as np


class TaskCurves:
    """A figure of the tasks seen so far, before and after each inner step."""

    def __init__(self):
        self.reset()

    def reset(self):
        self._rows = []

    def update(self, values):
        """Add tasks: (task, inner steps + 1), or (task, 1) where only the last step is known.

        An array or a tensor, which is read only when its mean is asked for: a GPU need not wait.
        """
        self._rows.append(values)

    @property
    def tasks(self) -> int:
        return sum(len(rows) for rows in self._rows)

    def mean(self) -> np.ndarray:
        """Mean over tasks, per inner step."""
        return self.rows().mean(0)

    def ci95(self) -> np.ndarray:
        """Half the 95 % confidence interval of the mean, 1.96 s / sqrt(n), per inner step."""
        rows = self.rows()
        if len(rows) < 2:
            return np.full(rows.shape[1], np.nan)
        return 1.96 * rows.std(0, ddof=1) / np.sqrt(len(rows))

    def rows(self) -> np.ndarray:
        """(task, inner steps + 1), float64."""
        self._rows = [np.asarray(rows, dtype=np.float64) for rows in self._rows]
        return np.concatenate(self._rows)


class MetaTest:
    """The scores, such as accuracies, and losses on the queries of the tasks seen so far."""

    def __init__(self):
        self.scores, self.losses = TaskCurves(), TaskCurves()

    def reset(self):
        self.scores.reset()
        self.losses.reset()

    def nonfinite(self) -> tuple[int, int, int] | None:
        """How many tasks have a loss that is not finite, which is the first of them, and after
        which inner step; None if there are none.
        """
        wrong = ~np.isfinite(self.losses.rows())
        if not wrong.any():
            return None
        tasks = wrong.any(1)
        first = int(tasks.argmax())
        return int(tasks.sum()), first, int(wrong[first].argmax())


class Metric:
    """One number of a `MetaTest`, with the two methods that PaddleRec's tools call."""

    def __init__(self, meta_test: MetaTest, value):
        self.meta_test = meta_test
        self._value = value

    def accumulate(self) -> float:
        scores = self.meta_test.scores
        return float(self._value(scores)) if scores.tasks else float("nan")

    def reset(self):
        self.meta_test.reset()


def meta_test_metrics(name: str) -> tuple[list[Metric], list[str]]:
    """The score `name` after the last inner step, its confidence interval and how many tasks."""
    meta_test = MetaTest()
    metrics = [
        Metric(meta_test, lambda scores: scores.mean()[-1]),
        Metric(meta_test, lambda scores: scores.ci95()[-1]),
        Metric(meta_test, lambda scores: scores.tasks),
    ]
    return metrics, [name, "ci95", "tasks"]
