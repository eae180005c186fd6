"""The algorithm that a configuration names."""

from __future__ import annotations

from net import create_net
from paddle import nn
from paddle_maml import MAML
from paddle_maml.settings import Settings
from problems import PROBLEMS


def create_algorithm(setting: Settings, task_chunk: int | None = None) -> nn.Layer:
    """A layer over the network of the hyper-parameters, with these methods of `MAML`:

    - `forward(support_x, support_y, query_x, query_y)`: the loss that training lowers, and logits
    - `path_logits(support_x, support_y, query_x, steps)`: what a meta-test measures
    - `path(support_x, support_y, steps)` and `adapt(support_x, support_y, steps)`: learners
    """
    return ALGORITHMS[setting.algorithm](create_net(setting), setting, task_chunk)


def algorithm_title(setting: Settings) -> str:
    """The algorithm in words."""
    if setting.algorithm == "fine_tune":
        return "fine-tuning"
    return f"{'second' if setting.order == 2 else 'first'}-order MAML"


def maml(net, setting, task_chunk):
    return MAML(net, **_inner_loop(setting), task_chunk=task_chunk)


def fine_tune(net, setting, task_chunk):
    """The paper's baseline: trained on the queries of all tasks alike, adapted in the test only."""
    return MAML(net, **{**_inner_loop(setting), "inner_steps": 0}, task_chunk=task_chunk)


def _inner_loop(setting):
    return {
        "loss": PROBLEMS[setting.loss].loss,
        "inner_lr": setting.base_optimizer__learning_rate,
        "inner_steps": setting.update_step,
        "order": setting.order,
    }


ALGORITHMS = {"maml": maml, "fomaml": maml, "fine_tune": fine_tune}
