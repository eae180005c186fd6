"""What the page of `tools/demo.py` asks of a meta-trained model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
from paddle_maml.image_directory import to_image
from paddle_maml.image_files import to_uint8
from paddle_maml.pixel_scale import PixelScale
from paddle_maml.settings import Settings
from PIL import Image


class Demonstration(NamedTuple):
    """Classifies pictures by a few examples of each class."""

    model: paddle.nn.Layer  # as `create_algorithm` makes it
    setting: Settings  # those that it was made by
    scale: PixelScale  # that of the images which it was trained on
    title: str  # the experiment in words

    @property
    def classes(self) -> int:
        """How many classes a task of the training had."""
        return self.setting.n_way

    @property
    def most_classes(self) -> int | None:
        """How many it can tell apart; None for any number."""
        return None if self.setting.embeds else self.setting.n_way

    @property
    def steps(self) -> int:
        """How many inner steps are shown."""
        return 0 if self.setting.compares else max(10, self.setting.update_step_test)

    @property
    def default_steps(self) -> int:
        return min(self.steps, self.setting.update_step_test)

    def classify(self, support: list[list[Image.Image]], queries: list[Image.Image]) -> np.ndarray:
        """The probabilities of each query's classes before and after each inner step.

        Batch norm is fixed to the support images, so that what is said of a query depends on it
        alone.

        Returns
        -------
        numpy.ndarray (steps + 1, query, class), float32
        """
        support_x = self._values([image for images in support for image in images])
        labels = np.repeat(np.arange(len(support)), [len(images) for images in support])
        learners = self.model.path(
            paddle.to_tensor(support_x), paddle.to_tensor(labels), self.steps
        )
        if self.most_classes is not None:
            learners = [learner.first(len(support)) for learner in learners]
        query_x = self._values(queries)
        return np.stack([learner.predict(query_x, support_x) for learner in learners])

    def pictures(self, values: np.ndarray) -> list[Image.Image]:
        """The images of a task of the reader, to be looked at."""
        return [to_image(pixels) for pixels in self.scale.pixels(values)]

    def _values(self, pictures):
        pixels = [to_uint8(picture, *self.setting.form) for picture in pictures]
        return self.scale.values(np.stack(pixels))
