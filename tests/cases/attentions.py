"""Attention and transformers."""

from __future__ import annotations

from .common import normal, paddle

TOKENS = {"x": normal(2, 3, 8)}
QKV = {name: normal(2, 3, 2, 4, seed=seed) for seed, name in enumerate("qkv")}
LATER = paddle.triu(paddle.full([3, 3], float("-inf"), "float64"), 1)

FUNCTIONS = {
    "F.softmax(x + LATER)": {"x": normal(3, 3)},
    "F.log_softmax(paddle.where(LATER < 0, LATER, x)).tril()": {"x": normal(3, 3)},
    "F.scaled_dot_product_attention(q, k, v)": QKV,
    "F.scaled_dot_product_attention(q, k, v, is_causal=True)": QKV,
    "F.scaled_dot_product_attention(q, k, v, LATER.expand([2, 2, 3, 3]))": QKV,
}
LAYERS = {
    ("nn.MultiHeadAttention(8, 2)", "x"): TOKENS,
    ("nn.MultiHeadAttention(8, 2)", "x, x, x, LATER"): TOKENS,
    ("nn.TransformerEncoderLayer(8, 2, 6, dropout=0.0)", "x"): TOKENS,
    ("nn.TransformerEncoderLayer(8, 2, 6, dropout=0.0, activation='gelu')", "x"): TOKENS,
    ("nn.TransformerEncoderLayer(8, 2, 6)", "x"): TOKENS,
    ("nn.TransformerDecoderLayer(8, 2, 6, dropout=0.0)", "x, x"): TOKENS,
}
