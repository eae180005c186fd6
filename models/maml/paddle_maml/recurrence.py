"""Recurrent layers, step by step, as `paddle.nn.LSTMCell`, `GRUCell` and `SimpleRNNCell` do it."""

from __future__ import annotations

import paddle

from .activations import dropped_out
from .native import native


def recurrent(
    x, states, weights, lengths, dropout_state, dropout_rate, bidirectional, input_size,
    hidden_size, layers, mode, seed, is_test,
):  # fmt: skip
    """Paddle's fused layers: `x` (time, batch, input) -> outputs, dropout state, last states.

    `states` are h, and c of an LSTM, each (layer and direction, batch, hidden); `weights` are two
    matrices for each layer and direction, then two biases each. Past an example's length outputs
    are 0 and its states stay.
    """
    cell, directions = _CELLS[mode], 2 if bidirectional else 1
    passes = layers * directions
    last = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            own = 2 * place, 2 * place + 1
            parameters = [weights[i] for i in (*own, *(2 * passes + i for i in own))]
            start = tuple(state[place] for state in states)
            output, end = _run(cell, x, start, parameters, lengths, backwards=direction == 1)
            outputs.append(output)
            last.append(end)
        x = paddle.concat(outputs, -1) if bidirectional else outputs[0]
        if dropout_rate and not is_test and layer + 1 < layers:
            x = dropped_out(x, dropout_rate)
    return x, dropout_state, [paddle.stack(list(state)) for state in zip(*last)]


def _run(cell, x, states, parameters, lengths, backwards):
    """One direction of one layer: outputs (time, batch, hidden) and the states at the end."""
    weight, recurrent_weight, bias, recurrent_bias = parameters
    inputs = paddle.unbind(paddle.matmul(x, weight, transpose_y=True) + bias)
    outputs = [None] * len(inputs)
    for t in reversed(range(len(inputs))) if backwards else range(len(inputs)):
        hidden = paddle.matmul(states[0], recurrent_weight, transpose_y=True) + recurrent_bias
        found = cell(inputs[t], hidden, states)
        outputs[t] = found[0]
        if lengths is not None:
            within = (lengths > t).astype(x.dtype).unsqueeze(-1)
            outputs[t] = found[0] * within
            found = tuple(new * within + old * (1 - within) for new, old in zip(found, states))
        states = found
    return paddle.stack(outputs), states


def _lstm(x, hidden, states):
    i, f, g, o = paddle.split(x + hidden, 4, -1)
    c = native.sigmoid(f) * states[1] + native.sigmoid(i) * native.tanh(g)
    return native.sigmoid(o) * native.tanh(c), c


def _gru(x, hidden, states):
    x_r, x_z, x_c = paddle.split(x, 3, -1)
    h_r, h_z, h_c = paddle.split(hidden, 3, -1)
    z = native.sigmoid(x_z + h_z)
    c = native.tanh(x_c + native.sigmoid(x_r + h_r) * h_c)
    return ((states[0] - c) * z + c,)


_CELLS = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN_TANH": lambda x, hidden, _: (native.tanh(x + hidden),),
    "RNN_RELU": lambda x, hidden, _: (native.relu(x + hidden),),
}


OPERATORS = {"rnn": recurrent}
