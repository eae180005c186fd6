"""A task to look at, and what is predicted of its queries before and after adapting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from paddle_maml.pixel_scale import PixelScale


class AdaptedEpisode(NamedTuple):
    """One task and its predictions.

    Images are uint8 (examples, side, side, 1 or 3), labels int64 (examples,). `before` and `after`
    are float32 (queries, way): the probability of each class before the first inner step and after
    the last one; `before` is None if there were no steps.
    """

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray
    before: np.ndarray | None
    after: np.ndarray


def adapted_episode(
    maml, support_x, support_y, query_x, query_y, steps: int, scale: PixelScale
) -> AdaptedEpisode:
    """Adapt `maml` to one task of the reader in `steps` inner steps and classify its queries.

    `scale` is the reader's, to see its images by.
    """
    learners = maml.path(support_x, support_y, steps)
    before, after = (learner.predict(query_x) for learner in (learners[0], learners[-1]))
    before = before if len(learners) > 1 else None
    support, query = (scale.pixels(x.numpy()).transpose(0, 2, 3, 1) for x in (support_x, query_x))
    return AdaptedEpisode(support, support_y.numpy(), query, query_y.numpy(), before, after)


class AdaptedCurves(NamedTuple):
    """One regression task of a single variable, and its predictions.

    All float32: the support points (examples,), the queries (queries,) in the order of their x, and
    of them `predictions` (len(steps), queries), after the numbers of inner steps in `steps`.
    """

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray
    steps: tuple[int, ...]
    predictions: np.ndarray


def adapted_curves(maml, support_x, support_y, query_x, query_y, steps: int) -> AdaptedCurves:
    """Adapt `maml` to one task of the reader; predict before and after the first and last step."""
    learners = maml.path(support_x, support_y, steps)
    shown = tuple(sorted({0, min(1, steps), steps}))
    in_order = np.argsort(query_x[:, 0].numpy())
    predictions = [learners[step](query_x)[:, 0].numpy()[in_order] for step in shown]
    return AdaptedCurves(
        support_x[:, 0].numpy(),
        support_y[:, 0].numpy(),
        query_x[:, 0].numpy()[in_order],
        query_y[:, 0].numpy()[in_order],
        shown,
        np.stack(predictions),
    )
