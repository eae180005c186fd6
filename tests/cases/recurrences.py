"""Recurrent cells and layers."""

from __future__ import annotations

from .common import normal, paddle

STEP = {"x": normal(3, 4)}
SEQUENCES = {"x": normal(3, 5, 4)}
LENGTHS = paddle.to_tensor([5, 2, 3])

LAYERS = {
    ("nn.SimpleRNNCell(4, 3)", "x"): STEP,
    ("nn.LSTMCell(4, 3)", "x"): STEP,
    ("nn.GRUCell(4, 3)", "x"): STEP,
    ("nn.RNN(nn.GRUCell(4, 3))", "x"): SEQUENCES,
    ("nn.SimpleRNN(4, 3)", "x"): SEQUENCES,
    ("nn.SimpleRNN(4, 3, activation='relu')", "x"): SEQUENCES,
    ("nn.LSTM(4, 3)", "x"): SEQUENCES,
    ("nn.LSTM(4, 3, num_layers=2)", "x"): SEQUENCES,
    ("nn.LSTM(4, 3, num_layers=2, dropout=0.5)", "x"): SEQUENCES,
    ("nn.LSTM(4, 3, direction='bidirect')", "x"): SEQUENCES,
    ("nn.LSTM(4, 3, time_major=True)", "x"): SEQUENCES,
    ("nn.LSTM(4, 3)", "x, sequence_length=LENGTHS"): SEQUENCES,
    ("nn.LSTM(4, 3, num_layers=2, direction='bidirect')", "x, sequence_length=LENGTHS"): SEQUENCES,
    ("nn.LSTM(4, 3)", "x, (h, c)"): {
        **SEQUENCES, "h": normal(1, 3, 3, seed=1), "c": normal(1, 3, 3, seed=2)
    },
    ("nn.GRU(4, 3)", "x"): SEQUENCES,
    ("nn.GRU(4, 3, num_layers=2, direction='bidirect')", "x"): SEQUENCES,
    ("nn.GRU(4, 3)", "x, sequence_length=LENGTHS"): SEQUENCES,
}  # fmt: skip
