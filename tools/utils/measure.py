"""What is measured of a batch, as plain numbers."""

from __future__ import annotations

import math

SHARES = ("acc", "accuracy", "waiting")  # shown in percent


def measured(metrics, names, tensors) -> dict[str, float]:
    """Metrics and single-number tensors by name."""
    values = {name: float(metric.accumulate()) for name, metric in zip(names, metrics)}
    single = {name: t for name, t in (tensors or {}).items() if t.size == 1}
    return values | {name: float(t.item()) for name, t in single.items()}


def shown(name: str, mean: float, ci: float | None = None) -> str:
    """A value and its interval, shares in percent; one task has no interval (nan, None)."""
    lone = ci is None or math.isnan(ci)
    if name in SHARES:
        return f"{100 * mean:.2f} %" if lone else f"{100 * mean:.2f} ± {100 * ci:.2f} %"
    return f"{mean:.6g}" if lone else f"{mean:.4g} ± {ci:.2g}"


def measure_of(summary: dict) -> str:
    """What a summary is of; its key for each inner step is that and `_per_step`."""
    return summary.get("measure", "accuracy")


def gradient_norm(model) -> float:
    """The Euclidean norm of the gradient of all parameters, nan where Paddle keeps it sparse."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if any(g.is_selected_rows() for g in gradients):
        return float("nan")
    return float(sum((g.astype("float32") ** 2).sum() for g in gradients) ** 0.5)


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share: each end is 1.96 of its own standard errors away from it.

    So it stays within 0 and 1, and has a width where all are right (Wilson, 1927, "Probable
    inference, the law of succession, and statistical inference").
    """
    share, u = right / total, 1.96**2 / total
    middle = (share + u / 2) / (1 + u)
    half = math.sqrt(u * (share * (1 - share) + u / 4)) / (1 + u)
    return max(0.0, middle - half), min(1.0, middle + half)
