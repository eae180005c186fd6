"""What a validation or a meta-test gives reason to tell of, each in one sentence."""

from __future__ import annotations

from paddle_maml.metrics import MetaTest
from paddle_maml.settings import Settings
from problems import Problem

RATE, NORM, STEPS = (
    f"hyper_parameters.{key}"
    for key in ("base_optimizer.learning_rate", "base_optimizer.clip_norm", "update_step_test")
)


def remarks(meta_test: MetaTest, problem: Problem, setting: Settings) -> dict[str, str]:
    """What there is to tell: `nonfinite`, of tasks without a finite loss, and `no_better`, of
    queries that adapting does not help.
    """
    found = {"nonfinite": _nonfinite(meta_test), "no_better": _no_better(meta_test, problem)}
    advice = {
        "nonfinite": f"lower {RATE} or {STEPS}, or set {NORM}",
        "no_better": f"try another {RATE} or {STEPS}",
    }
    if setting.compares:  # nothing is adapted
        advice = {"nonfinite": "correct the data, or train again"}
    return {key: f"{found[key]}: {advice[key]}" for key in advice if found[key]}


def _nonfinite(meta_test):
    found = meta_test.nonfinite()
    if found is None:
        return None
    tasks, first, step = found
    when = f"after inner step {step}" if step else "before any inner step"
    return (
        f"{tasks} of {meta_test.losses.tasks} tasks have no finite loss, the first is task {first} "
        f"{when} (RecDataset.task(0, {first}) draws it again)"
    )


def _no_better(meta_test, problem):
    curve = meta_test.scores.mean()
    before, after, steps = curve[0], curve[-1], len(curve) - 1
    worse = after >= before if problem.lower_is_better else after <= before
    if not steps or not worse:
        return None
    return (
        f"adapting makes the {problem.measure} of the queries no better, {problem.shown(before)} "
        f"before and {problem.shown(after)} after {steps} inner step{'s' * (steps > 1)}"
    )
