"""Paddle's own operators, whatever replaces them at the moment: `native.conv2d`."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from paddle import _C_ops

native = SimpleNamespace(**vars(_C_ops))


def attribute(number: float) -> float:
    """A setting as Paddle's kernels get it: in float32, whatever the type of the tensors."""
    return float(np.float32(number))
