"""What the tables of cases share: the names that their code uses, and arrays to put in."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn  # noqa: F401
from paddle.nn import functional as F  # noqa: F401


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def positive(*shape, seed=0, low=0.3, high=2.0):
    return np.random.default_rng(seed).uniform(low, high, shape)


def dirichlet(rows, classes, seed=0):
    """Rows of probabilities."""
    return np.random.default_rng(seed).dirichlet(np.full(classes, 2.0), rows)


def integers(high, *shape, seed=0):
    """A constant tensor of whole numbers below `high`."""
    return paddle.to_tensor(np.random.default_rng(seed).integers(0, high, shape))
