"""What holds for every method that compares, with batch norm in the embedding."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from few_shot import LONG, TASKS, WAY, WIDTH, tensors
from paddle import nn
from paddle_maml import FineTune, MatchingNet, NearestNeighbor, ProtoNet, Siamese

METHODS = {
    "proto_net": ProtoNet,
    "matching_net": MatchingNet,
    "siamese": lambda embedding: Siamese(embedding, WIDTH),
    "nearest_neighbor": lambda embedding: NearestNeighbor(embedding, WIDTH, classes=9),
    "fine_tune": lambda embedding: FineTune(embedding, WIDTH, classes=9, inner_lr=0.5),
}


@pytest.fixture(params=METHODS)
def method(request):
    """Trained for a step, so that its running statistics are some, and still in training."""
    paddle.seed(0)
    embedding = nn.Sequential(nn.Linear(LONG, WIDTH), nn.BatchNorm1D(WIDTH, momentum=0.5))
    method = METHODS[request.param](embedding).to(dtype="float64")
    classes = (
        [paddle.to_tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]])] if hasattr(method, "head") else []
    )
    loss, _ = method(*tensors(1), *classes)
    loss.backward()
    assert all(p.grad is not None for p in method.parameters() if not p.stop_gradient)
    return method


def state(method):
    return {name: value.numpy() for name, value in method.state_dict().items()}


def test_training_normalises_all_examples_together_and_keeps_running_statistics(method):
    linear, norm = method.embedding
    support_x, _, query_x, _ = tensors(1)
    x = linear(paddle.concat([support_x, query_x], 1)).reshape([-1, WIDTH]).numpy()
    np.testing.assert_allclose(norm._mean.numpy(), 0.5 * x.mean(0), rtol=1e-9)


def test_a_prediction_depends_on_no_other_query(method):
    support_x, support_y, query_x, _ = (part[0] for part in tensors())
    learner = method.adapt(support_x, support_y, 3)
    one_by_one = [learner(x.unsqueeze(0)).numpy()[0] for x in query_x]
    np.testing.assert_allclose(learner(query_x).numpy(), one_by_one, rtol=1e-9)


def test_predicting_changes_neither_parameters_nor_statistics_nor_mode(method):
    before = state(method)
    support_x, support_y, query_x, _ = tensors()
    method.path_logits(support_x, support_y, query_x, 2)
    method.adapt(support_x[0], support_y[0], 2)(query_x[0])
    method.embedding[0].eval()
    method.adapt(support_x[0], support_y[0], 2)
    assert method.training and method.embedding[1].training and not method.embedding[0].training
    assert all(np.array_equal(value, before[name]) for name, value in state(method).items())


def test_the_last_of_the_path_is_what_adapt_gives(method):
    support_x, support_y, query_x, _ = tensors()
    found = method.path_logits(support_x, support_y, query_x, 2).numpy()
    assert found.shape[1:] == (TASKS, query_x.shape[1], WAY)
    assert len(found) == len(method.path(support_x[0], support_y[0], 2))
    for task in range(TASKS):
        expected = method.adapt(support_x[task], support_y[task], 2)(query_x[task])
        np.testing.assert_allclose(found[-1, task], expected.numpy(), rtol=1e-9)


def test_other_labels_for_the_classes_give_the_same_logits_in_another_order(method):
    support_x, support_y, query_x, _ = (part[0] for part in tensors())
    order = paddle.to_tensor([2, 0, 1])
    expected = method.adapt(support_x, support_y, 2)(query_x).numpy()
    found = method.adapt(support_x, order.gather(support_y), 2)(query_x).numpy()
    np.testing.assert_allclose(found[:, order.numpy()], expected, rtol=1e-9)


def test_a_learner_answers_the_same_whatever_becomes_of_the_method(method):
    support_x, support_y, query_x, _ = (part[0] for part in tensors())
    learners = method.adapt(support_x, support_y, 2), method.path(support_x, support_y, 2)[-1]
    expected = [learner(query_x).numpy() for learner in learners]
    for value in method.state_dict().values():  # running statistics, too
        value.set_value(value + 1)
    for learner, before in zip(learners, expected):
        np.testing.assert_array_equal(learner(query_x).numpy(), before)


def test_standalone_answers_the_same_whatever_becomes_of_the_method(method):
    support_x, support_y, query_x, _ = (part[0] for part in tensors())
    learner = method.adapt(support_x, support_y, 2)
    expected, layer = learner(query_x).numpy(), learner.standalone(support_x)
    for parameter in method.parameters():
        parameter.set_value(parameter + 1)
    np.testing.assert_allclose(layer(query_x).numpy(), expected, rtol=1e-9)
