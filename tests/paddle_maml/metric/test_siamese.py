"""Siamese networks against their equation in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from few_shot import WAY, WIDTH, arrays, assert_gradient, embedding, tensors
from paddle_maml import Siamese


def similarities(weight, alpha, beta) -> np.ndarray:
    """Of queries and support examples, before the sigmoid: (task, query, example)."""
    return np.array(
        [
            [[np.abs((x - s) @ weight) @ alpha + beta for s in support_x] for x in query_x]
            for support_x, _, query_x, _ in zip(*arrays())
        ]
    )


def pair_loss(similarities) -> float:
    """Minus the mean log-likelihood, of the pairs of one class and of two, half each."""
    same, different = [], []
    _, support_y, _, query_y = arrays()
    for task, of_queries in enumerate(similarities):
        for query, of_pairs in enumerate(of_queries):
            for example, similarity in enumerate(of_pairs):
                p = 1 / (1 + np.exp(-similarity))
                if query_y[task, query] == support_y[task, example]:
                    same.append(-np.log(p))
                else:
                    different.append(-np.log(1 - p))
    return np.mean(same) / 2 + np.mean(different) / 2


@pytest.fixture
def siamese():
    return Siamese(embedding(), WIDTH).to(dtype="float64")


def values(siamese):
    head = siamese.similarity
    return siamese.embedding.weight.numpy(), head.weight.numpy()[:, 0], head.bias.item()


def test_a_class_is_as_similar_as_its_most_similar_example(siamese):
    _, found = siamese(*tensors())
    support_y = arrays()[1]
    of_pairs = similarities(*values(siamese))
    for task, labels in enumerate(support_y):
        of_classes = [of_pairs[task][:, labels == c].max(1) for c in range(WAY)]
        np.testing.assert_allclose(found[task].numpy(), np.stack(of_classes, 1), rtol=1e-9)


def test_loss_and_gradient(siamese):
    loss, _ = siamese(*tensors())
    loss.backward()
    weight, alpha, beta = values(siamese)
    np.testing.assert_allclose(float(loss), pair_loss(similarities(weight, alpha, beta)), rtol=1e-9)
    assert_gradient(siamese.embedding.weight, lambda w: pair_loss(similarities(w, alpha, beta)))
    head = siamese.similarity
    assert_gradient(head.weight, lambda a: pair_loss(similarities(weight, a[:, 0], beta)))
    assert_gradient(head.bias, lambda b: pair_loss(similarities(weight, alpha, b[0])))
