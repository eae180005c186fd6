"""A network to leave Paddle's Python with: the meta-trained one, or one adapted to new classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
from net import create_net
from paddle_maml import MAML, Learner
from paddle_maml.errors import UserError
from paddle_maml.functional import trainable
from paddle_maml.image_classes import load_image_classes
from paddle_maml.pixel_scale import PixelScale
from paddle_maml.settings import Settings


class Deployment(NamedTuple):
    """What `tools/to_static.py` writes.

    `layer` is in evaluation mode and takes what `input_spec` says; `description` goes into
    `infer_cfg.yml` beside it.
    """

    layer: paddle.nn.Layer
    input_spec: list
    description: dict


def network(maml: MAML, setting: Settings, scale: PixelScale) -> Deployment:
    """The network as it was meta-trained, to be adapted or measured elsewhere.

    It belongs to no task whose images could fix its batch norm, which goes by the batch at hand.
    """
    layer = _inferable(Learner(maml.net, trainable(maml.net)), setting).standalone()
    return _deployment(layer, setting, scale, {"batch_norm": "the batch at hand"})


def classifier(
    maml: MAML, setting: Settings, scale: PixelScale, directory: str, steps: int
) -> Deployment:
    """The network after `steps` inner steps on a few images of each class.

    Its batch norm is fixed to the statistics of the support images, so that what it says of an
    image does not depend on the others of the batch.

    Parameters
    ----------
    maml : MAML
    setting : Settings
        Those that `maml` was made by.
    scale : PixelScale
        That of the images which `maml` was trained on.
    directory : str
        The support set: a folder of images per class, as many as the network tells apart.
    steps : int
        Inner steps.

    Raises
    ------
    UserError
        If the network was not trained for that number of classes, or an image cannot be read.
    """
    support = load_image_classes(directory, setting.imgsize, setting.channels)
    if len(support) != setting.n_way:
        raise UserError(
            f"{directory} has {len(support)} classes but the network tells "
            f"hyper_parameters.n_way = {setting.n_way} apart: add or remove class folders, or "
            f"train with n_way: {len(support)}."
        )
    shots = np.diff(support.starts)
    support_x = paddle.to_tensor(scale.values(support.images))
    support_y = paddle.to_tensor(np.repeat(np.arange(len(support)), shots))
    adapted = maml.adapt(support_x, support_y, steps)
    return _deployment(
        _inferable(adapted, setting).standalone(support_x),
        setting,
        scale,
        {
            "batch_norm": "fixed to the support images",
            "classes": list(support.names),
            "support_images": shots.tolist(),
            "inner_steps": steps,
        },
    )


def _inferable(learner: Learner, setting: Settings) -> Learner:
    """The same learner on channels-first images: Paddle Inference fails on channels-last ones."""
    return Learner(create_net(setting, channels_last=False), learner.parameters)


def _deployment(layer, setting, scale, description):
    side, channels = setting.imgsize, setting.channels
    spec = [paddle.static.InputSpec([None, channels, side, side], "float32", "image")]
    image = {"side": side, "channels": channels, **scale._asdict()}
    return Deployment(layer, spec, {"image": image, **description})
