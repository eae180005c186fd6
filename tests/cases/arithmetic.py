"""Arithmetic on two tensors, and choosing between them."""

from __future__ import annotations

from .common import integers, normal, positive

X = normal(3, 4)
PAIR = {"x": X, "y": normal(3, 4, seed=1)}
ROW = {"x": X, "row": normal(4, seed=1)}
QUOTIENT = {"x": X, "y": positive(3, 4, seed=1)}
MASK = integers(2, 3, 4) > 0

FUNCTIONS = {
    "x + y": PAIR,
    "x - row": ROW,
    "x * y": PAIR,
    "x * row": ROW,
    "x / y": QUOTIENT,
    "x / row": {"x": X, "row": positive(4, seed=1)},
    "1 / x": {"x": positive(3, 4)},
    "x / 3": {"x": X},
    "paddle.divide(x, y)": QUOTIENT,
    "x ** y": {"x": positive(3, 4), "y": PAIR["y"]},
    "2.0 ** x": {"x": X},
    "paddle.pow(x, y)": {"x": positive(3, 4), "y": PAIR["y"]},
    "paddle.maximum(x, y)": PAIR,
    "paddle.minimum(x, y)": PAIR,
    "paddle.fmax(x, y)": PAIR,
    "paddle.fmin(x, y)": PAIR,
    "paddle.atan2(x, y)": QUOTIENT,
    "paddle.hypot(x, y)": PAIR,
    "paddle.remainder(x, y)": QUOTIENT,
    "paddle.where(MASK, x, y)": PAIR,
    "paddle.where(MASK, x, 0 * x)": {"x": X},
    "paddle.masked_fill(x, MASK, 2.0)": {"x": X},
    "paddle.masked_select(x, MASK)": {"x": X},
    "paddle.lerp(x, y, 0.3)": PAIR,
    "paddle.lerp(x, y, w)": {**PAIR, "w": positive(3, 4)},
    "paddle.add_n([x, y, x])": PAIR,
    "paddle.logaddexp(x, y)": PAIR,
    "F.cosine_similarity(x, y)": PAIR,
    "F.pairwise_distance(x, y)": PAIR,
    "paddle.dist(x, y)": PAIR,
    "paddle.cdist(x, y)": PAIR,
}
