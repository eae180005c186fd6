"""Features of queries against those of a support set."""

from __future__ import annotations

import paddle


def members(labels, dtype="float32"):
    """Which class an example is of: (..., example) int64 -> (..., example, way), 1 or 0.

    There are as many classes as the largest label says.
    """
    return paddle.nn.functional.one_hot(labels, int(labels.max()) + 1).astype(dtype)


def differences(query, support):
    """Of each query to each support example: (..., query, example, width)."""
    return query.unsqueeze(-2) - support.unsqueeze(-3)


def highest(similarities, members):
    """Of the similarities to a class's examples the highest: a nearest neighbour's class wins.

    Parameters
    ----------
    similarities : Tensor (..., query, example)
    members : Tensor (..., example, way)

    Returns
    -------
    Tensor (..., query, way)
    """
    of_class = members.unsqueeze(-3) > 0
    candidates = similarities.unsqueeze(-1).expand([*similarities.shape, members.shape[-1]])
    nowhere = paddle.full_like(candidates, float("-inf"))
    return paddle.where(of_class.expand(candidates.shape), candidates, nowhere).max(-2)
