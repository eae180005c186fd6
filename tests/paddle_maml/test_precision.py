"""Mixed precision, with a GPU's float16 products emulated."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from low_precision import emulated_products
from net import MLP, Conv4
from paddle import _C_ops, nn
from paddle.nn.functional import mse_loss
from paddle_maml import MAML

TASKS, WAY, EXAMPLES = 2, 3, 6
NETS = {
    "pooled": (lambda: Conv4(WAY, 16, 1, filters=4), (1, 16, 16)),
    "strided": (lambda: Conv4(WAY, 13, 2, filters=4, pool=False), (2, 13, 13)),
    "mlp": (lambda: MLP(7, WAY, hidden=(6, 5)), (7,)),
}


class Listed(nn.Sequential):
    def in_turn(self):
        return list(self)


class Plain(nn.Layer):
    """A net that does not say what it is made of."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


FORMS = {"together": lambda net: net, "one by one": Plain}


@pytest.fixture(autouse=True)
def float32():
    paddle.seed(0)
    yield
    paddle.set_default_dtype("float32")


def classification(shape, dtype="float32"):
    rng = np.random.default_rng(0)
    x = [paddle.to_tensor(rng.normal(size=(TASKS, EXAMPLES, *shape)), dtype) for _ in range(2)]
    y = [paddle.to_tensor(rng.integers(0, WAY, (TASKS, EXAMPLES))) for _ in range(2)]
    return x[0], y[0], x[1], y[1]


def regression(support=1.0, query=1.0):
    """Inputs of size 1, and targets of these sizes."""
    rng = np.random.default_rng(0)
    x, y = (paddle.to_tensor(rng.normal(size=(4, TASKS, 8, n)), "float32") for n in (3, 2))
    return x[0], y[0] * support, x[1], y[1] * query


def linear(size=1.0):
    """A linear net with parameters of about that size."""
    net = Listed(nn.Linear(3, 2))
    for p in net.parameters():
        p.set_value(p * size)
    return net


def meta_gradient(maml, task):
    loss, _ = maml(*task)
    loss.backward()
    gradients = [p.grad.numpy() for p in maml.parameters() if not p.stop_gradient]
    for p in maml.parameters():
        p.clear_gradient()
    return gradients


def error(found, expected):
    """Relative, of all gradients as one vector."""
    found, expected = (np.concatenate([g.ravel() for g in side]) for side in (found, expected))
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("order, steps", [(1, 1), (2, 0), (2, 3)])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("kind", NETS)
def test_scaled_losses_have_the_same_meta_gradient(kind, form, order, steps):
    """float64 stays as it is, and a power of two rounds nothing: equal to the last bit."""
    paddle.set_default_dtype("float64")
    make, shape = NETS[kind]
    net, task = form(make()), classification(shape, "float64")
    setting = {"inner_lr": 0.3, "inner_steps": steps, "order": order}
    expected = meta_gradient(MAML(net, **setting), task)
    maml = MAML(net, **setting, amp=True)
    for g, e in zip(meta_gradient(maml, task), expected):
        np.testing.assert_array_equal(g, e)
    assert maml.mixed.scale == 1024


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_meta_gradient_is_right_to_the_rounding_of_float16(form):
    """A network without kinks, which rounding could push an example over."""
    net, task = form(Listed(nn.Linear(7, WAY))), classification((7,))
    expected = meta_gradient(MAML(net, inner_lr=0.3, inner_steps=2), task)
    with emulated_products():
        found = meta_gradient(MAML(net, inner_lr=0.3, inner_steps=2, amp=True), task)
    assert 1e-5 < error(found, expected) < 2e-3


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("kind", NETS)
def test_every_product_is_low_and_no_sum_is(kind, form):
    make, shape = NETS[kind]
    called = set()
    with emulated_products(lambda *call: called.add(call)):
        meta_gradient(MAML(form(make()), inner_lr=0.3, amp=True), classification(shape))
    assert {("matmul", "float16"), ("matmul", "float32")} <= called
    assert ("conv2d", "float32") not in called


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Linear(4, 4), (2, 4)),
        (nn.Linear(4, 4, bias_attr=False), (2, 4)),
        (nn.Conv1D(2, 4, 2), (1, 2, 4)),
        (nn.Conv2D(2, 4, 2), (1, 2, 4, 4)),
        (nn.Conv2D(2, 4, 2, data_format="NHWC"), (1, 4, 4, 2)),
        (nn.Conv3D(2, 4, 2), (1, 2, 4, 4, 4)),
        (nn.MultiHeadAttention(4, 2), (1, 3, 4)),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_layers_of_any_net(layer, shape, order):
    class Net(nn.Layer):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x).flatten(1)

    called = set()
    x = paddle.randn([1, *shape])
    y = paddle.zeros([1, shape[0], Net()(x[0]).shape[1]])
    task = x, y, x + 1, y
    setting = {"inner_lr": 0.1, "order": order, "loss": mse_loss}
    expected = meta_gradient(MAML(Net(), **setting), task)
    with emulated_products(lambda *call: called.add(call)):
        found = meta_gradient(MAML(Net(), **setting, amp=True), task)
    assert 0 < error(found, expected) < 0.02
    assert called and all(dtype == "float16" for _, dtype in called)


@pytest.mark.skipif(not hasattr(_C_ops, "linear_v2"), reason="a Paddle without it")
def test_the_linear_layer_of_gpus():
    x, weight, bias = paddle.randn([2, 3]), paddle.randn([3, 3]), paddle.randn([3])
    with emulated_products(), MAML(nn.Linear(1, 1), 0.1, amp=True).mixed.products():
        for transposed, expected in ((False, x @ weight + bias), (True, x @ weight.T + bias)):
            y = _C_ops.linear_v2(x, weight, bias, transposed)
            assert 0 < float((y - expected).abs().max()) < 0.01


@pytest.mark.parametrize(
    "task, setting",
    [
        (regression(query=1e-7), {"inner_lr": 0.1, "inner_steps": 0}),
        (regression(support=1e-7), {"inner_lr": 1e6, "order": 1}),
    ],
    ids=["of the queries", "of the inner loop"],
)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_gradients_too_small_for_float16_survive_by_the_scale(form, task, setting):
    net = form(linear(size=0.0))
    expected = meta_gradient(MAML(net, **setting, loss=mse_loss), task)
    maml = MAML(net, **setting, loss=mse_loss, amp=True)
    with emulated_products():
        assert error(meta_gradient(maml, task), expected) < 0.01
        maml.mixed.scale = paddle.ones([])
        assert error(meta_gradient(maml, task), expected) > 0.1


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_overflow_leaves_the_parameters_and_halves_the_scale(form):
    task, net = regression(1e3, 1e3), form(linear())
    setting = {"inner_lr": 0.1, "loss": mse_loss}
    expected = meta_gradient(MAML(net, **setting), task)
    maml, lost = MAML(net, **setting, amp=True), 0
    with emulated_products():
        found = meta_gradient(maml, task)
        while not any(g.any() for g in found):
            lost += 1
            assert maml.mixed.scale == 1024 / 2**lost
            found = meta_gradient(maml, task)
    assert 0 < lost < 8
    assert maml.mixed.scale == 1024 / 2**lost
    assert error(found, expected) < 0.01


def test_the_scale_stays_at_one_where_it_is_not_at_fault():
    maml = MAML(linear(), 0.1, loss=mse_loss, amp=True)
    nothing = [paddle.full([2], float("nan")), None]
    for _ in range(12):
        zeros = maml.mixed.kept(paddle.zeros([]), nothing)
    assert maml.mixed.scale == 1
    assert not zeros[0].any() and zeros[1] is None


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_host_waits_for_nothing(monkeypatch, form):
    """Squared error, since the cross-entropy of Paddle 2.6 itself makes it wait."""
    task, net = regression(), form(linear())
    maml = MAML(net, inner_lr=0.3, loss=mse_loss, amp=True)
    for name in ("numpy", "item", "tolist", "__float__", "__int__", "__bool__"):
        monkeypatch.setattr(paddle.Tensor, name, lambda *_: pytest.fail("the host has to wait"))
    with emulated_products():
        maml(*task)[0].backward()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_meta_test_stays_in_float32(form):
    support_x, support_y, query_x, _ = classification((7,))
    net = form(MLP(7, WAY))
    found, expected = (
        MAML(net, inner_lr=0.3, amp=amp).path_logits(support_x, support_y, query_x, steps=2)
        for amp in (True, False)
    )
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_an_error_ends_it():
    before = _C_ops.matmul
    maml = MAML(nn.Linear(7, WAY), inner_lr=0.3, amp=True)
    with pytest.raises(RuntimeError, match="float16"):  # which the CPU has no product for
        maml(*classification((7,)))
    assert _C_ops.matmul is before
    assert paddle.matmul(paddle.ones([1, 1]), paddle.ones([1, 1])).dtype == paddle.float32
