"""The algorithm that a configuration names."""

from __future__ import annotations

from paddle import nn
from paddle_maml import (
    ANIL,
    BOIL,
    MAML,
    ClipByNorm,
    ClipByValue,
    FineTune,
    MAMLPlusPlus,
    MatchingNet,
    MetaSGD,
    NearestNeighbor,
    ProtoNet,
    Reptile,
    Siamese,
)
from paddle_maml.settings import Settings
from problems import PROBLEMS


def create_algorithm(net: nn.Layer, setting: Settings, **computing) -> nn.Layer:
    """A layer over a network for the hyper-parameters, with these methods of `MAML`:

    - `forward(support_x, support_y, query_x, query_y)`: the loss that training lowers, and logits
    - `path_logits(support_x, support_y, query_x, steps)`: what a meta-test measures
    - `path(support_x, support_y, steps)` and `adapt(support_x, support_y, steps)`: learners

    Where `setting.pretrains`, `forward` also takes the numbers of the tasks' classes.

    `computing` is how those compute that are a `MAML`: its `task_chunk` and `amp`.
    """
    return ALGORITHMS[setting.algorithm](net, setting, **computing)


def algorithm_title(setting: Settings) -> str:
    """The algorithm in words."""
    title = TITLES[setting.algorithm]
    order = "second" if setting.order == 2 else "first"
    return f"{order}-order {title}" if _ordered(setting) else title


def adaptation(setting: Settings) -> dict:
    """What a summary says of how a meta-test adapts to its tasks."""
    order = {"order": setting.order} if _ordered(setting) else {}
    inner_lr = setting.base_optimizer__learning_rate
    steps = {"steps": setting.update_step_test, "inner_lr": inner_lr}
    return {} if setting.compares else {**steps, **order}


def of_maml(kind):
    """What makes an algorithm that takes the same settings as MAML."""

    def create(net, setting, **computing):
        return kind(net, **_inner_loop(setting), order=setting.order, **computing)

    return create


def maml_pp(net, setting, **computing):
    return MAMLPlusPlus(
        net,
        **_inner_loop(setting),
        order=setting.order,
        multi_step_epochs=setting.maml_pp__multi_step_epochs,
        first_order_epochs=setting.maml_pp__first_order_epochs,
        **computing,
    )


def reptile(net, setting, **computing):
    return Reptile(net, **_inner_loop(setting), **computing)


def fine_tune(net, setting, **computing):
    """The paper's baseline: trained on all tasks alike, adapted in the test only."""
    if setting.pretrains:
        inner_lr, clip = setting.base_optimizer__learning_rate, inner_clip(setting)
        return FineTune(net, net.width, setting.pretrain_classes, inner_lr, inner_clip=clip)
    return MAML(net, **{**_inner_loop(setting), "inner_steps": 0}, **computing)


def nearest_neighbor(net, setting, **computing):
    return NearestNeighbor(net, net.width, setting.pretrain_classes)


def proto_net(net, setting, **computing):
    return ProtoNet(net)


def matching_net(net, setting, **computing):
    return MatchingNet(net)


def siamese(net, setting, **computing):
    return Siamese(net, net.width)


def inner_clip(setting: Settings) -> ClipByValue | ClipByNorm | None:
    """What cuts the inner gradients."""
    value, norm = setting.base_optimizer__clip, setting.base_optimizer__clip_norm
    if value is not None:
        return ClipByValue(value)
    return None if norm is None else ClipByNorm(norm)


def _ordered(setting):
    """Whether there is an inner gradient to differentiate through, or not to."""
    return not setting.compares and setting.algorithm not in ("reptile", "fine_tune")


def _inner_loop(setting):
    return {
        "loss": PROBLEMS[setting.loss].loss,
        "inner_lr": setting.base_optimizer__learning_rate,
        "inner_steps": setting.update_step,
        "inner_clip": inner_clip(setting),
    }


ALGORITHMS = {
    "maml": of_maml(MAML),
    "fomaml": of_maml(MAML),
    "anil": of_maml(ANIL),
    "boil": of_maml(BOIL),
    "meta_sgd": of_maml(MetaSGD),
    "maml_pp": maml_pp,
    "reptile": reptile,
    "proto_net": proto_net,
    "matching_net": matching_net,
    "siamese": siamese,
    "fine_tune": fine_tune,
    "nearest_neighbor": nearest_neighbor,
}
TITLES = {
    "maml": "MAML",
    "fomaml": "MAML",
    "anil": "ANIL",
    "boil": "BOIL",
    "meta_sgd": "Meta-SGD",
    "maml_pp": "MAML++",
    "reptile": "Reptile",
    "proto_net": "prototypical networks",
    "matching_net": "matching networks",
    "siamese": "siamese networks",
    "fine_tune": "fine-tuning",
    "nearest_neighbor": "nearest neighbours",
}
