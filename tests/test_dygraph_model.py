"""DygraphModel under trainers that keep less for it than this project's does."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
from paddle_maml import ClipByNorm, ClipByValue
from paddle_maml.errors import UserError

WAY, BATCH = 2, 4
IMAGES = 5  # per class: fewer make batch norm magnify rounding
CONFIG = {
    "runner.train_batch_size": BATCH,
    "runner.epochs": 2,
    "hyper_parameters.n_way": WAY,
    "hyper_parameters.tasks_per_epoch": 3 * BATCH,
    "hyper_parameters.network": "mlp",
    "hyper_parameters.imgsize": 4,
    "hyper_parameters.conv_stride": 2,
    "hyper_parameters.update_step_test": 1,
    "hyper_parameters.meta_optimizer.decay": "cosine",
}


def batch(tasks=BATCH, seed=0):
    """Tasks of as many support as query images per class."""
    rng = np.random.default_rng(seed)
    images = [rng.random((tasks, WAY * IMAGES, 1, 4, 4), np.float32) for _ in range(2)]
    labels = np.tile(np.arange(WAY), (tasks, IMAGES))
    return [paddle.to_tensor(a) for a in (images[0], labels, images[1], labels)]


def train(trainer_steps: bool, steps=6):
    """The learning rate of each meta-step and the parameters after the last."""
    paddle.seed(1)
    config, model_class = dict(CONFIG), DygraphModel()
    model = model_class.create_model(config)
    optimizer = model_class.create_optimizer(model, config)
    metrics, _ = model_class.create_metrics()
    rates = []
    for seed in range(steps):
        loss, metrics, tensors = model_class.train_forward(model, metrics, batch(seed=seed), config)
        assert all(tensor.ndim == 0 for tensor in tensors.values())  # as VisualDL wants them
        loss.backward()
        rates.append(optimizer.get_lr())
        optimizer.step()
        optimizer.clear_grad()
        if trainer_steps:
            model_class.schedule.step()
    assert config["meta_steps"] == steps
    return rates, b"".join(p.numpy().tobytes() for p in model.parameters())


def test_the_schedule_steps_whether_or_not_the_trainer_steps_it():
    rates, parameters = train(trainer_steps=True)
    assert rates == pytest.approx(0.001 * (1 + np.cos(np.pi * np.arange(6) / 6)) / 2)
    assert train(trainer_steps=False) == (rates, parameters)


def test_a_meta_test_counts_the_tasks_of_one_checkpoint_alone():
    config, model_class = dict(CONFIG), DygraphModel()
    model = model_class.create_model(config)
    metrics, names = model_class.create_metrics()  # once, for all checkpoints
    tasks = metrics[names.index("tasks")]
    for _ in range(2):
        checkpoint = {name: value + 1 for name, value in model.state_dict().items()}
        model.set_state_dict(checkpoint)
        for seen in (3, 6):
            model_class.infer_forward(model, metrics, batch(3), config)
            assert tasks.accumulate() == seen


def test_what_is_annealed_follows_the_epochs():
    config = {
        **CONFIG,
        "hyper_parameters.algorithm": "maml_pp",
        "hyper_parameters.update_step": 2,
        "hyper_parameters.maml_pp.multi_step_epochs": 4,
        "hyper_parameters.maml_pp.first_order_epochs": 1,
    }
    model_class = DygraphModel()
    model, (metrics, _) = model_class.create_model(config), model_class.create_metrics()
    found = []
    for _ in range(7):  # of 3 an epoch
        model_class.train_forward(paddle.DataParallel(model), metrics, batch(), config)
        found.append((model.order, model.query_weights()[-1]))
    assert found == [(1, 1 / 2)] * 3 + [(2, 5 / 8)] * 3 + [(2, 6 / 8)]


def test_with_fleet_a_meta_step_takes_a_batch_per_process(monkeypatch):
    monkeypatch.setattr(paddle.distributed, "get_world_size", lambda: 2)
    config = {**CONFIG, "runner.use_fleet": True, "hyper_parameters.tasks_per_epoch": 4 * BATCH}
    model_class = DygraphModel()
    model_class.create_optimizer(model_class.create_model(config), config)
    model_class.schedule.step(4)  # 2 epochs of 4 batches, 2 of them at a time
    assert model_class.schedule() == 0
    config["hyper_parameters.tasks_per_epoch"] = BATCH
    with pytest.raises(UserError, match="4 is less than one batch of .* = 8 tasks"):
        model_class.check(config)


def test_the_loss_of_a_meta_test_is_the_mean_over_the_tasks_so_far():
    config, model_class = dict(CONFIG), DygraphModel()
    model = model_class.create_model(config)
    metrics, _ = model_class.create_metrics()
    losses = []
    for seed in (1, 2):
        tasks = batch(3, seed)
        _, tensors = model_class.infer_forward(model, metrics, tasks, config)
        for support_x, support_y, query_x, query_y in zip(*tasks):
            logits = model.adapt(support_x, support_y, steps=1)(query_x).numpy()
            chosen = np.exp(logits)[range(WAY * IMAGES), query_y.numpy()] / np.exp(logits).sum(1)
            losses.append(-np.log(chosen).mean())
        assert tensors["loss"].ndim == 0
        assert float(tensors["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)
    assert model_class.summary(metrics, config)["loss_per_step"][1] == pytest.approx(
        np.mean(losses), rel=1e-5
    )


REGRESSION = {
    **CONFIG,
    "hyper_parameters.loss": "mse",
    "hyper_parameters.hidden": [8, 8],
    "hyper_parameters.base_optimizer.learning_rate": 0.1,
    "hyper_parameters.update_step_test": 2,
}


def points(tasks, inputs=1):
    rng = np.random.default_rng(5)
    shapes = [(tasks, 5, inputs), (tasks, 5, 1), (tasks, 7, inputs), (tasks, 7, 1)]
    return [paddle.to_tensor(rng.normal(size=shape).astype("float32")) for shape in shapes]


def adapted_by_hand(net, support_x, support_y, query_x, rate, steps):
    """Predictions before and after each step of a ReLU network with two hidden layers."""
    w = [p.numpy().astype(np.float64) for p in net.parameters()]

    def hidden(x):
        first = x @ w[0] + w[1]
        second = np.maximum(first, 0) @ w[2] + w[3]
        return first, second

    predictions = []
    for step in range(steps + 1):
        predictions.append(np.maximum(hidden(query_x)[1], 0) @ w[4] + w[5])
        if step == steps:
            break
        first, second = hidden(support_x)
        g = 2 / len(support_y) * (np.maximum(second, 0) @ w[4] + w[5] - support_y)
        gradients = [np.maximum(second, 0).T @ g, g.sum(0)]
        g = g @ w[4].T * (second > 0)
        gradients = [np.maximum(first, 0).T @ g, g.sum(0), *gradients]
        g = g @ w[2].T * (first > 0)
        gradients = [support_x.T @ g, g.sum(0), *gradients]
        w = [p - rate * g for p, g in zip(w, gradients)]
    return np.stack(predictions)


def test_regression_measures_the_squared_error_per_inner_step():
    paddle.seed(3)
    config, model_class = dict(REGRESSION), DygraphModel()
    model = model_class.create_model(config)
    metrics, names = model_class.create_metrics()
    assert names == ["mse", "ci95", "tasks"] and model_class.lower_is_better
    tasks = points(6)
    _, tensors = model_class.infer_forward(model, metrics, tasks, config)
    arrays = [part.numpy().astype(np.float64) for part in tasks]
    errors = np.stack(
        [
            ((adapted_by_hand(model.net, *task[:3], 0.1, 2) - task[3]) ** 2).mean((1, 2))
            for task in zip(*arrays)
        ]
    )
    summary = model_class.summary(metrics, config)
    assert summary["mse_per_step"] == pytest.approx(errors.mean(0), rel=1e-5)
    assert summary["loss_per_step"] == summary["mse_per_step"]
    interval = 1.96 * errors.std(0, ddof=1) / 6**0.5
    assert summary["ci95_per_step"] == pytest.approx(interval, rel=1e-5)
    assert summary["measure"] == "mse" and summary["mse"] == summary["mse_per_step"][-1]
    assert float(tensors["loss"]) == pytest.approx(errors[:, -1].mean(), rel=1e-5)
    assert summary["tasks"] == 6 and "way" not in summary


def test_regression_trains_on_the_squared_error_after_adaptation():
    paddle.seed(3)
    config, model_class = dict(REGRESSION), DygraphModel()
    model = model_class.create_model(config)
    metrics, _ = model_class.create_metrics()
    loss, metrics, _ = model_class.train_forward(model, metrics, points(4), config)
    arrays = [part.numpy().astype(np.float64) for part in points(4)]
    after = [adapted_by_hand(model.net, *task[:3], 0.1, 1)[-1] for task in zip(*arrays)]
    assert float(loss) == pytest.approx(((np.stack(after) - arrays[3]) ** 2).mean(), rel=1e-5)
    assert metrics[0].accumulate() == pytest.approx(float(loss), rel=1e-6)


def test_fine_tuning_trains_on_the_queries_and_adapts_in_the_test_alone():
    paddle.seed(3)
    config = {**REGRESSION, "hyper_parameters.algorithm": "fine_tune"}
    model_class = DygraphModel()
    model = model_class.create_model(config)
    metrics, _ = model_class.create_metrics()
    _, _, query_x, query_y = tasks = points(4)
    loss, metrics, _ = model_class.train_forward(model, metrics, tasks, config)
    loss.backward()
    found = [p.grad.numpy().copy() for p in model.parameters()]
    model.clear_gradients()
    plain = ((model.net(query_x.reshape([-1, 1])) - query_y.reshape([-1, 1])) ** 2).mean()
    plain.backward()
    assert float(loss) == pytest.approx(float(plain), rel=1e-5)
    for p, gradient in zip(model.parameters(), found):
        np.testing.assert_allclose(gradient, p.grad.numpy(), rtol=1e-4, atol=1e-6)
    metrics[0].reset()
    model_class.infer_forward(model, metrics, tasks, config)
    before, _, after = model_class.summary(metrics, config)["mse_per_step"]
    assert before == pytest.approx(float(plain), rel=1e-5) and after != pytest.approx(before)


@pytest.mark.parametrize(("steps", "shown"), [(0, (0,)), (1, (0, 1)), (3, (0, 1, 3))])
def test_curves_to_look_at_are_the_predictions_in_the_order_of_x(steps, shown):
    config = {**REGRESSION, "hyper_parameters.update_step_test": steps}
    model_class = DygraphModel()
    model = model_class.create_model(config)
    tasks = points(2)
    first, second = model_class.episodes(model, tasks, config)
    support_x, support_y, query_x, query_y = (part[1] for part in tasks)
    order = np.argsort(query_x.numpy()[:, 0])
    assert second.steps == shown and second.predictions.shape == (len(shown), 7)
    assert np.array_equal(second.query_x, query_x.numpy()[order, 0])
    assert np.array_equal(second.query_y, query_y.numpy()[order, 0])
    for steps, prediction in zip(second.steps, second.predictions):
        wanted = model.adapt(support_x, support_y, steps)(query_x).numpy()[order, 0]
        np.testing.assert_allclose(prediction, wanted, rtol=1e-5)


def test_the_oracles_network_takes_three_numbers():
    config = {**REGRESSION, "hyper_parameters.oracle": True}
    model_class = DygraphModel()
    model = model_class.create_model(config)
    metrics, _ = model_class.create_metrics()
    model_class.infer_forward(model, metrics, points(2, inputs=3), config)
    assert model.net(paddle.zeros([4, 3])).shape == [4, 1]
    assert model_class.title(config) == "1-shot regression, oracle: second-order MAML on MLP"


@pytest.mark.parametrize("key", ["clip", "clip_norm"])
def test_the_meta_gradient_is_clipped(key):
    """Entry by entry or as a whole: as Adam goes on after a gradient clipped by hand."""
    gradients = [np.float32([100, -100, 3, 10]), np.float32([1, 1, 1, 1])]

    def trained(clip, gradients):
        layer = paddle.nn.Linear(4, 1, bias_attr=False)
        layer.weight.set_value(np.ones((4, 1), np.float32))
        clipping = {} if clip is None else {f"hyper_parameters.meta_optimizer.{key}": clip}
        optimizer = DygraphModel().create_optimizer(layer, {**CONFIG, **clipping})
        for gradient in gradients:
            (layer.weight[:, 0] * paddle.to_tensor(gradient)).sum().backward()
            optimizer.step()
            optimizer.clear_grad()
        return layer.weight.numpy()

    by_value = [g.clip(-10, 10) for g in gradients]
    by_norm = [g * min(1, 10 / np.linalg.norm(g)) for g in gradients]
    by_hand = trained(None, by_value if key == "clip" else by_norm)
    np.testing.assert_allclose(trained(10, gradients), by_hand, rtol=1e-6)
    assert not np.allclose(trained(None, gradients), by_hand)


def test_an_ensemble_has_each_network_in_each_view():
    model_class = DygraphModel()
    models = [model_class.create_model(CONFIG) for _ in range(2)]
    assert [*model_class.create_ensemble(models, 1).members] == models
    members = model_class.create_ensemble(models, 4).members
    assert [(m.model, m.turn) for m in members] == [(m, t) for m in models for t in range(4)]


def test_a_meta_test_says_whether_its_classes_were_rotated():
    for rotated in (False, True):
        config = {**CONFIG, "hyper_parameters.rotation_test": rotated}
        model_class = DygraphModel()
        model = model_class.create_model(config)
        metrics, _ = model_class.create_metrics()
        model_class.infer_forward(model, metrics, batch(3), config)
        assert model_class.summary(metrics, config)["rotation"] is rotated


@pytest.mark.parametrize(
    ("key", "expected"), [("clip", ClipByValue(0.5)), ("clip_norm", ClipByNorm(0.5))]
)
@pytest.mark.parametrize("algorithm", ["maml", "boil", "maml_pp", "fine_tune"])
def test_inner_gradients_are_clipped(algorithm, key, expected):
    config = {
        **CONFIG,
        "hyper_parameters.algorithm": algorithm,
        "hyper_parameters.pretrain_classes": 8,
        f"hyper_parameters.base_optimizer.{key}": 0.5,
    }
    assert DygraphModel().create_model(config).inner_clip == expected
