"""A task to look at: its images, and what is predicted of its queries before and after adapting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle


class AdaptedEpisode(NamedTuple):
    """One task and its predictions.

    Images are uint8 (examples, side, side, 1 or 3), labels int64 (examples,). `before` and `after`
    are float32 (queries, way): the probability of each class before the first inner step and after
    the last one.
    """

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray
    before: np.ndarray
    after: np.ndarray


def adapted_episode(maml, support_x, support_y, query_x, query_y, steps: int) -> AdaptedEpisode:
    """Adapt `maml` to one task of the reader in `steps` inner steps and classify its queries."""
    learners = maml.path(support_x, support_y, steps)
    before, after = (
        paddle.nn.functional.softmax(learner(query_x), -1).numpy()
        for learner in (learners[0], learners[-1])
    )
    return AdaptedEpisode(
        pixels(support_x), support_y.numpy(), pixels(query_x), query_y.numpy(), before, after
    )


def pixels(images) -> np.ndarray:
    """The reader's images, ink 1 and paper 0 and channels first, as uint8 with channels last."""
    return np.rint(255 * (1 - images.numpy())).astype(np.uint8).transpose(0, 2, 3, 1)
