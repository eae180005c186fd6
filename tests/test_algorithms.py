"""Every algorithm that a configuration can name."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from algorithms import ALGORITHMS, TITLES, algorithm_title, create_algorithm
from paddle_maml.settings import Settings

OF_MAML = ["maml", "fomaml", "anil", "boil", "meta_sgd", "maml_pp", "reptile"]


def setting(algorithm, **values):
    values = {"algorithm": algorithm, "network": "mlp", "imgsize": 4, "update_step": 2, **values}
    return Settings.from_config({f"hyper_parameters.{k}": v for k, v in values.items()})


def task(tasks=2, images=10):
    rng = np.random.default_rng(0)
    x = paddle.to_tensor(rng.random((tasks, images, 1, 4, 4), np.float32))
    return x, paddle.to_tensor(np.tile(np.arange(5), (tasks, images // 5)))


def test_each_has_a_name_in_words():
    assert TITLES.keys() == ALGORITHMS.keys()
    assert algorithm_title(setting("anil", order=1)) == "first-order ANIL"
    assert algorithm_title(setting("reptile")) == "Reptile"


@pytest.mark.parametrize("name", OF_MAML)
def test_each_lowers_its_loss(name):
    paddle.seed(0)
    model, (x, y) = create_algorithm(setting(name)), task()
    optimizer = paddle.optimizer.Adam(0.01, parameters=model.parameters())
    losses = []
    for _ in range(30):
        loss, _ = model(x, y, x, y)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("name", OF_MAML)
def test_each_is_what_its_checkpoint_says(name):
    paddle.seed(0)
    one, (x, y) = create_algorithm(setting(name)), task()
    for p in one.parameters():
        p.set_value(np.asarray(p.numpy() + 0.1))
    other = create_algorithm(setting(name))
    other.set_state_dict(one.state_dict())
    found, expected = (m.path_logits(x, y, x, steps=3).numpy() for m in (other, one))
    np.testing.assert_array_equal(found, expected)
