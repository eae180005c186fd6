"""Numbers that are not finite: each is found where it first appears, and none stays hidden."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from low_precision import emulated_products
from net import MLP, Conv4
from paddle import nn
from paddle.nn.functional import mse_loss
from paddle_maml import MAML, MAMLPlusPlus, NonFinite, ProtoNet, Reptile, find_nonfinite
from paddle_maml.nonfinite import sound
from paddle_maml.precision import PATIENCE

NAN = float("nan")


class Line(nn.Layer):
    """x -> w x, or the root of that, which is steep at 0."""

    def __init__(self, w=1.0, root=False):
        super().__init__()
        self.w, self.root = paddle.create_parameter([1], "float32"), root
        self.w.set_value(np.float32([w]))

    def forward(self, x):
        y = x * self.w
        return paddle.sqrt(y) if self.root else y


class Plain(nn.Layer):
    """A net that does not say what it is made of."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def points(tasks=3):
    """Tasks of the one point (1, 0)."""
    sets = paddle.ones([tasks, 1, 1]), paddle.zeros([tasks, 1, 1])
    return [x.clone() for x in (*sets, *sets)]


def set_to(place, value, task=1):
    """Points, one number of which is another."""
    sets = points()
    sets[place][task] = value
    return sets


# With w = 1 and the loss w^2, one step is w (1 - 2 alpha), and the meta-gradient twice the loss.
CASES = {
    "support_x": (Line(), 0.1, set_to(0, NAN), NonFinite("support_x", task=1)),
    "query_y": (Line(), 0.1, set_to(3, NAN), NonFinite("query_y", task=1)),
    "parameter": (Line(NAN), 0.1, points(), NonFinite("parameter", "w", task=0)),
    "support loss": (Line(), 0.1, set_to(1, 1e30), NonFinite("support loss", None, 1, 1)),
    "inner gradient": (Line(0, True), 0.1, points(), NonFinite("inner gradient", "w", 1, 0)),
    "adapted": (Line(), 3e38, points(), NonFinite("adapted parameter", "w", 1, 0)),
    "query loss": (Line(), 1e25, points(), NonFinite("query loss", None, 1, 0)),
    "meta-gradient": (Line(), 7.9e18, points(), NonFinite("meta-gradient", "w", None, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_first_is_found(case):
    net, inner_lr, sets, expected = CASES[case]
    maml = MAML(net, inner_lr, loss=mse_loss)
    loss, _ = maml(*sets)
    assert not paddle.isfinite(loss)
    assert find_nonfinite(maml, *sets) == expected


def test_the_inner_step_is_counted():
    """w grows by a factor of 1e7 each step: its square overflows with the third step's result."""
    maml = MAML(Line(), 5e6, inner_steps=4, loss=mse_loss)
    assert find_nonfinite(maml, *points()) == NonFinite("support loss", None, 4, 0)
    assert find_nonfinite(MAML(Line(), 5e6, inner_steps=2, loss=mse_loss), *points()) is None


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (MAMLPlusPlus, NonFinite("query loss", None, 1, 0)),  # it has one after every step
        (Reptile, NonFinite("support loss", None, 2, 0)),
    ],
)
def test_other_inner_loops(algorithm, expected):
    maml = algorithm(Line(), 5e19, inner_steps=2, loss=mse_loss)
    assert find_nonfinite(maml, *points()) == expected


def images(side=16, spoiled=None):
    rng = np.random.default_rng(0)
    x = [rng.random((3, 6, 1, side, side), np.float32) for _ in range(2)]
    y = [np.tile(np.arange(3), (3, 2)) for _ in range(2)]
    if spoiled is not None:
        x[1][spoiled, 0, 0, 3, 3] = np.nan
    return [paddle.to_tensor(a) for a in (x[0], y[0], x[1], y[1])]


NETS = {
    "in C++": lambda: Conv4(3, 16, 1, filters=16),
    "together": lambda: Conv4(3, 16, 1, filters=4),
    "one by one": lambda: Plain(Conv4(3, 16, 1, filters=4)),
}


@pytest.mark.parametrize("kind", NETS)
def test_it_does_not_get_lost_in_relu_and_pooling(kind):
    """Which make ordinary numbers of nan on the CPU."""
    paddle.seed(0)
    maml, sets = MAML(NETS[kind](), 1.0), images(spoiled=2)
    loss, _ = maml(*sets)
    assert not paddle.isfinite(loss)
    assert find_nonfinite(maml, *sets) == NonFinite("query_x", task=2)
    loss, _ = maml(*images())
    assert paddle.isfinite(loss) and find_nonfinite(maml, *images()) is None


@pytest.mark.parametrize("kind", NETS)
def test_a_test_shows_what_is_adapted_to_no_finite_parameters(kind):
    paddle.seed(0)
    maml, sets = MAML(NETS[kind](), 1e38), images()
    logits = maml.path_logits(*sets[:3], steps=2).numpy()
    assert np.isfinite(logits[0]).all() and np.isnan(logits[2]).all()


def test_an_algorithm_without_inner_steps():
    paddle.seed(0)
    method = ProtoNet(Conv4(3, 16, 1, filters=4))
    before = {name: value.numpy().copy() for name, value in method.state_dict().items()}
    assert find_nonfinite(method, *images(spoiled=1)) == NonFinite("query_x", task=1)
    assert find_nonfinite(method, *images()) is None
    for name, value in method.state_dict().items():  # running statistics, too
        np.testing.assert_array_equal(value.numpy(), before[name])
    next(iter(method.parameters())).set_value(before["embedding.blocks.0.weight"] * NAN)
    found = find_nonfinite(method, *images())
    assert found == NonFinite("parameter", "embedding.blocks.0.weight")


def test_everything_stays_as_it_is():
    paddle.seed(0)
    maml = MAML(nn.Sequential(nn.Linear(1, 3), nn.Dropout(0.5), nn.Linear(3, 1)), 1e30, 2)
    maml.loss, expected = mse_loss, [p.numpy().copy() for p in maml.parameters()]
    state = paddle.get_rng_state()[0].current_seed(), np.random.get_state()[1].tolist()
    assert find_nonfinite(maml, *points())
    assert (paddle.get_rng_state()[0].current_seed(), np.random.get_state()[1].tolist()) == state
    for p, before in zip(maml.parameters(), expected):
        np.testing.assert_array_equal(p.numpy(), before)
        assert p.grad is None


def test_in_mixed_precision_it_takes_many_in_a_row():
    maml = MAML(MLP(1, 1, hidden=(4,), batch_norm=False), 0.1, loss=mse_loss, amp=True)
    overflowing = set_to(1, 1e5)  # 1024 times that, which float16 cannot hold
    with emulated_products():
        losses = [maml(*overflowing)[0] for _ in range(PATIENCE - 1)]
        assert sound(maml, losses[-1])
        loss, _ = maml(*points())
        assert sound(maml, loss) and maml.mixed.lost == 0
        for _ in range(PATIENCE):
            assert sound(maml, loss)
            loss, _ = maml(*overflowing)
        assert not sound(maml, loss)
