"""A network to leave Paddle's Python with: the meta-trained one, or one adapted to new classes."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import paddle
from net import create_net
from paddle_maml import Learner
from paddle_maml.errors import UserError
from paddle_maml.functional import trainable
from paddle_maml.image_classes import load_image_classes
from paddle_maml.pixel_scale import PixelScale
from paddle_maml.settings import Settings

_RUNNING = "the running statistics of the training"


class Deployment(NamedTuple):
    """What `tools/to_static.py` writes.

    `layer` is in evaluation mode and takes what `input_spec` says; `description` goes into
    `infer_cfg.yml` beside it.
    """

    layer: paddle.nn.Layer
    input_spec: list
    description: dict


def network(model: paddle.nn.Layer, setting: Settings, scale: PixelScale) -> Deployment:
    """The network as it was meta-trained, to be adapted or measured elsewhere.

    Of MAML it belongs to no task whose images could fix its batch norm, which goes by the batch at
    hand. Of an algorithm that makes do with features, it gives those.
    """
    if setting.embeds:
        layer = copy.deepcopy(model.embedding)
        layer.eval()
        return _deployment(layer, setting, scale, {"batch_norm": _RUNNING, "output": "features"})
    layer = _inferable(Learner(model.net, trainable(model.net)), setting).standalone()
    return _deployment(layer, setting, scale, {"batch_norm": "the batch at hand"})


def regressor(model: paddle.nn.Layer, setting: Settings, support: str | None) -> Deployment:
    """The network of a regression as it was meta-trained: points (point, 1 or 3) to (point, 1).

    Raises
    ------
    UserError
        If there is a `support`: adapting to images is for classes.
    """
    if support is not None:
        raise UserError(
            "--support adapts to images of classes, but hyper_parameters.loss is mse: leave it out."
        )
    inputs = ["x", "amplitude", "phase"] if setting.oracle else ["x"]
    spec = [paddle.static.InputSpec([None, len(inputs)], "float32", "points")]
    layer = Learner(model.net, trainable(model.net)).standalone()
    return Deployment(layer, spec, {"inputs": inputs, "batch_norm": "none"})


def classifier(
    model: paddle.nn.Layer, setting: Settings, scale: PixelScale, directory: str, steps: int
) -> Deployment:
    """What the algorithm makes of a few images of each class.

    Of MAML that is the network after `steps` inner steps, its batch norm fixed to the statistics of
    the support images, so that what it says of an image does not depend on the others of the batch.

    Parameters
    ----------
    model : paddle.nn.Layer
        As `create_algorithm` makes it.
    setting : Settings
        Those that `model` was made by.
    scale : PixelScale
        That of the images which `model` was trained on.
    directory : str
        The support set: a folder of images per class. MAML's network tells `n_way` apart, the other
        algorithms as many as there are.
    steps : int
        Inner steps, where the algorithm takes any.

    Raises
    ------
    UserError
        If the network was not trained for that number of classes, or an image cannot be read.
    """
    support = load_image_classes(directory, setting.imgsize, setting.channels)
    if not setting.embeds and len(support) != setting.n_way:
        raise UserError(
            f"{directory} has {len(support)} classes but the network tells "
            f"hyper_parameters.n_way = {setting.n_way} apart: add or remove class folders, or "
            f"train with n_way: {len(support)}."
        )
    shots = np.diff(support.starts)
    support_x = paddle.to_tensor(scale.values(support.images))
    support_y = paddle.to_tensor(np.repeat(np.arange(len(support)), shots))
    adapted = model.adapt(support_x, support_y, steps)
    adapted = adapted if setting.embeds else _inferable(adapted, setting)
    description = {
        "batch_norm": _RUNNING if setting.embeds else "fixed to the support images",
        "classes": list(support.names),
        "support_images": shots.tolist(),
    }
    if not setting.compares:
        description["inner_steps"] = steps
    return _deployment(adapted.standalone(support_x), setting, scale, description)


def _inferable(learner: Learner, setting: Settings) -> Learner:
    """The same learner on channels-first images: Paddle Inference fails on channels-last ones."""
    return Learner(create_net(setting, channels_last=False), learner.parameters)


def _deployment(layer, setting, scale, description):
    side, channels = setting.imgsize, setting.channels
    spec = [paddle.static.InputSpec([None, channels, side, side], "float32", "image")]
    image = {"side": side, "channels": channels, **scale._asdict()}
    return Deployment(layer, spec, {"image": image, **description})
