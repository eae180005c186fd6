"""Networks that answer together, against the mean of their probabilities."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from few_shot import log_softmax
from paddle_maml import MAML, Ensemble, MAMLPlusPlus, View


@pytest.fixture
def tasks():
    generator = np.random.default_rng(0)
    support_x, query_x = (generator.normal(size=(4, n, 3)).astype("float32") for n in (6, 5))
    return paddle.to_tensor(support_x), paddle.to_tensor([[0, 0, 1, 1, 2, 2]] * 4), query_x


def test_the_probabilities_are_the_mean_of_the_members(tasks):
    support_x, support_y, query_x = tasks
    members = [MAML(paddle.nn.Linear(3, 3), 0.5), MAMLPlusPlus(paddle.nn.Linear(3, 3), 0.5, 2)]
    found = Ensemble(members).path_logits(support_x, support_y, paddle.to_tensor(query_x), 3)
    each = [
        [m.adapt(x, y, 3)(paddle.to_tensor(q)).numpy() for x, y, q in zip(*tasks)] for m in members
    ]
    expected = np.exp(log_softmax(np.array(each))).mean(0)
    assert found.shape == [4, 4, 5, 3]
    np.testing.assert_allclose(np.exp(log_softmax(found[-1].numpy())), expected, rtol=1e-5)


def test_other_answers_are_joined_as_is_said(tasks):
    support_x, _, query_x = tasks
    targets = support_x.sum(-1, keepdim=True)
    loss = paddle.nn.functional.mse_loss
    members = [MAML(paddle.nn.Linear(3, 1), 0.1, loss=loss) for _ in range(3)]
    sets = support_x, targets, paddle.to_tensor(query_x)
    found = Ensemble(members, lambda outputs: outputs.mean(0)).path_logits(*sets, 2)
    expected = np.mean([m.path_logits(*sets, 2).numpy() for m in members], 0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_all_parameters_are_those_of_the_members():
    members = [MAML(paddle.nn.Linear(3, 2), 0.1) for _ in range(2)]
    ensemble = Ensemble(members)
    assert len(ensemble.parameters()) == 4
    ensemble.eval()
    assert not ensemble.members[0].training


def test_a_view_is_of_support_and_query_images_alike():
    generator = np.random.default_rng(0)
    support_x, query_x = (generator.normal(size=(2, n, 1, 3, 3)).astype("float32") for n in (4, 5))
    support_y = paddle.to_tensor([[0, 0, 1, 1]] * 2)
    maml = MAML(paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(9, 2)), 0.5)
    view = View(maml, 5)  # mirrored, then turned by a quarter
    found = view.path_logits(paddle.to_tensor(support_x), support_y, paddle.to_tensor(query_x), 2)
    for task in range(2):
        sets = (np.rot90(np.flip(x[task], -1), 1, (-2, -1)).copy() for x in (support_x, query_x))
        support, query = map(paddle.to_tensor, sets)
        expected = maml.adapt(support, support_y[task], 2)(query)
        np.testing.assert_allclose(found[2, task].numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
