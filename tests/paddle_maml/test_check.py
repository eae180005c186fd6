"""Checking a network: what is right, wrong or impossible is said, and nothing is left behind."""

from __future__ import annotations

import random

import numpy as np
import paddle
import pytest
from net import MLP, Conv4
from paddle import nn
from paddle.autograd import PyLayer
from paddle.nn import functional
from paddle_maml import ANIL, BOIL, MAML, MAMLPlusPlus, MetaSGD, Reptile

RNG = np.random.default_rng(0)
X = paddle.to_tensor(RNG.normal(size=(8, 4)).astype("float32"))
Y = paddle.to_tensor([0, 1, 2, 0, 1, 2, 0, 1])
QUERY = (
    paddle.to_tensor(RNG.normal(size=(5, 4)).astype("float32")),
    paddle.to_tensor([2, 1, 0, 2, 1]),
)


def network(*middle):
    paddle.seed(0)
    return nn.Sequential(nn.Linear(4, 6), *middle, nn.Linear(6, 3))


class Applied(nn.Layer):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Square(PyLayer):
    """x^2, its gradient right."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensor()[0] * g


class SquareOnce(Square):
    """The same but for the gradient's own gradient, which takes x for a constant."""

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensor()[0].detach() * g


class SquareWrong(Square):
    """With half its gradient."""

    @staticmethod
    def backward(ctx, g):
        return ctx.saved_tensor()[0] * g


@pytest.mark.parametrize("order", [2, 1])
@pytest.mark.parametrize("kind", [MAML, ANIL, BOIL, MetaSGD, MAMLPlusPlus])
def test_a_right_network_is_found_exact(kind, order):
    net = network(nn.BatchNorm1D(6), nn.Tanh())
    found = kind(net, 0.4, 2, order).check(X, Y, *QUERY)
    assert found.exact is True and found.error < 1e-8
    assert (found.order, found.precision) == (order, "float64")
    assert (found.first_order_error is None) == (order == 1)
    assert not found.random and not found.unreached and not found.together
    assert str(found).startswith(f"{'second' if order == 2 else 'first'} order")
    assert ("as order=1 asks for" in str(found)) == (order == 1)


def test_how_far_first_order_is_off():
    """Inner loss (a w)^2 / 2: the gradients are b^2 w' (1 - lr a^2), and b^2 w' in first order."""
    a, b, lr = 1.5, 2.0, 0.1
    net = nn.Linear(1, 1, bias_attr=False)
    maml = MAML(net, lr, loss=lambda out, target: ((out - target) ** 2).sum() / 2)
    zero = paddle.zeros([1, 1])
    found = maml.check(paddle.full([1, 1], a), zero, paddle.full([1, 1], b), zero)
    assert found.first_order_error == pytest.approx(lr * a**2 / (1 - lr * a**2), rel=1e-9)


@pytest.mark.parametrize(
    ("function", "order", "exact"),
    [
        (Square, 2, True),
        (SquareOnce, 2, False),
        (SquareOnce, 1, True),
        (SquareWrong, 2, False),
        (SquareWrong, 1, False),
    ],
)
def test_a_wrong_derivative_is_found_out(function, order, exact):
    found = MAML(network(Applied(function.apply)), 0.1, order=order).check(X, Y, *QUERY)
    assert found.exact is exact
    assert (found.error > 1e-3) == (not exact)
    assert ("WRONG" in str(found)) == (not exact)


def test_all_operators_without_a_second_gradient_are_named():
    def forward(x):
        x = paddle.i1(paddle.i0(x))
        return x * paddle.linalg.svd(x @ x.t())[1].sum()

    maml = MAML(network(Applied(forward)), 0.1)
    with pytest.raises(NotImplementedError) as error:
        maml.check(X[:2], Y[:2])
    elsewhere = "use another in the net or the loss"
    for part in (f"i0 ({elsewhere})", f"i1 ({elsewhere})", "svd (compute it outside of the net,"):
        assert part in str(error.value)
    assert str(error.value).endswith("or take order=1.")
    assert paddle.is_grad_enabled()


def test_operators_of_the_loss_are_named():
    maml = MAML(network(), 0.1, loss=lambda out, y: paddle.i0(out).mean())
    with pytest.raises(NotImplementedError, match=r"twice: i0 \("):
        maml.check(X, Y)
    maml.order = 1
    assert maml.check(X, Y).exact


class Busy(nn.Layer):
    """Writes to a buffer in place, to another by name, to an attribute, and draws."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1D(4), nn.Linear(4, 3)
        self.register_buffer("mean", paddle.zeros([4]))
        self.register_buffer("calls", paddle.zeros([], "int64"))
        self.last = None

    def forward(self, x):
        with paddle.no_grad():
            self.mean.set_value(x.mean(0))
        self.calls = self.calls + 1
        self.last = x
        x = functional.dropout(self.norm(x), 0.5, training=self.training)
        return self.linear(x) * (1 + np.random.rand() + random.random())


def test_nothing_is_left_behind():
    paddle.seed(0)
    net = Busy()
    maml = MetaSGD(net, 0.1)
    held = [*maml.parameters(), *maml.buffers()]
    before = [x.numpy().copy() for x in held]
    drawn = []
    for check in (True, False):
        paddle.seed(5)
        np.random.seed(5)
        random.seed(5)
        if check:
            found = maml.check(X, Y)
        drawn.append((paddle.rand([3]).tolist(), np.random.rand(), random.random()))
    assert drawn[0] == drawn[1]
    assert all(a is b for a, b in zip(held, [*maml.parameters(), *maml.buffers()]))
    for x, value in zip(held, before):
        assert x.dtype == (paddle.int64 if value.dtype == np.int64 else paddle.float32)
        np.testing.assert_array_equal(x.numpy(), value)
    assert net.last is None and paddle.get_default_dtype() == "float32"
    assert all(p.grad is None for p in maml.parameters())
    assert found.random == ["(Busy)"] and found.exact


def test_a_net_in_float64_is_checked_as_it_is():
    net = network(nn.Tanh()).to(dtype="float64")
    found = MAML(net, 0.4).check(X.astype("float64"), Y)
    assert found.exact and found.precision == "float64"


def test_layers_that_draw_random_numbers_are_named_and_spoil_nothing():
    net = network(nn.Sequential(nn.Tanh(), nn.Dropout(0.5)))
    found = MAML(net, 0.4, 2).check(X, Y, *QUERY)
    assert found.random == ["1.1 (Dropout)"] and "1.1 (Dropout)" in str(found)
    assert found.exact
    net.eval()
    assert MAML(net, 0.4).check(X, Y).random == []


class Recurrent(nn.Layer):
    def __init__(self):
        super().__init__()
        self.lstm, self.scores = nn.LSTM(1, 5, num_layers=2, dropout=0.5), nn.Linear(5, 3)

    def forward(self, x):
        return self.scores(self.lstm(x.unsqueeze(-1))[0].mean(1))


@pytest.mark.parametrize("order", [2, 1])
@pytest.mark.parametrize("net", [network(nn.RReLU()), Recurrent()], ids=["RReLU", "LSTM"])
def test_layers_that_draw_other_numbers_where_they_are_differentiated_twice(net, order):
    found = MAML(net, 0.4, order=order).check(X, Y, *QUERY)
    assert found.random and found.exact


def test_what_no_seed_governs_is_said_and_not_compared():
    numbers = np.random.default_rng()
    net = network(Applied(lambda x: x * numbers.random()))
    found = MAML(net, 0.4).check(X, Y)
    assert found.error is None and found.exact is None
    assert "another value at each call" in str(found)


class Partly(nn.Layer):
    def __init__(self):
        super().__init__()
        self.used, self.frozen, self.spare = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 3)
        self.norm = nn.BatchNorm1D(3)
        for p in self.frozen.parameters():
            p.stop_gradient = True

    def forward(self, x):
        return self.norm(self.used(x) + self.frozen(x))


def test_parameters_are_counted_and_those_out_of_reach_are_named():
    found = MAML(Partly(), 0.4).check(X, Y)
    assert found.unreached == ["spare.weight", "spare.bias"]
    assert (found.trainable, found.frozen) == (15 + 15 + 6, 15)
    assert "spare.weight, spare.bias" in str(found)


@pytest.mark.parametrize("inner_lr", [0.1, 1e-7])
def test_a_second_order_too_small_to_be_verified_is_said(inner_lr):
    found = MAML(network(nn.Tanh()), inner_lr).check(X, Y, *QUERY)
    assert found.exact
    assert ("too small to be verified in float64" in str(found)) == (inner_lr == 1e-7)


@pytest.mark.parametrize(("function", "exact"), [(Square, True), (SquareOnce, False)])
def test_a_net_that_insists_on_float32_is_compared_in_it(function, exact):
    weight = paddle.to_tensor(np.eye(6, dtype="float32"))
    net = network(Applied(function.apply), Applied(lambda x: paddle.matmul(x, weight)))
    found = MAML(net, 0.1).check(X, Y, *QUERY)
    assert found.precision == "float32" and found.exact is exact


@pytest.mark.parametrize("net", [Conv4(3, 16, filters=4, pool=False), MLP(256, 3, (8,))])
def test_networks_whose_tasks_are_computed_together(net):
    paddle.seed(1)
    images = paddle.randn([9, 1, 16, 16])
    found = MAML(net, 0.4).check(images, paddle.arange(9) % 3)
    assert found.together and found.exact and "together" in str(found)


def test_layers_in_turn_that_are_not_what_forward_does_are_found_out():
    class Shortened(MLP):
        def in_turn(self):
            return [layer for layer in super().in_turn() if type(layer) is not nn.ReLU]

    found = MAML(Shortened(4, 3, (6,), batch_norm=False), 0.4).check(X, Y)
    assert found.together and found.exact is False


def test_a_loss_of_logits_far_apart_is_no_mistake():
    """Paddle's own cross-entropy has the value 64 there, and the gradient of a higher one."""
    found = MAML(network(Applied(lambda x: 1e3 * x)), 1e-6).check(X, Y)
    assert found.exact


def test_a_loss_that_is_not_finite_is_said():
    found = MAML(network(Applied(lambda x: x / 0)), 0.4).check(X, Y)
    assert found.exact is None and "not finite" in str(found)


def test_a_loss_too_coarse_for_differences_leaves_it_open():
    net = network(Applied(lambda x: (x + 1e9) - 1e9))  # rounded to 1e-7
    found = MAML(net, 0.4).check(X, Y)
    assert found.exact is None and "finite differences vary" in str(found)


def test_mistakes_are_the_users_to_see():
    maml = MAML(network(), 0.4)
    with pytest.raises(ValueError, match="give both or none"):
        maml.check(X, Y, QUERY[0])
    with pytest.raises(ValueError, match=r"\[8, 3\]|mat"):
        maml.check(X[:, :3], Y)


def test_reptile_has_no_gradient_to_check():
    with pytest.raises(NotImplementedError, match="Reptile"):
        Reptile(network(), 0.4).check(X, Y)
