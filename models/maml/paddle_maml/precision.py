"""Mixed precision: matrix products in float16, all else in the network's own precision."""

from __future__ import annotations

from contextlib import contextmanager

import paddle
from paddle import _C_ops

from .replacement import replaced

native = {name: getattr(_C_ops, name) for name in ("matmul", "bmm", "conv2d", "conv3d")}
PATIENCE = 20  # meta-steps in a row that may overflow; ten of them take the scale to 1
_active = None  # the `MixedPrecision` at work


class MixedPrecision:
    """Products of float32 in float16, and losses scaled so that their gradients fit into it.

    Inside `with mixed.products():` products and convolutions of float32 cast their operands to
    float16 and their result back; what is written with `@`, and recurrent layers, stay float32.
    float16 has nothing below 6e-8, so a loss is multiplied with a scale before it is
    differentiated, in the inner loop as for the queries (`scaled`), and gradients are divided by it
    in float32 (`unscaled`). The scale is a power of two, so that nothing is rounded by that.

    The scale starts at 1024, which Conv4 bears, and is halved, down to 1, where a meta-step
    overflows; its gradient counts as zero. Both are decided on the device, so that the host waits
    for neither. The scale is not part of a checkpoint. `lost`, on the device too, is how many
    meta-steps in a row overflowed up to now; from `PATIENCE` on, the scale is not at fault.
    """

    def __init__(self):
        self.scale = paddle.full([], 1024.0, "float32")
        self.lost = paddle.zeros([], "int64")

    @contextmanager
    def products(self):
        global _active
        before, _active = _active, self
        linear = {name: _linear for name in ("linear", "linear_v2") if hasattr(_C_ops, name)}
        try:
            with replaced({**{name: lowered(name) for name in native}, **linear}):
                yield
        finally:
            _active = before

    def kept(self, loss, gradients):
        """`gradients`, or zeros in their place if they or the loss, a 0-D tensor, are not finite.

        Adapts the scale by that.
        """
        found = [g.sum() for g in gradients if g is not None]
        if not found:
            return gradients
        finite = paddle.isfinite(paddle.stack([loss, *found]).sum())
        self.lost = paddle.where(finite, paddle.zeros_like(self.lost), self.lost + 1)
        self.scale = paddle.where(finite, self.scale, paddle.clip(self.scale / 2, min=1.0))
        return [g if g is None else _where(finite, g) for g in gradients]


def lowered(name: str):
    """Paddle's operator `name`, a product, in mixed precision where that is active."""

    def product(x, y, *settings, **named):
        if not _active or x.dtype != paddle.float32:
            return native[name](x, y, *settings, **named)
        x, y = x.astype("float16"), y.astype("float16")
        return native[name](x, y, *settings, **named).astype("float32")

    return product


def exact_matmul(a, b, transpose_a=False, transpose_b=False):
    """The product in the precision of its operands; for sums, which low precision would spoil."""
    return native["matmul"](a, b, transpose_a, transpose_b)


def scaled(loss):
    """A loss, or its gradient in the outputs, times the scale where mixed precision is active."""
    return loss * _active.scale.astype(loss.dtype) if _active else loss


def unscaled(gradients):
    """Gradients of a `scaled` loss, in lists in which None stands for zero, as of the loss."""
    if not _active or gradients is None:
        return gradients
    if isinstance(gradients, (list, tuple)):
        return [unscaled(g) for g in gradients]
    return gradients / _active.scale.astype(gradients.dtype)


def _linear(x, weight, bias=None, transposed=False):
    y = _C_ops.matmul(x, weight, False, transposed)
    return y if bias is None else y + bias


def _where(finite, g):
    return paddle.where(finite.expand(g.shape), g, paddle.zeros_like(g))
