"""Accuracy and its confidence interval, against a calculation by hand."""

from __future__ import annotations

import numpy as np
import pytest
from paddle_maml.metrics import TaskCurves, meta_test_metrics


def test_mean_and_interval_per_inner_step():
    accuracies = TaskCurves()
    accuracies.update([[0.0, 0.5], [0.5, 1.0]])
    accuracies.update([[1.0, 0.9]])
    assert accuracies.tasks == 3
    # s = 0.5 and sqrt(0.07): deviations -0.5, 0, 0.5 and -0.3, 0.2, 0.1, divided by n - 1 = 2
    assert accuracies.mean() == pytest.approx([0.5, 0.8])
    assert accuracies.ci95() == pytest.approx([1.96 * 0.5 / 3**0.5, 1.96 * 0.07**0.5 / 3**0.5])


def test_one_task_has_no_interval():
    accuracies = TaskCurves()
    accuracies.update([[0.2, 0.4]])
    assert np.isnan(accuracies.ci95()).all() and len(accuracies.ci95()) == 2


def test_metrics_follow_the_last_inner_step_and_can_be_reset():
    metrics, names = meta_test_metrics("acc")
    metrics[0].meta_test.scores.update([[0.0, 0.25], [0.0, 0.75]])
    found = dict(zip(names, (metric.accumulate() for metric in metrics)))
    assert found == pytest.approx({"acc": 0.5, "ci95": 1.96 * 0.125**0.5 / 2**0.5, "tasks": 2})
    metrics[0].reset()
    assert all(np.isnan(metric.accumulate()) for metric in metrics)
