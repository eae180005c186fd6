"""What is measured of a batch, as plain numbers."""

from __future__ import annotations

import math


def measured(metrics, names, tensors) -> dict[str, float]:
    """Metrics and single-number tensors by name."""
    values = {name: float(metric.accumulate()) for name, metric in zip(names, metrics)}
    single = {name: t for name, t in (tensors or {}).items() if t.size == 1}
    return values | {name: float(t.item()) for name, t in single.items()}


def percent(mean: float, ci: float | None) -> str:
    """A share and its interval in percent; of a single task there is no interval (nan, None)."""
    interval = "" if ci is None or math.isnan(ci) else f" ± {100 * ci:.2f}"
    return f"{100 * mean:.2f}{interval} %"


def gradient_norm(model) -> float:
    """The Euclidean norm of the gradient of all parameters, nan where Paddle keeps it sparse."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if any(g.is_selected_rows() for g in gradients):
        return float("nan")
    return float(sum((g.astype("float32") ** 2).sum() for g in gradients) ** 0.5)
