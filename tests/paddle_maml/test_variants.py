"""The algorithms over MAML's engine, held to gradients derived by hand and to differences."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from derivatives import slope
from net import MLP
from paddle import nn
from paddle.nn.functional import mse_loss
from paddle_maml import ANIL, BOIL, MAML, MAMLPlusPlus, MetaSGD, Reptile
from paddle_maml.functional import trainable

ALPHA = 0.1


@pytest.fixture(autouse=True)
def float64():
    paddle.seed(0)
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


class Scalar(nn.Layer):
    """x -> w x."""

    def __init__(self, w):
        super().__init__()
        self.w = paddle.create_parameter([1], "float64")
        self.w.set_value(np.array([w]))

    def forward(self, x):
        return x * self.w


class Line:
    """A task of the scalar net: L(w) = s w^2 - 2 t w + c."""

    def __init__(self, rng, examples=4):
        self.x, self.y = rng.normal(size=(2, examples, 1))
        self.s, self.t = (self.x**2).mean(), (self.x * self.y).mean()

    def slope(self, w):
        return 2 * (self.s * w - self.t)


def sets(*tasks):
    """Support and query sets of one task as MAML takes them."""
    return [paddle.to_tensor(a[None]) for task in tasks for a in (task.x, task.y)]


def gradients(maml, *tasks):
    loss, _ = maml(*sets(*tasks))
    loss.backward()
    return [None if p.grad is None else p.grad.numpy() for p in trainable(maml)]


@pytest.mark.parametrize("order", [1, 2])
def test_meta_sgd_by_hand(order):
    support, query = (Line(np.random.default_rng(seed)) for seed in (1, 2))
    w, alpha = 0.7, 0.3
    g = support.slope(w)
    behind = query.slope(w - alpha * g)
    found = gradients(MetaSGD(Scalar(w), alpha, order=order, loss=mse_loss), support, query)
    curved = 2 * alpha * support.s if order == 2 else 0.0
    np.testing.assert_allclose(np.ravel(found), [behind * (1 - curved), -behind * g], rtol=1e-12)


def test_meta_sgd_has_a_rate_for_every_number():
    maml = MetaSGD(nn.Linear(3, 2), inner_lr=0.25)
    assert [r.shape for r in maml.rates] == [p.shape for p in maml.net.parameters()]
    assert all((r.numpy() == 0.25).all() for r in maml.rates)


@pytest.mark.parametrize(("adapts", "kind"), [("head", ANIL), ("body", BOIL)])
def test_anil_and_boil_by_hand(adapts, kind):
    """On y = v u x, where L(u, v) = s (u v)^2 - 2 t u v + c."""
    support, query = (Line(np.random.default_rng(seed)) for seed in (1, 2))
    u, v = 0.7, -0.4
    found = gradients(
        kind(nn.Sequential(Scalar(u), Scalar(v)), ALPHA, loss=mse_loss), support, query
    )
    s, t = support.s, support.t
    # a is adapted and b is not: a' = a - alpha dL/da.
    a, b = (v, u) if adapts == "head" else (u, v)
    stepped = a - ALPHA * 2 * b * (s * a * b - t)
    dq = query.slope(stepped * b)  # in the product u v
    da = dq * b * (1 - ALPHA * 2 * s * b * b)
    db = dq * (stepped - b * ALPHA * (4 * s * a * b - 2 * t))
    expected = [db, da] if adapts == "head" else [da, db]
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-12)


@pytest.mark.parametrize("epoch", [0, 4, 10])
@pytest.mark.parametrize("order", [1, 2])
def test_maml_plus_plus_by_hand(epoch, order):
    """Two steps of a scalar net: w0 -> w1 -> w2, with weights of the query losses at w1 and w2."""
    support, query = (Line(np.random.default_rng(seed)) for seed in (1, 2))
    w0, (a1, a2) = 0.7, (0.3, -0.2)
    maml = MAMLPlusPlus(Scalar(w0), 0.1, inner_steps=2, order=order, loss=mse_loss)
    maml.rates[0][0].set_value(np.array(a1))
    maml.rates[1][0].set_value(np.array(a2))
    maml.at_epoch(epoch)
    early = (1 - epoch / 10) / 2
    assert maml.query_weights() == pytest.approx([0, early, 1 - early])
    g0 = support.slope(w0)
    w1 = w0 - a1 * g0
    g1 = support.slope(w1)
    w2 = w1 - a2 * g1
    curvature = 2 * support.s if order == 2 else 0.0
    v2 = (1 - early) * query.slope(w2)
    v1 = v2 * (1 - a2 * curvature) + early * query.slope(w1)
    v0 = v1 * (1 - a1 * curvature)
    found = [g.item() for g in gradients(maml, support, query)]
    np.testing.assert_allclose(found, [v0, -v1 * g0, -v2 * g1], rtol=1e-12)


def test_maml_plus_plus_anneals_the_order_and_the_losses():
    maml = MAMLPlusPlus(nn.Linear(2, 2), 0.1, 3, multi_step_epochs=4, first_order_epochs=2)
    assert maml.order == 1
    assert maml.query_weights() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    maml.at_epoch(3)
    assert maml.order == 2
    assert maml.query_weights() == pytest.approx([0, 1 / 12, 1 / 12, 10 / 12])
    maml.at_epoch(9)
    assert maml.query_weights() == [0, 0, 0, 1]


def test_every_step_of_maml_plus_plus_has_its_batch_norm():
    net = MLP(3, 2, hidden=(4,))
    maml = MAMLPlusPlus(net, 0.1, inner_steps=3)
    weight, *norm = (
        n for n, p in enumerate(trainable(net)) if p.shape != [2] and p.shape != [4, 2]
    )
    steps = maml.inner_loop(5)
    assert [sorted(step.own) for step in steps] == [[], norm, norm, norm, norm]
    assert steps[1].own[norm[0]] is not steps[2].own[norm[0]]
    assert steps[4].own[norm[0]] is steps[2].own[norm[0]]
    assert all(step.rates[place] == 0.0 for step in steps for place in norm)
    assert steps[3].rates[weight] is steps[2].rates[weight] is not steps[1].rates[weight]


@pytest.mark.parametrize("steps", [1, 3])
def test_reptile_by_hand(steps):
    """The gradient is the sum of those at w0, w1, ..., each on every `steps`-th example."""
    support, query = (Line(np.random.default_rng(seed)) for seed in (1, 2))
    x, y = (np.concatenate([getattr(t, name) for t in (support, query)]) for name in "xy")
    w, total = 0.7, 0.0
    for k in range(steps):
        g = 2 * (x[k::steps] * (w * x[k::steps] - y[k::steps])).mean()
        w, total = w - ALPHA * g, total + g
    (found,) = gradients(Reptile(Scalar(0.7), ALPHA, steps, loss=mse_loss), support, query)
    np.testing.assert_allclose(found, [total], rtol=1e-12)


def test_reptile_wants_an_example_for_each_step():
    maml = Reptile(Scalar(0.7), ALPHA, inner_steps=9, loss=mse_loss)
    task = Line(np.random.default_rng(0))
    with pytest.raises(ValueError, match="9 inner steps of Reptile share .* there are 8"):
        maml(*sets(task, task))


NETS = {
    "dense": lambda: MLP(3, 2, hidden=(4, 3)),
    "of unknown layers": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("kind", [ANIL, BOIL, MetaSGD, MAMLPlusPlus])
def test_the_meta_gradient_is_the_slope_of_the_meta_loss(kind, net):
    """In everything that is meta-trained, along random directions."""
    rng = np.random.default_rng(3)
    maml = kind(NETS[net](), 0.2, inner_steps=2)
    for p in trainable(maml):
        p.set_value(np.asarray(p.numpy() + 0.1 * rng.normal(size=p.shape)))
    x = [paddle.to_tensor(rng.normal(size=(2, 6, 3))) for _ in range(2)]
    y = [paddle.to_tensor(rng.integers(0, 2, (2, 6))) for _ in range(2)]
    task = x[0], y[0], x[1], y[1]

    def loss_at(point):
        begin = 0
        for p in trainable(maml):
            count = int(np.prod(p.shape))
            p.set_value(point[begin : begin + count].reshape(p.shape))
            begin += count
        return maml(*task)[0]

    point = np.concatenate([p.numpy().ravel() for p in trainable(maml)])
    loss_at(point).backward()
    found = np.concatenate([p.grad.numpy().ravel() for p in trainable(maml)])
    for _ in range(3):
        direction = rng.normal(size=point.shape)
        expected = slope(lambda at: loss_at(at).numpy(), point, direction)
        np.testing.assert_allclose(found @ direction, expected, rtol=1e-6)


def meta_step(maml, frozen=None):
    """The gradients of the net's parameters by name."""
    for p in frozen.parameters() if frozen else ():
        p.stop_gradient = True
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 3)), rng.integers(0, 2, (2, 4))
    maml.net.clear_gradients()
    maml(*map(paddle.to_tensor, (x, y, x, y)))[0].backward()
    return {name: p.grad.numpy() for name, p in maml.net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("algorithm", [ANIL, BOIL, MetaSGD, MAMLPlusPlus])
def test_a_layer_that_is_frozen_later_is_as_one_frozen_before(algorithm):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    later = meta_step(algorithm(net, 0.3, 2), frozen=net[0])
    before = meta_step(algorithm(net, 0.3, 2))
    assert sorted(later) == sorted(before) == ["2.bias", "2.weight", "4.bias", "4.weight"]
    for name in later:
        np.testing.assert_allclose(later[name], before[name], rtol=1e-12, atol=1e-15)


def test_a_layer_that_is_thawed_later():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    net[0].weight.stop_gradient = True
    anil, others = ANIL(net, 0.1), (MetaSGD(net, 0.1), MAMLPlusPlus(net, 0.1))
    assert anil.adapted == [1, 2]
    net[0].weight.stop_gradient = False
    assert anil.adapted == [2, 3]
    for other in others:
        with pytest.raises(ValueError, match="frozen when the algorithm was made"):
            meta_step(other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BOIL(nn.Linear(3, 2), 0.1), "no parameter of the net to adapt"),
        (lambda: MAMLPlusPlus(nn.Linear(3, 2), 0.1, 0), "give 1 or more"),
        (lambda: Reptile(nn.Linear(3, 2), 0.1, 0), "give 1 or more"),
        (lambda: meta_step(MAML(MLP(3, 2), 0.0)), "adapts nothing: give it an inner_lr other"),
        (lambda: meta_step(MAML(nn.Linear(3, 2), 0.0)), "adapts nothing"),
        (
            lambda: meta_step(ANIL(net := MLP(3, 2, (4,)), 0.1), frozen=net.layers[-1]),
            "adapts nothing",
        ),
    ],
)
def test_what_has_nothing_to_adapt_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_anil_adapts_the_head_that_is_named():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert ANIL(net, 0.1).adapted == [2, 3]
    assert ANIL(net, 0.1, head=net[0]).adapted == [0, 1]
    assert BOIL(net, 0.1).adapted == [0, 1]


def test_a_maml_of_equal_rates_is_maml():
    """Meta-SGD and MAML++ begin as MAML, but for the batch norm of the latter."""
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    rng = np.random.default_rng(0)
    x, y = (
        paddle.to_tensor(rng.normal(size=(2, 5, 3))),
        paddle.to_tensor(rng.integers(0, 2, (2, 5))),
    )
    maml = MAML(net, 0.2, inner_steps=2)
    maml(x, y, x, y)[0].backward()
    expected = [p.grad.numpy() for p in net.parameters()]
    for other in (MetaSGD(net, 0.2, 2), MAMLPlusPlus(net, 0.2, 2, multi_step_epochs=0)):
        net.clear_gradients()
        other(x, y, x, y)[0].backward()
        for p, g in zip(net.parameters(), expected):
            np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-12, atol=1e-15)
