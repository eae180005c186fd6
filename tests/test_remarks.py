"""What a validation gives reason to tell of."""

from __future__ import annotations

import re

import numpy as np
import pytest
from paddle_maml.metrics import MetaTest
from paddle_maml.settings import Settings
from problems import PROBLEMS
from remarks import remarks


def meta_test(scores, losses=None):
    """Of rows by task, with a column for each number of inner steps."""
    found = MetaTest()
    for task, row in enumerate(scores):  # a batch each
        found.scores.update(np.array([row]))
        found.losses.update(np.array([row if losses is None else losses[task]]))
    return found


def told(tasks, loss="cross_entropy", algorithm="maml"):
    setting = Settings.from_config(
        {"hyper_parameters.algorithm": algorithm, "hyper_parameters.network": "mlp"}
    )
    return remarks(tasks, PROBLEMS[loss], setting)


@pytest.mark.parametrize(
    ("loss", "scores", "worse"),
    [
        ("cross_entropy", [[0.2, 0.9, 0.1], [0.4, 0.9, 0.3]], "accuracy .*30.00 % .* and 20.00 %"),
        (
            "cross_entropy",
            [[0.2, 0.2], [0.2, 0.2]],
            "20.00 % before and .* after 1 inner step:",
        ),
        ("cross_entropy", [[0.2, 0.1], [0.2, 0.4]], None),
        ("cross_entropy", [[0.2], [0.2]], None),  # there are no steps
        ("mse", [[2.0, 3.0], [1.0, 2.0]], "mse of the queries no better, 1.5 before and 2.5 after"),
        ("mse", [[2.0, 3.0], [2.0, 0.5]], None),
    ],
)
def test_adapting_that_does_not_help(loss, scores, worse):
    found = told(meta_test(scores), loss)
    assert found.keys() == ({"no_better"} if worse else set())
    assert worse is None or re.search(worse, found["no_better"])


def test_tasks_without_a_finite_loss():
    losses = [[1.0, 1.0, 1.0], [1.0, 1.0, np.inf], [1.0, 1.0, 1.0], [1.0, np.nan, np.nan]]
    tasks = meta_test([np.ones(3) for _ in losses], losses)
    assert tasks.nonfinite() == (2, 1, 2)
    sentence = told(tasks)["nonfinite"]
    assert sentence.startswith(
        "2 of 4 tasks have no finite loss, the first is task 1 after inner step 2 "
        "(RecDataset.task(0, 1) draws it again): lower hyper_parameters.base_optimizer"
    )
    assert meta_test([[1.0, 1.0]]).nonfinite() is None


def test_an_algorithm_that_does_not_adapt():
    assert not told(meta_test([[0.2]]), algorithm="proto_net")
    sentence = told(meta_test([[np.nan]]), algorithm="proto_net")["nonfinite"]
    assert "task 0 before any inner step" in sentence and "base_optimizer" not in sentence
