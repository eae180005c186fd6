"""The algorithms that a configuration names, as the tools use them."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
from paddle_maml.errors import UserError

WAY, TASKS, SHOT, QUERY, STEPS = 3, 4, 2, 5, 2
CONFIG = {
    "runner.train_batch_size": TASKS,
    "runner.epochs": 1,
    "hyper_parameters.n_way": WAY,
    "hyper_parameters.k_spt": SHOT,
    "hyper_parameters.k_query": QUERY,
    "hyper_parameters.imgsize": 16,
    "hyper_parameters.bn_channel": 8,
    "hyper_parameters.update_step_test": STEPS,
    "hyper_parameters.base_optimizer.learning_rate": 0.5,
    "hyper_parameters.meta_optimizer.learning_rate": 0.01,
    "hyper_parameters.pretrain_classes": 2 * WAY,
}
TITLES = {
    "proto_net": "prototypical networks",
    "matching_net": "matching networks",
    "siamese": "siamese networks",
    "fine_tune": "fine-tuning",
    "nearest_neighbor": "nearest neighbours",
}
COMPARING = [name for name in TITLES if name != "fine_tune"]
NETWORKS = {
    "conv4": {"hyper_parameters.conv_stride": 2},
    "mlp": {"hyper_parameters.network": "mlp", "hyper_parameters.hidden": [16, 8]},
}


def config_of(algorithm, **more):
    return {**CONFIG, "hyper_parameters.algorithm": algorithm, **more}


def batch(seed, classes=False):
    """Tasks of six classes, a pattern each under noise, in the reader's form."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(0).random((2 * WAY, 1, 16, 16))
    numbers = np.stack([rng.permutation(2 * WAY)[:WAY] for _ in range(TASKS)])
    arrays = []
    for count in (SHOT, QUERY):
        labels = np.tile(np.repeat(np.arange(WAY), count), (TASKS, 1))
        images = patterns[np.take_along_axis(numbers, labels, 1)]
        images = images + 0.1 * rng.normal(size=images.shape)
        arrays += [images.astype(np.float32), labels]
    return [paddle.to_tensor(a) for a in [*arrays, *([numbers] if classes else [])]]


def train(config, steps=30):
    paddle.seed(0)
    model_class = DygraphModel()
    model = model_class.create_model(config)
    optimizer = model_class.create_optimizer(model, config)
    metrics, _ = model_class.create_metrics()
    pretrains = config["hyper_parameters.algorithm"] in ("fine_tune", "nearest_neighbor")
    losses = []
    for seed in range(steps):
        sets = batch(seed, pretrains)
        loss, metrics, _ = model_class.train_forward(model, metrics, sets, config)
        losses.append(float(loss))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
    return model_class, model, losses


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("algorithm", TITLES)
def test_training_and_meta_test(algorithm, network):
    config = config_of(algorithm, **NETWORKS[network])
    model_class, model, losses = train(config)
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    model.eval()
    metrics, _ = model_class.create_metrics()
    for seed in (100, 101):
        model_class.infer_forward(model, metrics, batch(seed), config)
    summary = model_class.summary(metrics, config)
    assert summary["accuracy"] > 0.6  # 1 in 3 by chance
    assert summary["tasks"] == 2 * TASKS
    assert summary["transductive"] is False
    if algorithm == "fine_tune":
        assert len(summary["accuracy_per_step"]) == STEPS + 1
        assert (summary["steps"], summary["inner_lr"]) == (STEPS, 0.5)
        assert summary["loss_per_step"][0] == pytest.approx(np.log(WAY), rel=1e-5)  # the head is 0
    else:
        assert summary["accuracy_per_step"] == [summary["accuracy"]]
        assert not {"steps", "inner_lr"} & summary.keys()
    assert "order" not in summary


@pytest.mark.parametrize("algorithm", TITLES)
def test_the_title_names_the_algorithm(algorithm):
    title = DygraphModel().title(config_of(algorithm))
    assert title == f"3-way 2-shot: {TITLES[algorithm]} on Conv4"


@pytest.mark.parametrize("algorithm", COMPARING)
def test_comparing_takes_no_inner_steps(algorithm):
    config, model_class = config_of(algorithm), DygraphModel()
    model = model_class.create_model(config)
    with pytest.raises(UserError, match=f"{algorithm} takes no inner steps"):
        model_class.export(model, config, "support", 3)
    with pytest.raises(UserError, match="takes one that takes inner steps where loss is mse"):
        model_class.check({**config, "hyper_parameters.loss": "mse", **NETWORKS["mlp"]})


def test_what_is_pretrained_has_to_know_the_number_of_classes():
    for algorithm in ("fine_tune", "nearest_neighbor"):
        config = config_of(algorithm, **{"hyper_parameters.pretrain_classes": None})
        with pytest.raises(UserError, match="pretrain_classes is None: .* times 4 with rotation"):
            DygraphModel().check(config)
