"""A network of the user's own, by its name in the configuration."""

from __future__ import annotations

import importlib
import inspect
import sys

import paddle
from paddle import nn
from paddle_maml import MAML
from paddle_maml.dry_run import dry_run
from paddle_maml.errors import UserError
from paddle_maml.obstacles import refuse_impossible
from paddle_maml.operators import once_differentiable
from paddle_maml.settings import Settings


def create_own(setting: Settings, directory: str | None = None) -> nn.Layer:
    """What the callable that `hyper_parameters.network` names, MODULE.NAME, makes.

    Parameters
    ----------
    setting : Settings
        The callable gets its `n_way`, `channels` and `imgsize` by these names.
    directory : str, optional
        Where the module may lie beside the model directory: that of the configuration.

    Returns
    -------
    paddle.nn.Layer
        Images (N, channels, imgsize, imgsize) -> logits (N, n_way).

    Raises
    ------
    UserError
        If there is no such module or name in it, or it does not make such a network.
    """
    key, known = _key(setting), _known(setting)
    create = _named(setting, directory)
    try:
        inspect.signature(create).bind(**known)
    except TypeError as error:
        raise UserError(f"{key} is called with {', '.join(known)}: {error}.") from error
    net = create(**known)
    if not isinstance(net, nn.Layer):
        raise UserError(f"{key} makes a {type(net).__name__}: it has to return a paddle.nn.Layer.")
    _check_outputs(net, setting)
    return net


def refuse_impossible_own(model: MAML, setting: Settings) -> None:
    """Refuse a network of which an inner step cannot be differentiated, before it is trained."""
    try:
        refuse_impossible(model, _images(setting, setting.n_way), paddle.arange(setting.n_way))
    except NotImplementedError as error:
        raise UserError(f"{_key(setting)}: {error}") from error


def _named(setting, directory):
    if directory and directory not in sys.path:
        sys.path.append(directory)  # to stay: the network may import from there when it runs
    module_name, _, name = setting.network.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UserError(
            f"{_key(setting)}: there is no module {module_name} in the model directory"
            f"{f' or in {directory}' if directory else ''}: correct the name."
        ) from error
    if not callable(getattr(module, name, None)):
        file = getattr(module, "__file__", None) or module_name
        raise UserError(f"{_key(setting)}: {file} has no function or class {name}: correct it.")
    return getattr(module, name)


def _check_outputs(net, setting):
    images = setting.n_way + 1
    with dry_run(net), paddle.no_grad(), once_differentiable():
        outputs = net(_images(setting, images))
    found, wanted = f"a {type(outputs).__name__}", [images, setting.n_way]
    if isinstance(outputs, paddle.Tensor):
        if list(outputs.shape) == wanted:
            return
        found = f"outputs of shape {list(outputs.shape)}"
    raise UserError(
        f"{_key(setting)} gives {found} for {images} images: it has to give logits of shape "
        f"{wanted}, one for each of hyper_parameters.n_way classes."
    )


def _images(setting, number):
    return paddle.zeros([number, setting.channels, setting.imgsize, setting.imgsize])


def _known(setting):
    return {key: getattr(setting, key) for key in ("n_way", "channels", "imgsize")}


def _key(setting):
    return f"hyper_parameters.network = {setting.network}"
