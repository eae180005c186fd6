"""The algorithm that a configuration names."""

from __future__ import annotations

from net import create_net
from paddle import nn
from paddle_maml import MAML
from paddle_maml.settings import Settings


def create_algorithm(setting: Settings, task_chunk: int | None = None) -> nn.Layer:
    """A layer over the network of the hyper-parameters, with these methods of `MAML`:

    - `forward(support_x, support_y, query_x, query_y)`: the loss that training lowers, and logits
    - `path_logits(support_x, support_y, query_x, steps)`: what a meta-test measures
    - `path(support_x, support_y, steps)` and `adapt(support_x, support_y, steps)`: learners
    """
    return ALGORITHMS[setting.algorithm](create_net(setting), setting, task_chunk)


def maml(net, setting, task_chunk):
    return MAML(net, **_inner_loop(setting), task_chunk=task_chunk)


def _inner_loop(setting):
    return {
        "inner_lr": setting.base_optimizer__learning_rate,
        "inner_steps": setting.update_step,
        "order": setting.order,
    }


ALGORITHMS = {"maml": maml, "fomaml": maml}
