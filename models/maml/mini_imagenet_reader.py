"""Few-shot tasks from miniImageNet, or from any folder of photographs."""

from __future__ import annotations

from paddle_maml.image_dataset import ImageDataset
from paddle_maml.pixel_scale import LIGHT


class RecDataset(ImageDataset):
    """Yields tasks as lists [support_x, support_y, query_x, query_y]: black 0 and white 1."""

    scale = LIGHT
    form = {"hyper_parameters.imgsize": 84, "hyper_parameters.channels": 3}
