"""A network to leave Paddle's Python with: the meta-trained one, or one adapted to new classes."""

from __future__ import annotations

import copy
import os
from typing import NamedTuple

import numpy as np
import paddle
from paddle_maml import Learner
from paddle_maml.batch_statistics import normalisation
from paddle_maml.errors import UserError
from paddle_maml.exported import Export
from paddle_maml.functional import trainable
from paddle_maml.image_classes import ImageClasses
from paddle_maml.image_directory import load_image_classes
from paddle_maml.image_files import image_names
from paddle_maml.pixel_scale import PixelScale
from paddle_maml.settings import Settings


def network(model: paddle.nn.Layer, setting: Settings, scale: PixelScale) -> Export:
    """The network as it was meta-trained, to be adapted or measured elsewhere.

    Of MAML it belongs to no task whose images could fix its batch norm, which goes by the batch at
    hand. Of an algorithm that makes do with features, it gives those.
    """
    side, channels, fit = setting.form
    spec = [paddle.static.InputSpec([None, channels, side, side], "float32", "image")]
    description = {"image": {"side": side, "channels": channels, "fit": fit, **scale._asdict()}}
    if setting.embeds:
        layer = copy.deepcopy(model.embedding)
        layer.eval()
        description["output"] = "features"
    else:
        layer = Learner(model.net, trainable(model.net)).standalone()
    return Export(layer, spec, {**description, "batch_norm": normalisation(layer)})


def regressor(model: paddle.nn.Layer, setting: Settings) -> Export:
    """The network of a regression as it was meta-trained: points (point, 1 or 3) to (point, 1)."""
    inputs = ["x", "amplitude", "phase"] if setting.oracle else ["x"]
    spec = [paddle.static.InputSpec([None, len(inputs)], "float32", "points")]
    layer = Learner(model.net, trainable(model.net)).standalone()
    return Export(layer, spec, {"inputs": inputs, "batch_norm": normalisation(layer)})


class AdaptedTask(NamedTuple):
    """What the algorithm makes of a few images of each class.

    `learner` is adapted to the images of `support`, which are uint8 as read from files, made
    numbers by `scale`; `fit` is how those that are not square were made so. `steps` is the number
    of inner steps, None where the algorithm takes none.
    """

    learner: Learner
    support: ImageClasses
    fit: str
    scale: PixelScale
    steps: int | None

    @property
    def support_x(self) -> np.ndarray:
        """The support images as the learner takes them."""
        return self.scale.values(self.support.images)

    @property
    def form(self) -> tuple[int, int, str]:
        """Side, channels and fit of the images."""
        channels, side, _ = self.support.images.shape[1:]
        return side, channels, self.fit

    def export(self) -> Export:
        """The learner as a classifier; see its `save`."""
        support = self.support
        export = self.learner.export(self.support_x, support.names, self.scale, self.fit)
        noted = {"support_images": np.diff(support.starts).tolist()}
        if self.steps is not None:
            noted["inner_steps"] = self.steps
        return export._replace(description={**export.description, **noted})


def adapt(
    model: paddle.nn.Layer, setting: Settings, scale: PixelScale, directory: str, steps: int | None
) -> AdaptedTask:
    """Adapt the algorithm to a few images of each class.

    Parameters
    ----------
    model : paddle.nn.Layer
        As `create_algorithm` makes it.
    setting : Settings
        Those that `model` was made by.
    scale : PixelScale
        That of the images which `model` was trained on.
    directory : str
        The support set: a folder of images per class, 2 or more. Networks of MAML's family tell
        up to `n_way` apart, those of the other algorithms any number.
    steps : int or None
        Inner steps; `update_step_test` if not given.

    Raises
    ------
    UserError
        If there is one class, or there are more than the network tells apart, an image cannot be
        read or lies in no class folder, or the algorithm is one for regression or takes no steps.
    """
    if setting.loss == "mse":
        raise UserError(
            "--support adapts to images of classes, but hyper_parameters.loss is mse: use the "
            "configuration of a classification."
        )
    if setting.compares and steps is not None:
        raise UserError(f"{setting.algorithm} takes no inner steps: leave the number of steps out.")
    if not setting.compares and steps is None:
        steps = setting.update_step_test
    support = load_support(directory, setting)
    support_x = paddle.to_tensor(scale.values(support.images))
    support_y = paddle.to_tensor(np.repeat(np.arange(len(support)), np.diff(support.starts)))
    learner = model.adapt(support_x, support_y, steps)
    if not setting.embeds and len(support) < setting.n_way:
        learner = learner.first(len(support))
    return AdaptedTask(learner, support, setting.fit, scale, steps)


def load_support(directory: str, setting: Settings) -> ImageClasses:
    """The classes in a directory, as many as there can be."""
    support = load_image_classes(directory, *setting.form)
    stray = image_names(os.listdir(directory))
    if stray:
        raise UserError(
            f"{directory}/{stray[0]} lies in no class folder: move it into that of its class."
        )
    if len(support) < 2:
        raise UserError(
            f"{directory} has only the class {support.names[0]}: add a folder of another class."
        )
    if not setting.embeds and len(support) > setting.n_way:
        raise UserError(
            f"{directory} has {len(support)} classes but the network tells "
            f"hyper_parameters.n_way = {setting.n_way} apart: remove class folders, or train with "
            f"n_way: {len(support)}."
        )
    return support
