"""The watch over the losses of a training: where it stops, and with which parameters."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
from paddle_maml.errors import DivergenceError
from watch import Watch

BATCH, STEPS = 4, 12  # tasks of a meta-step, meta-steps of an epoch
CONFIG = {
    "runner.train_batch_size": BATCH,
    "runner.epochs": 2,
    "hyper_parameters.tasks_per_epoch": BATCH * STEPS,
    "hyper_parameters.loss": "mse",
    "hyper_parameters.network": "mlp",
    "hyper_parameters.hidden": [8],
    "hyper_parameters.base_optimizer.learning_rate": 0.01,
}


def tasks(step, spoiled=()):
    """The points of a batch, and nan among the queries of task 2 of a spoiled one."""
    rng = np.random.default_rng(step)
    sets = [rng.normal(size=(BATCH, 5, 1)).astype("float32") for _ in range(4)]
    if step in spoiled:
        sets[2][2, 0] = np.nan
    return [paddle.to_tensor(a) for a in sets]


class Training:
    """As PaddleRec's trainer does it."""

    def __init__(self, config=CONFIG, every=1):
        paddle.seed(0)
        self.config, self.model_class, self.step = dict(config), DygraphModel(), 0
        self.model = self.model_class.create_model(self.config)
        self.model_class.watch = Watch(self.model, every)
        self.optimizer = self.model_class.create_optimizer(self.model, self.config)
        self.metrics, _ = self.model_class.create_metrics()

    def until(self, last, batch=tasks):
        while self.step < last:
            batch_data, self.step = batch(self.step), self.step + 1
            self.optimizer.clear_grad()
            forward = self.model_class.train_forward
            loss, self.metrics, _ = forward(self.model, self.metrics, batch_data, self.config)
            loss.backward()
            self.optimizer.step()
        return self

    def parameters(self):
        return [p.numpy().copy() for p in self.model.parameters()]


@pytest.mark.parametrize("spoiled", [(7,), (7, 8), (0,), (11,), (5,), (17, 20)])
@pytest.mark.parametrize("every", [1, 5])
def test_it_stops_with_the_parameters_that_the_faulty_meta_step_began_with(every, spoiled):
    """A GPU is looked at every few meta-steps, and at the last one of an epoch."""
    first = spoiled[0]
    epoch, batch = divmod(first, STEPS)
    training = Training(every=every)
    with pytest.raises(DivergenceError) as raised:
        training.until(2 * STEPS, lambda step: tasks(step, spoiled))
    index = batch * BATCH + 2
    assert str(raised.value) == (
        f"epoch {epoch}, batch {batch}: query_x (task {index}) is not finite: correct the data; "
        f"RecDataset.task({epoch}, {index}) draws the task again"
    )
    looks = [n for n in range(2 * STEPS) if n % STEPS % every == 0 or n % STEPS == STEPS - 1]
    assert training.step - 1 == min(look for look in looks if look >= first)
    for found, expected in zip(training.parameters(), Training().until(first).parameters()):
        np.testing.assert_array_equal(found, expected)


def test_the_host_waits_for_nothing_between_two_looks(monkeypatch):
    training = Training(every=STEPS).until(1)
    batches = {step: tasks(step) for step in range(4)}
    with monkeypatch.context() as patched:
        for name in ("numpy", "item", "tolist", "__float__", "__int__", "__bool__"):
            patched.setattr(paddle.Tensor, name, lambda *_: pytest.fail("the host has to wait"))
        training.until(4, batches.get)


def test_the_watch_changes_no_training():
    trainings = [Training(every=every).until(2 * STEPS).parameters() for every in (1, 5)]
    for found, expected in zip(*trainings):
        np.testing.assert_array_equal(found, expected)


def test_the_trainer_may_say_where_it_stands():
    training = Training()
    training.config["position"] = (3, 4, 40)
    with pytest.raises(DivergenceError, match="epoch 3, batch 4: .* RecDataset.task.3, 18. draws"):
        training.until(1, lambda step: tasks(step, [0]))


SETTINGS = {
    "hyper_parameters.base_optimizer.learning_rate": (
        {"base_optimizer.learning_rate": 1e30},
        "lower hyper_parameters.base_optimizer.learning_rate or set .*base_optimizer.clip_norm",
    ),
    "rates that were learned": (
        {"base_optimizer.learning_rate": 1e30, "algorithm": "meta_sgd"},
        "set .*base_optimizer.clip_norm, or begin anew with a lower .*base_optimizer.learning_rate",
    ),
    "no inner steps": (
        {"meta_optimizer.learning_rate": 1e30, "algorithm": "fine_tune"},
        "lower hyper_parameters.meta_optimizer.learning_rate or set .*meta_optimizer.clip_norm",
    ),
}


@pytest.mark.parametrize(("setting", "remedy"), SETTINGS.values(), ids=SETTINGS)
def test_what_to_try(setting, remedy):
    config = {**CONFIG, **{f"hyper_parameters.{key}": value for key, value in setting.items()}}
    with pytest.raises(DivergenceError, match=f"is not finite: {remedy}; "):
        Training(config).until(3)


IMAGES = {
    "hyper_parameters.loss": "cross_entropy",
    "hyper_parameters.network": "conv4",
    "hyper_parameters.n_way": 2,
    "hyper_parameters.imgsize": 16,
    "hyper_parameters.bn_channel": 4,
}


def images(step):
    rng = np.random.default_rng(step)
    x = [rng.random((BATCH, 4, 1, 16, 16), np.float32) for _ in range(2)]
    y = [np.tile([0, 1], (BATCH, 2)) for _ in range(2)]
    return [paddle.to_tensor(a) for a in (x[0], y[0], x[1], y[1])]


@pytest.mark.parametrize("algorithm", ["proto_net", "matching_net", "siamese", "maml"])
def test_the_watch_leaves_loss_and_gradient_as_they_are(algorithm):
    training = Training({**CONFIG, **IMAGES, "hyper_parameters.algorithm": algorithm})
    model, forward = training.model, training.model_class.train_forward
    found = []
    for loss in (
        forward(model, training.metrics, images(0), training.config)[0],
        model(*images(0))[0],
    ):
        model.clear_gradients()
        loss.backward()
        gradients = [p.grad.numpy() for p in model.parameters() if p.grad is not None]
        found.append([loss.numpy(), *gradients])
    assert len(found[0]) == len(found[1]) > 10
    for watched, plain in zip(*found):
        np.testing.assert_array_equal(watched, plain)


@pytest.mark.parametrize("algorithm", ["proto_net", "siamese", "maml"])
def test_a_gradient_stops_it_where_the_loss_is_finite(algorithm):
    """Behind ReLU a spoiled image leaves a loss that is finite, on the CPU."""

    def batch(step):
        sets = images(step)
        if step == 2:
            sets[0][1, 0, 0, 5, 5] = float("inf")
        return sets

    config = {**CONFIG, **IMAGES, "hyper_parameters.algorithm": algorithm}
    training = Training(config).until(2, batch)
    expected = training.parameters()
    with pytest.raises(DivergenceError, match="batch 2: support_x .task 9. is not finite"):
        training.until(3, batch)
    for p, before in zip(training.model.parameters(), expected):
        if not p.stop_gradient:  # running statistics have seen the image
            np.testing.assert_array_equal(p.numpy(), before)
