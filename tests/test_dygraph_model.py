"""DygraphModel under trainers that keep less for it than this project's does."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
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
