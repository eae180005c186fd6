"""Tasks computed together, held to the same tasks one by one and differentiated automatically."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from net import MLP, Conv4
from paddle import nn
from paddle.nn.functional import cross_entropy, mse_loss
from paddle_maml import ANIL, BOIL, MAML, MAMLPlusPlus, MetaSGD, Reptile
from paddle_maml.batched import Network

TASKS, WAY, SUPPORT, QUERY = 3, 3, 6, 5
NETS = {
    "pooled": (lambda: Conv4(WAY, 16, 2, filters=4), (2, 16, 16)),
    "pooled, odd sizes": (lambda: Conv4(WAY, 23, 1, filters=4), (1, 23, 23)),
    "strided": (lambda: Conv4(WAY, 13, 2, filters=4, pool=False), (2, 13, 13)),
    "pooled, compiled": (lambda: Conv4(WAY, 23, 2, filters=16), (2, 23, 23)),
    "strided, compiled": (lambda: Conv4(WAY, 13, 1, filters=16, pool=False), (1, 13, 13)),
    "mlp": (lambda: MLP(7, WAY, hidden=(6, 5)), (7,)),
    "mlp without batch norm": (lambda: MLP(7, WAY, hidden=(6, 5), batch_norm=False), (7,)),
}


class Listed(nn.Sequential):
    def in_turn(self):
        return list(self)


def block(channels, filters):
    return [nn.Conv2D(channels, filters, 3, 1, 1, bias_attr=False), nn.BatchNorm2D(filters)]


class Plain(nn.Layer):
    """A net that does not say what it is made of."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


@pytest.fixture(autouse=True)
def float64():
    paddle.seed(0)
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


def randomised(net):
    """Scales of either sign, which change what comes first, pooling or normalisation."""
    for p in net.parameters():
        if p.ndim == 1 and not p.stop_gradient:
            p.set_value(paddle.randn(p.shape))
    return net


def episodes(shape, label=lambda rng, n: rng.integers(0, WAY, (TASKS, n)), seed=0):
    rng = np.random.default_rng(seed)
    sets = []
    for examples in (SUPPORT, QUERY):
        sets += [rng.normal(size=(TASKS, examples, *shape)), label(rng, examples)]
    return [paddle.to_tensor(a) for a in sets]


def meta_step(net, task, algorithm=MAML, **settings):
    """Loss, outputs and meta-gradient."""
    maml = algorithm(net, inner_lr=0.3, **settings)
    vary_rates(maml)
    loss, outputs = maml(*task)
    loss.backward()
    gradients = [p.grad.numpy() for p in maml.parameters() if not p.stop_gradient]
    for p in net.parameters():
        p.clear_gradient()
    return [loss.numpy(), outputs.numpy(), *gradients]


def vary_rates(maml):
    """Rates that are meta-trained become different ones."""
    rng = np.random.default_rng(5)
    for name, p in maml.named_parameters():
        if name.startswith("rates"):
            p.set_value(np.asarray(rng.uniform(0.1, 0.5, p.shape)))


def assert_same(found, expected, tolerance=1e-9):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-3)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("kind", NETS)
def test_together_is_one_by_one(kind, steps, order):
    make, shape = NETS[kind]
    net, task = randomised(make()), episodes(shape)
    assert Network.of(net, cross_entropy)
    settings = {"inner_steps": steps, "order": order}
    assert_same(meta_step(net, task, **settings), meta_step(Plain(net), task, **settings))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("algorithm", [ANIL, BOIL, MetaSGD, MAMLPlusPlus])
@pytest.mark.parametrize("kind", NETS)
def test_other_algorithms_together_are_those_one_by_one(kind, algorithm, order):
    make, shape = NETS[kind]
    net, task = randomised(make()), episodes(shape)
    settings = {"algorithm": algorithm, "inner_steps": 2, "order": order}
    assert_same(meta_step(net, task, **settings), meta_step(Plain(net), task, **settings))


@pytest.mark.parametrize("kind", NETS)
def test_reptile_together_is_one_by_one(kind):
    make, shape = NETS[kind]
    net, task = randomised(make()), episodes(shape)
    settings = {"algorithm": Reptile, "inner_steps": 3}
    assert_same(meta_step(net, task, **settings), meta_step(Plain(net), task, **settings))


@pytest.mark.parametrize("algorithm", [ANIL, BOIL, MetaSGD, MAMLPlusPlus])
def test_pieces_of_a_batch_make_the_same_gradient_of_rates(algorithm):
    net, task = Conv4(WAY, 16, 1, filters=16), episodes((1, 16, 16))
    settings = {"algorithm": algorithm, "inner_steps": 2}
    assert_same(meta_step(net, task, task_chunk=1, **settings), meta_step(net, task, **settings))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("kind", NETS)
def test_paths_together_are_those_one_by_one(kind, dtype, tolerance):
    paddle.set_default_dtype(dtype)
    make, shape = NETS[kind]
    maml = MAML(randomised(make()), inner_lr=0.3, task_chunk=2)
    support_x, support_y, query_x, _ = episodes(shape)
    support_x, query_x = support_x.astype(dtype), query_x.astype(dtype)
    found = maml.path_logits(support_x, support_y, query_x, steps=2).numpy()
    assert found.shape == (3, TASKS, QUERY, WAY)
    for task in range(TASKS):
        learners = maml.path(support_x[task], support_y[task], steps=2)
        expected = [learner(query_x[task]).numpy() for learner in learners]
        assert_same(found[:, task], expected, tolerance)


def test_the_host_waits_for_no_task(monkeypatch):
    net, (support_x, support_y, query_x, _) = Conv4(WAY, 16, 1, filters=4), episodes((1, 16, 16))
    for name in ("numpy", "item", "tolist", "__float__", "__int__", "__bool__"):
        monkeypatch.setattr(paddle.Tensor, name, lambda *_: pytest.fail("the host has to wait"))
    MAML(net, inner_lr=0.3).path_logits(support_x, support_y, query_x, steps=2)


def test_squared_error():
    net = randomised(MLP(1, 2, hidden=(5, 4), batch_norm=False))
    task = episodes((1,), lambda rng, n: rng.normal(size=(TASKS, n, 2)))
    settings = {"inner_steps": 2, "loss": mse_loss}
    assert Network.of(net, mse_loss)
    assert_same(meta_step(net, task, **settings), meta_step(Plain(net), task, **settings))


@pytest.mark.parametrize("filters", [4, 16])
def test_of_equal_maxima_the_first_has_the_gradient_here_too(filters):
    """Images of large equal areas, as drawings are."""
    net, task = randomised(Conv4(WAY, 20, 1, filters=filters)), episodes((1, 20, 20))
    task[0], task[2] = ((t > 1.5).astype("float64") for t in (task[0], task[2]))
    assert_same(meta_step(net, task), meta_step(Plain(net), task))


@pytest.mark.parametrize("filters", [4, 16])
@pytest.mark.parametrize("task_chunk", [1, 2, 5])
def test_pieces_of_a_batch_make_the_same_gradient(task_chunk, filters):
    net, task = Conv4(WAY, 16, 1, filters=filters), episodes((1, 16, 16))
    assert_same(meta_step(net, task, task_chunk=task_chunk), meta_step(net, task))


def test_without_gradient_the_values_are_the_same():
    net, task = Conv4(WAY, 16, 1, filters=4), episodes((1, 16, 16))
    expected = meta_step(net, task)
    with paddle.no_grad():
        loss, outputs = MAML(net, inner_lr=0.3)(*task)
    assert_same([loss.numpy(), outputs.numpy()], expected[:2])


def frozen(layer):
    layer.weight.stop_gradient = True
    return layer


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)],
        [frozen(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 3)],
        [nn.Linear(4, 4), nn.BatchNorm1D(4), nn.ReLU(), nn.Linear(4, 3)],
        [nn.Conv2D(1, 4, 3), nn.BatchNorm2D(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)],
        [nn.Linear(4, 3), nn.ReLU()],
        [*block(1, 4), nn.ReLU(), nn.Linear(4, 3)],  # of each row of pixels
        [*block(1, 4), nn.ReLU(), nn.Flatten(2), nn.Linear(4, 3)],
        [nn.Linear(4, 4), nn.Flatten(), nn.Linear(4, 3)],
        [nn.Conv2D(1, 4, 3, bias_attr=False), nn.BatchNorm2D(4, bias_attr=False), nn.ReLU()]
        + [nn.Flatten(), nn.Linear(16, 3)],
        [nn.Linear(4, 4, bias_attr=False), nn.BatchNorm1D(4, weight_attr=False), nn.ReLU()]
        + [nn.Linear(4, 3)],
    ],
)
def test_what_is_not_known_is_left_to_the_plain_path(layers):
    assert Network.of(Listed(*layers), cross_entropy) is None


def test_another_loss_is_left_to_the_plain_path():
    assert Network.of(Conv4(5), lambda z, y: cross_entropy(z, y)) is None


@pytest.mark.parametrize("widths", [(8, 16), (24, 48), (20, 32), (16, 32)])
def test_blocks_of_unlike_widths(widths):
    first, second = widths
    features = [*block(1, first), nn.ReLU(), *block(first, second), nn.ReLU()]
    net = Listed(*features, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(second, WAY))
    task = episodes((1, 8, 8))
    assert Network.of(net, cross_entropy)
    assert_same(meta_step(net, task), meta_step(Plain(net), task))


@pytest.mark.parametrize("algorithm", [MAML, Reptile])
@pytest.mark.parametrize("filters", [4, 16])
def test_one_image_of_several_positions(filters, algorithm):
    net = randomised(Conv4(WAY, 32, 1, filters=filters))
    task = [t[:, :1] for t in episodes((1, 32, 32))]
    settings = {"algorithm": algorithm, "inner_steps": 2}
    assert_same(meta_step(net, task, **settings), meta_step(Plain(net), task, **settings))


def test_images_flattened_at_first():
    net, task = (
        Listed(nn.Flatten(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, WAY)),
        episodes((2, 4)),
    )
    assert Network.of(net, cross_entropy)
    assert_same(meta_step(net, task), meta_step(Plain(net), task))


class Halved(MLP):
    """A subclass with another `forward`."""

    def forward(self, x):
        return super().forward(x / 2)


def hooked(net):
    net.layers[1].register_forward_post_hook(lambda layer, inputs, output: output / 2)
    return net


def replaced(net):
    forward = net.forward
    net.forward = lambda x: forward(x) / 2
    return net


@pytest.mark.parametrize(
    "net", [Halved(7, WAY, (6,), False), hooked(MLP(7, WAY, (6,))), replaced(MLP(7, WAY, (6,)))]
)
def test_what_forward_does_beside_is_not_passed_over(net):
    assert Network.of(net, cross_entropy) is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda y: y.unsqueeze(-1),
        lambda y: paddle.where(paddle.arange(y.shape[1]) == 2, paddle.full_like(y, -100), y),
        lambda y: paddle.where(y == 1, paddle.full_like(y, -100), y),  # another number in each task
        lambda y: paddle.full_like(y, -100),
        lambda y: y.astype("int32"),
    ],
    ids=["a last axis of 1", "one ignored", "a class ignored", "all ignored", "int32"],
)
@pytest.mark.parametrize("order", [1, 2])
def test_labels_mean_what_they_mean_one_by_one(changed, order):
    net = randomised(MLP(7, WAY, hidden=(6,)))
    support_x, support_y, query_x, query_y = episodes((7,))
    for task in (
        (support_x, changed(support_y), query_x, query_y),
        (support_x, support_y, query_x, changed(query_y)),
    ):
        settings = {"inner_steps": 2, "order": order}
        assert_same(meta_step(net, task, **settings), meta_step(Plain(net), task, **settings))


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (cross_entropy, paddle.zeros([TASKS, 1], "int64"), r"labels have .*\[3, 1\].*\[3, 6\]"),
        (
            cross_entropy,
            paddle.zeros([TASKS, SUPPORT, 2], "int64"),
            r"labels have .*\[3, 6, 2\].*\[3, 6\]",
        ),
        (mse_loss, paddle.zeros([TASKS, SUPPORT]), r"targets have .*\[3, 6\].*\[3, 6, 3\]"),
    ],
)
def test_labels_of_another_shape_are_refused(loss, y, message):
    support_x, _, query_x, query_y = episodes((7,))
    with pytest.raises(ValueError, match=message):
        MAML(MLP(7, WAY), 0.1, loss=loss)(support_x, y, query_x, query_y)


@pytest.mark.parametrize("shape", [(8,), (7, 2)])
def test_rows_that_do_not_fit_the_net(shape):
    with pytest.raises(ValueError, match=r"net takes \(task, example, ...\) of 7 numbers each"):
        MAML(MLP(7, WAY), inner_lr=0.3)(*episodes(shape))


@pytest.mark.parametrize("filters", [4, 16])
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x.astype("float32"), "float32, but the net is .*float64: cast"),
        (lambda x: (x * 99).astype("uint8"), "uint8"),
        (lambda x: x[:, :, :1], "of 2 channels"),
        (lambda x: x[:, :, 0], "task, image, channel"),
    ],
)
def test_examples_that_do_not_fit_the_net(change, message, filters):
    support_x, support_y, query_x, query_y = episodes((2, 16, 16))
    maml = MAML(Conv4(WAY, 16, 2, filters=filters), inner_lr=0.3)
    for task in (
        (change(support_x), support_y, query_x, query_y),
        (support_x, support_y, change(query_x), query_y),
    ):
        with pytest.raises(ValueError, match=message):
            maml(*task)
