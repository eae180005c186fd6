"""What is measured of a batch."""

from __future__ import annotations

import math

import paddle
import pytest
from utils.measure import gradient_norm, measured, shown, wilson


def test_the_norm_is_over_all_parameters():
    net = paddle.nn.Linear(2, 1)
    net(paddle.to_tensor([[3.0, 4.0]])).sum().backward()  # the gradient is 3, 4 and 1
    assert gradient_norm(net) == pytest.approx(math.sqrt(26))


def test_a_sparse_gradient_has_none():
    net = paddle.nn.Embedding(5, 2, sparse=True)
    net(paddle.to_tensor([1, 3])).sum().backward()
    assert math.isnan(gradient_norm(net))


def test_single_numbers_are_kept():
    tensors = {"loss": paddle.to_tensor([0.5]), "weights": paddle.ones([2, 2])}
    assert measured([], [], tensors) == {"loss": 0.5}


def test_of_a_single_task_there_is_no_interval():
    assert shown("acc", 0.5, 0.0123) == "50.00 ± 1.23 %"
    assert shown("acc", 0.5, math.nan) == shown("acc", 0.5, None) == "50.00 %"


def test_an_error_is_shown_as_it_is():
    assert shown("mse", 0.34716, 0.0338) == "0.3472 ± 0.034"
    assert shown("mse", 0.34716, math.nan) == "0.34716"


@pytest.mark.parametrize(("right", "total"), [(0, 7), (3, 7), (7, 7), (1, 1), (290, 300)])
def test_the_ends_of_an_interval_are_196_of_their_standard_errors_away(right, total):
    share = right / total
    low, high = wilson(right, total)
    assert 0 <= low <= share <= high <= 1 and high - low > 0.01
    for end in (low, high):
        if 0 < end < 1:
            error = (end * (1 - end) / total) ** 0.5
            assert abs(end - share) == pytest.approx(1.96 * error, rel=1e-9)
