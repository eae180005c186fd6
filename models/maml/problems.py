"""What a task asks for, a class or a number, and how the answers are measured."""

from __future__ import annotations

from typing import Callable, NamedTuple

from adapted_episode import adapted_curves, adapted_episode
from paddle.nn import functional
from paddle_maml.ensemble import mean_probabilities


class Problem(NamedTuple):
    """One problem, as `hyper_parameters.loss` names it.

    `score` and `losses` take outputs (..., task, query, output) and what the queries' outputs
    should be, as the reader has it, and return float32 (..., task).
    """

    loss: Callable  # what adapts to a task: (outputs, targets) -> mean over examples
    metric: str  # the short name of the score
    measure: str  # its name in a summary
    lower_is_better: bool
    shown: Callable  # a mean score -> text
    score: Callable
    losses: Callable
    title: Callable  # the settings -> the kind of task in words
    join: Callable  # outputs (network, ...) -> the answer of an ensemble
    protocol: Callable  # the settings -> what else a summary says of how it was measured
    episode: Callable  # one task to look at, as `adapted_episode` makes it


def accuracy(logits, labels):
    """Share of right answers, per task."""
    return (logits.argmax(-1) == labels).astype("float32").mean(-1)


def cross_entropies(logits, labels):
    """Mean cross-entropy, per task."""
    labels = labels.expand(logits.shape[:-1])
    return functional.cross_entropy(logits, labels, reduction="none").mean(-1)


def squared_errors(outputs, targets):
    """Mean squared error, per task."""
    return ((outputs - targets) ** 2).mean([-2, -1])


CLASSIFICATION = Problem(
    loss=functional.cross_entropy,
    metric="acc",
    measure="accuracy",
    lower_is_better=False,
    shown=lambda score: f"{100 * score:.2f} %",
    score=accuracy,
    losses=cross_entropies,
    join=mean_probabilities,
    title=lambda setting: f"{setting.n_way}-way {setting.k_spt}-shot",
    protocol=lambda setting: {
        "way": setting.n_way,
        "transductive": not setting.embeds,
        "rotation": setting.rotation_test,
    },
    episode=adapted_episode,
)
REGRESSION = Problem(
    loss=functional.mse_loss,
    metric="mse",
    measure="mse",
    lower_is_better=True,
    shown=lambda score: f"{score:.4g}",
    score=squared_errors,
    losses=squared_errors,
    join=lambda outputs: outputs.mean(0),
    title=lambda setting: f"{setting.k_spt}-shot regression{', oracle' if setting.oracle else ''}",
    protocol=lambda setting: {"oracle": setting.oracle},
    episode=lambda maml, *task, steps, scale: adapted_curves(maml, *task, steps),
)
PROBLEMS = {"cross_entropy": CLASSIFICATION, "mse": REGRESSION}
