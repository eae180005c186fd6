"""Few-shot tasks from Omniglot, or from any folder of drawings, grey or in colour."""

from __future__ import annotations

from paddle_maml.image_dataset import ImageDataset
from paddle_maml.pixel_scale import INK


class RecDataset(ImageDataset):
    """Yields tasks as lists [support_x, support_y, query_x, query_y]: ink 1 and paper 0."""

    scale = INK
