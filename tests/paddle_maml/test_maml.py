"""The engine against another framework's numbers, finite differences and its own definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from derivatives import slope
from net import MLP, Conv4
from paddle import nn
from paddle.nn import functional
from paddle_maml import MAML

ORACLE = sorted((Path(__file__).parents[1] / "oracle").glob("*.npz"))
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


class Mean(nn.Layer):
    """The average over an image."""

    def forward(self, x):
        return x.mean([2, 3])


def layers_of(case):
    """The oracle's network from Paddle's own layers, with the biases that Conv4 leaves out."""
    arch = str(case["arch"])
    if arch == "sinusoid":
        return MLP(1, 1, hidden=(40, 40), batch_norm=False)
    layers, channels = [], case["support_x"].shape[2]
    values = parameters_of(case)
    filters, features = values[0].shape[0], values[-2].shape[0]
    for _ in range(4):
        layers += [nn.Conv2D(channels, filters, 3, stride=1 if arch == "pool" else 2, padding=1)]
        layers += [nn.BatchNorm2D(filters), nn.ReLU()]
        layers += [nn.MaxPool2D(2)] if arch == "pool" else []
        channels = filters
    head = nn.Flatten() if arch == "pool" else Mean()
    return nn.Sequential(*layers, head, nn.Linear(features, int(case["way"])))


def conv4_of(case):
    """The project's own network, which has no convolution biases."""
    _, _, channels, side, _ = case["support_x"].shape
    filters = parameters_of(case)[0].shape[0]
    return Conv4(int(case["way"]), side, channels, filters, pool=str(case["arch"]) == "pool")


def parameters_of(case, biases=True, kind="param"):
    names = sorted(name for name in case.files if name.startswith("param/"))
    kept = [n for n in names if biases or not ("/conv" in n and n.endswith("bias"))]
    return [case[n.replace("param/", f"{kind}/", 1)] for n in kept]


def trainable(net):
    return [p for p in net.parameters() if not p.stop_gradient]


def set_parameters(net, values):
    for parameter, value in zip(trainable(net), values):
        assert parameter.shape == list(value.shape)
        parameter.set_value(value.astype(parameter.numpy().dtype))


def tasks_of(case, dtype):
    names = "support_x", "support_y", "query_x", "query_y"
    return [
        paddle.to_tensor(case[n].astype(dtype) if case[n].dtype.kind == "f" else case[n])
        for n in names
    ]


@pytest.fixture
def default_dtype():
    yield paddle.set_default_dtype
    paddle.set_default_dtype("float32")


CASES = [(path, layers_of) for path in ORACLE]
CASES += [(path, conv4_of) for path in ORACLE if path.stem.startswith("conv4")]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("path", "build"), CASES, ids=lambda x: getattr(x, "stem", None))
def test_meta_gradient_of_another_framework(path, build, dtype, default_dtype):
    case = np.load(path)
    default_dtype(dtype)
    net, biases = build(case), build is layers_of
    set_parameters(net, parameters_of(case, biases))
    loss = functional.mse_loss if str(case["arch"]) == "sinusoid" else functional.cross_entropy
    maml = MAML(net, float(case["inner_lr"]), int(case["steps"]), int(case["order"]), loss)

    value, logits = maml(*tasks_of(case, dtype))
    value.backward()

    tolerance = TOLERANCE[dtype]
    assert value.shape == [] and value.dtype == trainable(net)[0].dtype
    np.testing.assert_allclose(float(value), case["query_loss"], rtol=tolerance)
    assert relative(logits.numpy(), case["query_logits"]) < tolerance
    expected = parameters_of(case, biases, "meta_grad")
    whole = np.sqrt(sum((g**2).sum() for g in expected))
    for parameter, g in zip(trainable(net), expected):
        # A bias before batch norm has gradient zero: its error is held to the whole gradient.
        size = np.linalg.norm(g) if np.linalg.norm(g) > 1e-12 * whole else whole
        assert np.linalg.norm(parameter.grad.numpy() - g) < tolerance * size


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_the_oracle_is_complete():
    assert len(ORACLE) == 6


@pytest.fixture
def tasks(default_dtype):
    """Three tasks of 3-way 2-shot with images of 16 x 16 pixels, in float64."""
    default_dtype("float64")
    rng = np.random.default_rng(0)
    images = [paddle.to_tensor(rng.normal(size=(3, n, 1, 16, 16))) for n in (6, 9)]
    labels = [paddle.to_tensor(np.tile(np.repeat(np.arange(3), k), (3, 1))) for k in (2, 3)]
    return images[0], labels[0], images[1], labels[1]


def small_net(pool=True):
    net = Conv4(way=3, image_side=16, filters=4, pool=pool)
    rng = np.random.default_rng(1)
    set_parameters(net, [rng.normal(p.ndim == 1, 0.3, p.shape) for p in trainable(net)])
    return net


@pytest.mark.parametrize("pool", [True, False])
def test_whole_meta_step_by_finite_differences(tasks, pool):
    net = small_net(pool)
    maml = MAML(net, inner_lr=0.3, inner_steps=2)
    point = [p.numpy().copy() for p in trainable(net)]
    maml(*tasks)[0].backward()
    gradients = [p.grad.numpy() for p in trainable(net)]
    rng = np.random.default_rng(2)
    for _ in range(3):
        direction = [rng.normal(size=p.shape) for p in point]

        def loss_at(distance, direction=direction):
            set_parameters(net, [p + distance * d for p, d in zip(point, direction)])
            return float(maml(*tasks)[0])

        expected = slope(loss_at, 0.0, 1.0, step=1e-6)
        found = sum((g * d).sum() for g, d in zip(gradients, direction))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_second_order_by_hand():
    """One weight w, inner loss (a w)^2 / 2, outer loss (b w')^2 / 2, w' = w - lr a^2 w.

    dL/dw = b^2 w' (1 - lr a^2); first order takes dw'/dw for 1 and gives b^2 w'.
    """
    a, b, w, lr = 1.5, 2.0, 0.7, 0.1
    adapted = w - lr * a**2 * w
    for order, expected in ((2, b**2 * adapted * (1 - lr * a**2)), (1, b**2 * adapted)):
        net = nn.Linear(1, 1, bias_attr=False)
        net.weight.set_value(np.full((1, 1), w, "float32"))
        maml = MAML(net, lr, order=order, loss=lambda out, target: ((out - target) ** 2).sum() / 2)
        zero = paddle.zeros([1, 1, 1])
        loss, _ = maml(paddle.full([1, 1, 1], a), zero, paddle.full([1, 1, 1], b), zero)
        loss.backward()
        np.testing.assert_allclose(net.weight.grad.item(), expected, rtol=1e-6)


def test_first_order_is_the_gradient_at_the_adapted_parameters(tasks):
    net = small_net()
    support_x, support_y, query_x, query_y = tasks
    MAML(net, 0.3, 2, order=1)(*tasks)[0].backward()
    found = [p.grad.numpy() for p in trainable(net)]
    sums = [np.zeros(p.shape) for p in trainable(net)]
    for task in range(3):
        learner = MAML(net, 0.3).adapt(support_x[task], support_y[task], steps=2)
        copy = small_net()
        set_parameters(copy, [p.numpy() for p in learner.parameters])
        MAML(copy, 0.3, inner_steps=0)(*(t[task : task + 1] for t in tasks))[0].backward()
        sums = [s + p.grad.numpy() for s, p in zip(sums, trainable(copy))]
    for f, s in zip(found, sums):
        np.testing.assert_allclose(f, s / 3, rtol=1e-9, atol=1e-14)


def test_orders_agree_on_the_loss_and_differ_in_the_gradient(tasks):
    losses, gradients = [], []
    for order in (1, 2):
        net = small_net()
        loss, _ = MAML(net, 0.3, order=order)(*tasks)
        loss.backward()
        losses.append(float(loss))
        gradients.append(net.classifier.weight.grad.numpy())
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    assert relative(*gradients) > 0.01


def test_loss_is_the_mean_over_tasks_and_backward_adds_up(tasks):
    net = small_net()
    maml = MAML(net, 0.3)
    losses = []
    for task in range(3):
        loss, logits = maml(*(t[task : task + 1] for t in tasks))
        losses.append(float(loss))
        loss.backward()
    summed = net.classifier.weight.grad.numpy()
    net.clear_gradients()
    loss, logits = maml(*tasks)
    loss.backward()
    assert logits.shape == [3, 9, 3]
    assert float(loss) == pytest.approx(np.mean(losses))
    np.testing.assert_allclose(3 * net.classifier.weight.grad.numpy(), summed, rtol=1e-9)


def test_nothing_is_written_to_the_net(tasks):
    support_x, support_y, query_x, _ = tasks
    net = small_net()
    before = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    maml = MAML(net, 0.3, inner_steps=2)
    maml(*tasks)[0].backward()
    learner = maml.adapt(support_x[0], support_y[0], steps=3)
    learner(query_x[0])
    assert any("_mean" in name for name in before)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_training_and_evaluation_mode_are_the_same(tasks):
    net = small_net()
    maml = MAML(net, 0.3)
    losses = []
    for mode in (maml.train, maml.eval):
        mode()
        losses.append(float(maml(*tasks)[0]))
    assert losses[0] == losses[1]


def test_path_starts_at_the_net_and_ends_where_adapt_does(tasks):
    support_x, support_y, query_x, query_y = tasks
    maml = MAML(small_net(), 0.01)
    path = maml.path(support_x[0], support_y[0], steps=4)
    assert len(path) == 5
    support_losses = [float(maml.loss(learner(support_x[0]), support_y[0])) for learner in path]
    assert support_losses == sorted(support_losses, reverse=True)
    for mine, own in zip(path[0].parameters, trainable(maml.net)):
        np.testing.assert_array_equal(mine.numpy(), own.numpy())
    adapted = maml.adapt(support_x[0], support_y[0], steps=4)
    np.testing.assert_array_equal(adapted(query_x[0]).numpy(), path[-1](query_x[0]).numpy())


def test_path_logits_of_any_net_are_those_of_its_learners(tasks):
    support_x, support_y, query_x, _ = tasks
    maml = MAML(nn.Sequential(nn.Flatten(), nn.Linear(256, 4), nn.Tanh(), nn.Linear(4, 3)), 0.1)
    logits = maml.path_logits(support_x, support_y, query_x, steps=2).numpy()
    assert logits.shape == (3, 3, 9, 3)
    for task in range(3):
        learners = maml.path(support_x[task], support_y[task], steps=2)
        expected = [learner(query_x[task]).numpy() for learner in learners]
        np.testing.assert_allclose(logits[:, task], expected, rtol=1e-9)
    with pytest.raises(ValueError, match="support_y and query_x need the same, .* have 3, 3, 2"):
        maml.path_logits(support_x, support_y, query_x[:2])


def test_no_gradient_under_no_grad(tasks):
    for order in (1, 2):
        maml = MAML(small_net(), 0.3, inner_steps=3, order=order)
        with paddle.no_grad():
            quiet, _ = maml(*tasks)
        assert quiet.stop_gradient
        assert float(quiet) == pytest.approx(float(maml(*tasks)[0]), rel=1e-12)


def test_frozen_parameters_stay_and_get_no_gradient(tasks):
    net = small_net()
    first = trainable(net)[0]
    first.stop_gradient = True
    maml = MAML(net, 0.3)
    maml(*tasks)[0].backward()
    assert first.grad is None and net.classifier.weight.grad is not None
    assert len(maml.adapt(tasks[0][0], tasks[1][0]).parameters) == len(trainable(net))


def test_a_learner_stays_adapted_when_the_net_is_frozen(tasks):
    maml = MAML(small_net(), 0.3)
    learner = maml.adapt(tasks[0][0], tasks[1][0], steps=2)
    before = learner(tasks[2][0]).numpy()
    for parameter in maml.net.parameters():
        parameter.stop_gradient = True
    np.testing.assert_array_equal(learner(tasks[2][0]).numpy(), before)


def test_recurrent_layers_are_adapted():
    """Paddle's LSTM computes with a list of its weights beside its parameters."""
    net = nn.LSTM(2, 3)
    maml = MAML(net, 0.5, order=1, loss=lambda out, y: ((out[0] - y) ** 2).mean())
    x, y = paddle.ones([4, 5, 2]), paddle.ones([4, 5, 3])
    path = maml.path(x, y, steps=3)
    losses = [float(maml.loss(learner(x), y)) for learner in path]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    for mine, own in zip(path[0].parameters, path[-1].parameters):
        assert not np.array_equal(mine.numpy(), own.numpy())


def test_a_loss_that_reaches_no_parameter_is_refused():
    maml = MAML(nn.Linear(1, 1), 0.1, loss=lambda out, y: (y * y).mean())
    y = paddle.ones([1, 1])
    y.stop_gradient = False
    with pytest.raises(ValueError, match="depends on no parameter of the net that is adapted"):
        maml.adapt(paddle.ones([1, 1]), y)


def test_shared_parameters_are_adapted_everywhere():
    """w used twice: the net is w^2 x; one step on (w^2 x)^2 / 2 has gradient 2 w^3 x^2."""

    class Twice(nn.Layer):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(1, 1, bias_attr=False)
            self.other = nn.Linear(1, 1, bias_attr=False)
            self.other.weight = self.one.weight

        def forward(self, x):
            return self.other(self.one(x))

    net = Twice()
    net.one.weight.set_value(np.full((1, 1), 0.5, "float32"))
    maml = MAML(net, 0.1, loss=lambda out, y: ((out - y) ** 2).sum() / 2)
    learner = maml.adapt(paddle.ones([1, 1]), paddle.zeros([1, 1]))
    np.testing.assert_allclose(learner(paddle.ones([1, 1])).item(), (0.5 - 0.1 * 0.25) ** 2, 1e-6)


def test_memory_does_not_grow(tasks):
    maml = MAML(small_net(), 0.3)
    resident = []
    for _ in range(12):
        for _ in range(5):
            maml(*tasks)[0].backward()
            maml.clear_gradients()
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]))
    assert resident[-1] < 1.02 * resident[2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(order=3), "order is 3"),
        (dict(inner_steps=-1), "inner steps is -1"),
        (dict(inner_steps=1.5), "inner steps is 1.5"),
        (dict(task_chunk=-1), "task_chunk is -1"),
    ],
)
def test_wrong_settings_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        MAML(nn.Linear(1, 1), 0.1, **arguments)


def test_a_net_without_parameters_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        MAML(nn.ReLU(), 0.1)


def test_different_numbers_of_tasks_are_named(tasks):
    support_x, support_y, query_x, query_y = tasks
    with pytest.raises(ValueError, match="3, 3, 2, 3"):
        MAML(small_net(), 0.1)(support_x, support_y, query_x[:2], query_y)


def test_a_task_without_examples_is_refused(tasks):
    support_x, support_y, query_x, query_y = tasks
    with pytest.raises(ValueError, match="no query example"):
        MAML(small_net(), 0.1)(support_x, support_y, query_x[:, :0], query_y[:, :0])


class Bessel(nn.Layer):
    def forward(self, x):
        return paddle.i0(x)


def test_an_operator_without_a_second_gradient_is_named():
    net = nn.Sequential(nn.Linear(2, 3), Bessel())
    maml = MAML(net, 0.1, loss=functional.mse_loss)
    x, y = paddle.ones([1, 4, 2]), paddle.ones([1, 4, 3])
    with pytest.raises(NotImplementedError, match=r"twice: i0 \(.* order=1"):
        maml(x, y, x, y)
    MAML(maml.net, 0.1, order=1, loss=functional.mse_loss)(x, y, x, y)[0].backward()
