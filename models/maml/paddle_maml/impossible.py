"""Operators that have no second derivative here, and the way out of each."""

from __future__ import annotations

import paddle

from .native import native

_DECOMPOSITION = "compute it outside of the net, or solve, invert or factor (cholesky) instead"
# The one list of what is known to be impossible.
WAYS_OUT = {
    "svd": _DECOMPOSITION,
    "qr": _DECOMPOSITION,
    "eig": _DECOMPOSITION,
    "eigh": _DECOMPOSITION,
    "eigvals": _DECOMPOSITION,
    "eigvalsh": _DECOMPOSITION,
    "lu": _DECOMPOSITION,
    "lstsq": _DECOMPOSITION,
    "warpctc": "ctc_loss cannot be the loss of the inner loop",
    "warprnnt": "rnnt_loss cannot be the loss of the inner loop",
    "hsigmoid_loss": "use cross_entropy over all classes",
    "renorm": "divide by paddle.norm instead",
    "margin_cross_entropy": "use cross_entropy of scaled cosines",
}


class NotTwiceDifferentiable(NotImplementedError):
    """Says of operators that they cannot be differentiated twice.

    Parameters
    ----------
    ways_out : dict of str to str
        By an operator's name, what to do instead.
    """

    def __init__(self, ways_out: dict[str, str]):
        operators = ", ".join(f"{name} ({way_out})" for name, way_out in ways_out.items())
        super().__init__(
            f"Paddle cannot differentiate twice: {operators}. Change that, or take order=1."
        )
        self.ways_out = ways_out


def _refusing(name, way_out):
    """Paddle's operator, which refuses an input that autograd follows."""

    def replacement(*arguments, **named):
        tensors = [x for x in (*arguments, *named.values()) if isinstance(x, paddle.Tensor)]
        if paddle.is_grad_enabled() and not all(x.stop_gradient for x in tensors):
            raise NotTwiceDifferentiable({name: way_out})
        return getattr(native, name)(*arguments, **named)

    return replacement


OPERATORS = {
    name: _refusing(name, way_out) for name, way_out in WAYS_OUT.items() if hasattr(native, name)
}
