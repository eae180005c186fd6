"""Attention that can be differentiated twice."""

from __future__ import annotations

import math

import paddle

from .activations import dropped_out
from .classification import softmax


def masked_softmax(x):
    """Softmax over the last axis, of each row up to its own place."""
    return softmax(x + _later(*x.shape[-2:], x.dtype))


def _later(rows, columns, dtype):
    """-inf after a row's own place, or zero."""
    return paddle.triu(paddle.full([rows, columns], -math.inf, dtype), 1 + columns - rows)


def flash_attention(
    query, key, value, _seed=None, mask=None, dropout_rate=0.0, causal=False, _return_softmax=False,
    is_test=False, _generator="",
):  # fmt: skip
    """softmax(q k^T / sqrt(width) + mask) v of (batch, place, head, width)."""
    query, key, value = (x.transpose([0, 2, 1, 3]) for x in (query, key, value))
    scores = paddle.matmul(query * query.shape[-1] ** -0.5, key, transpose_y=True)
    scores = scores if mask is None else scores + mask
    weights = masked_softmax(scores) if causal else softmax(scores)
    if dropout_rate and not is_test:
        weights = dropped_out(weights, dropout_rate)
    return paddle.matmul(weights, value).transpose([0, 2, 1, 3]), weights, None, None


OPERATORS = {
    "flash_attn": flash_attention,
    "fused_softmax_mask_upper_triangle": masked_softmax,
}
