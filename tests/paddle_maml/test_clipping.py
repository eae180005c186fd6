"""Cut inner gradients: by hand, by finite differences, and together as one by one."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from derivatives import slope
from net import MLP, Conv4
from paddle import nn
from paddle.nn.functional import mse_loss
from paddle_maml import (
    ANIL,
    BOIL,
    MAML,
    ClipByNorm,
    ClipByValue,
    MAMLPlusPlus,
    MetaSGD,
    Reptile,
)
from paddle_maml.functional import trainable

WAY = 3
NETS = {
    "pooled": (lambda: Conv4(WAY, 16, 1, filters=4), (1, 16, 16)),
    "strided, compiled": (lambda: Conv4(WAY, 13, 1, filters=16, pool=False), (1, 13, 13)),
    "mlp": (lambda: MLP(7, WAY, hidden=(6, 5)), (7,)),
}
# Limits that are reached, also by the gradient of a last layer alone.
CLIPS = {"value": ClipByValue(0.05), "norm": ClipByNorm(0.3)}


@pytest.fixture(autouse=True)
def float64():
    paddle.seed(0)
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


class Plain(nn.Layer):
    """A net that does not say what it is made of."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


class Points:
    """Points of a task, on which x . w has the loss w' s w - 2 t w + c."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.x, self.y = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
        self.s, self.t = self.x.T @ self.x / 6, (self.x.T @ self.y / 6)[:, 0]

    def slope(self, w):
        return 2 * (self.s @ w - self.t)


def linear(w):
    line = nn.Linear(2, 1, bias_attr=False)
    line.weight.set_value(w[:, None])
    return line


def meta_gradient(maml, *sets):
    loss, _ = maml(*sets)
    loss.backward()
    found = [p.grad.numpy() for p in trainable(maml)]
    for p in maml.parameters():
        p.clear_gradient()
    return found


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("limit", [0.8, 100.0])
@pytest.mark.parametrize("clip", [ClipByValue, ClipByNorm])
def test_a_linear_model_by_hand(clip, limit, order):
    """w' = w - alpha cut(g); the meta-gradient is (I - alpha C H)' times the slope at w'."""
    support, query, w, alpha = Points(1), Points(2), np.array([0.7, -0.9]), 0.3
    g, hessian = support.slope(w), 2 * support.s
    length = np.linalg.norm(g)
    if limit < 1:
        assert abs(g).min() < limit < abs(g).max() < length  # one number is cut, one is not
    if clip is ClipByValue:
        cut, along = g.clip(-limit, limit), np.diag((abs(g) < limit).astype(float))
    elif length > limit:
        cut, unit = limit * g / length, g / length
        along = limit / length * (np.eye(2) - np.outer(unit, unit))
    else:
        cut, along = g, np.eye(2)
    jacobian = np.eye(2) - (alpha * along @ hessian if order == 2 else 0)
    expected = jacobian.T @ query.slope(w - alpha * cut)
    sets = [paddle.to_tensor(a[None]) for part in (support, query) for a in (part.x, part.y)]
    maml = MAML(linear(w), alpha, order=order, loss=mse_loss, inner_clip=clip(limit))
    np.testing.assert_allclose(meta_gradient(maml, *sets)[0][:, 0], expected, rtol=1e-12)


def episodes(shape, tasks=3):
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(tasks, n, *shape)) for n in (6, 5)]
    y = [rng.integers(0, WAY, (tasks, n)) for n in (6, 5)]
    return [paddle.to_tensor(a) for a in (x[0], y[0], x[1], y[1])]


def create(algorithm, net, clip, **settings):
    """Rates that are meta-trained become different ones."""
    maml = algorithm(net, inner_lr=0.3, inner_steps=2, inner_clip=clip, **settings)
    rng = np.random.default_rng(5)
    for name, p in maml.named_parameters():
        if name.startswith("rates"):
            p.set_value(np.asarray(rng.uniform(0.1, 0.5, p.shape)))
    return maml


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("algorithm", [MAML, MetaSGD])
@pytest.mark.parametrize("form", [lambda net: net, Plain], ids=["together", "one by one"])
def test_the_meta_gradient_is_the_slope_of_the_meta_loss(form, algorithm, clip):
    maml = create(algorithm, form(NETS["mlp"][0]()), CLIPS[clip])
    task, parameters = episodes(NETS["mlp"][1]), trainable(maml)

    def loss_at(point):
        begin = 0
        for p in parameters:
            p.set_value(point[begin : begin + p.size].reshape(p.shape))
            begin += p.size
        return float(maml(*task)[0])

    point = np.concatenate([p.numpy().ravel() for p in parameters])
    found = np.concatenate([g.ravel() for g in meta_gradient(maml, *task)])
    rng = np.random.default_rng(3)
    for _ in range(3):
        direction = rng.normal(size=point.shape)
        expected = slope(loss_at, point, direction, step=1e-6)
        np.testing.assert_allclose(found @ direction, expected, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("algorithm", [MAML, ANIL, BOIL, MetaSGD, MAMLPlusPlus, Reptile])
@pytest.mark.parametrize("kind", NETS)
def test_together_is_one_by_one(kind, algorithm, clip, order):
    make, shape = NETS[kind]
    net, task = make(), episodes(shape)
    settings = {} if algorithm is Reptile else {"order": order}
    together, plain, uncut = (
        meta_gradient(create(algorithm, form(net), c, **settings), *task)
        for form, c in ((lambda net: net, CLIPS[clip]), (Plain, CLIPS[clip]), (Plain, None))
    )
    for found, expected in zip(together, plain):
        size = max(np.abs(expected).max(), 1e-3)
        assert np.abs(found - expected).max() <= 1e-9 * size
    assert any(np.abs(a - b).max() > 1e-3 * np.abs(b).max() for a, b in zip(plain, uncut))


@pytest.mark.parametrize("clip", CLIPS)
def test_adapting_for_use_is_cut_too(clip):
    make, shape = NETS["mlp"]
    net, (support_x, support_y, query_x, _) = make(), episodes(shape)
    together, plain, uncut = (
        create(MAML, form(net), c).path_logits(support_x, support_y, query_x, steps=3).numpy()
        for form, c in ((lambda net: net, CLIPS[clip]), (Plain, CLIPS[clip]), (Plain, None))
    )
    np.testing.assert_allclose(together, plain, rtol=1e-9)
    assert not np.allclose(plain[1:], uncut[1:], rtol=1e-3)


@pytest.mark.parametrize("form", [lambda net: net, Plain], ids=["together", "one by one"])
@pytest.mark.parametrize("clip", [ClipByValue(1e3), ClipByNorm(1e3)])
def test_a_limit_that_is_not_reached_changes_nothing(clip, form):
    net, task = form(NETS["mlp"][0]()), episodes(NETS["mlp"][1])
    found, expected = (meta_gradient(create(MAML, net, c), *task) for c in (clip, None))
    for g, e in zip(found, expected):
        np.testing.assert_array_equal(g, e)


@pytest.mark.parametrize("clip", CLIPS)
def test_a_gradient_of_zero_stays_zero(clip):
    zero = [paddle.zeros([2, 3]), paddle.zeros([2, 1, 4])]
    some = [paddle.ones_like(z) for z in zero]
    for found in (CLIPS[clip](zero), CLIPS[clip].slope(zero, some)):
        assert all(np.isfinite(g.numpy()).all() for g in found)
    for g in zero:
        g.stop_gradient = False
    paddle.autograd.backward(CLIPS[clip](zero), some)
    assert all((g.grad.numpy() == 1).all() for g in zero)
