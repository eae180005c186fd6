"""The model's hooks for those who look at it: episodes with predictions, and a title."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel

CONFIG = {
    "hyper_parameters.n_way": 4,
    "hyper_parameters.k_query": 3,
    "hyper_parameters.update_step_test": 2,
    "hyper_parameters.bn_channel": 8,
    "hyper_parameters.conv_stride": 2,
}


@pytest.fixture(scope="module")
def pictures():
    """The grey levels of two tasks' 4 support and 12 query images."""
    drawn = np.random.default_rng(0).integers(0, 256, (2, 16, 1, 28, 28), np.uint8)
    return drawn[:, :4], drawn[:, 4:]


@pytest.fixture(scope="module")
def batch(pictures):
    """Those tasks as the reader gives them."""
    support_x, query_x = (paddle.to_tensor(1 - p.astype("float32") / 255) for p in pictures)
    labels = np.tile(np.arange(4), (2, 1))
    queries = np.tile(np.arange(4).repeat(3), (2, 1))
    return [support_x, paddle.to_tensor(labels), query_x, paddle.to_tensor(queries)]


@pytest.fixture(scope="module")
def model():
    paddle.seed(1)
    return DygraphModel().create_model(CONFIG)


@pytest.fixture(scope="module")
def episodes(model, batch):
    return list(DygraphModel().episodes(model, batch, CONFIG))


def test_predictions_are_the_learners_own(model, batch, episodes):
    assert len(episodes) == 2
    for task, episode in enumerate(episodes):
        support_x, support_y, query_x, query_y = (part[task] for part in batch)
        for steps, found in ((0, episode.before), (2, episode.after)):
            logits = model.adapt(support_x, support_y, steps)(query_x).numpy()
            assert (found.argmax(1) == logits.argmax(1)).all()
            np.testing.assert_allclose(
                np.log(found[:, 1:] / found[:, :1]), logits[:, 1:] - logits[:, :1], atol=1e-4
            )
            np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
        assert not np.array_equal(episode.before, episode.after)
        assert (episode.support_y == support_y.numpy()).all()
        assert (episode.query_y == query_y.numpy()).all()


def test_images_are_the_readers_files_to_the_grey_level(pictures, episodes):
    support, query = pictures
    for task, episode in enumerate(episodes):
        assert np.array_equal(episode.support_x[..., 0], support[task, :, 0])
        assert np.array_equal(episode.query_x[..., 0], query[task, :, 0])


def test_photographs_are_seen_as_they_are():
    config = {**CONFIG, "hyper_parameters.imgsize": 16, "hyper_parameters.channels": 3}
    config["runner.infer_reader_path"] = "mini_imagenet_reader"
    photographs = np.random.default_rng(0).integers(0, 256, (1, 8, 3, 16, 16), np.uint8)
    labels = paddle.to_tensor(np.tile(np.arange(4), (1, 2)))
    x = paddle.to_tensor(photographs.astype("float32") / 255)
    model_class = DygraphModel()
    model = model_class.create_model(config)
    (episode,) = model_class.episodes(model, [x, labels, x, labels], config)
    assert np.array_equal(episode.support_x, photographs[0].transpose(0, 2, 3, 1))
    assert np.array_equal(episode.query_x, episode.support_x)


def test_the_model_is_left_as_it_was(model, batch):
    before = [p.numpy().copy() for p in model.parameters()]
    next(DygraphModel().episodes(model, batch, CONFIG))
    assert all(np.array_equal(p.numpy(), b) for p, b in zip(model.parameters(), before))


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "4-way 1-shot: second-order MAML on Conv4"),
        ({"order": 1}, "4-way 1-shot: first-order MAML on Conv4"),
        ({"algorithm": "fomaml", "k_spt": 5}, "4-way 5-shot: first-order MAML on Conv4"),
        ({"network": "mlp"}, "4-way 1-shot: second-order MAML on MLP"),
    ],
)
def test_the_title_says_what_is_trained(changes, title):
    changed = {f"hyper_parameters.{name}": value for name, value in changes.items()}
    assert DygraphModel().title({**CONFIG, **changed}) == title
