"""learn2learn's MAML around an ordinary module: `clone`, `adapt`, backward per task."""

import sys
import types

import torch
import torch.nn.functional as F
from torch import nn

from peers.in_torch import begin, meta_step

# Parts of the package that its MAML does not use and that want many more packages.
for part in ("data", "gym", "text", "vision"):
    sys.modules[f"learn2learn.{part}"] = types.ModuleType(f"learn2learn.{part}")
from learn2learn.algorithms import MAML  # noqa: E402


def build(job, parameters, tasks):
    setting, batch = job.setting, begin(job, tasks)
    net = conv4(setting).to(batch[0].dtype)
    own = list(net.parameters())
    with torch.no_grad():
        for parameter, value in zip(own, parameters):
            parameter.copy_(
                torch.from_numpy(value).T if value.ndim == 2 else torch.from_numpy(value)
            )
    maml = MAML(net, lr=setting.inner_lr, first_order=setting.order == 1)

    def gradients():
        net.zero_grad()
        for support_x, support_y, query_x, query_y in zip(*batch):
            learner = maml.clone()
            for _ in range(setting.inner_steps):
                learner.adapt(F.cross_entropy(learner(support_x), support_y))
            F.cross_entropy(learner(query_x), query_y).backward()
        return [p.grad for p in own]

    return meta_step(job, own, gradients)


def conv4(setting):
    layers, channels = [], setting.channels
    for _ in range(4):
        stride = 1 if setting.pool else 2
        layers += [
            nn.Conv2d(channels, setting.filters, 3, stride, padding=1, bias=False),
            ChannelsLast(),
            nn.BatchNorm2d(setting.filters, track_running_stats=False),
            nn.ReLU(),
            *([nn.MaxPool2d(2)] if setting.pool else []),
        ]
        channels = setting.filters
    if not setting.pool:
        layers.append(nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(setting.features, setting.way))


class ChannelsLast(nn.Module):
    """The faster order of memory, from block 0 on."""

    def forward(self, x):
        return x.contiguous(memory_format=torch.channels_last)


def canonical(gradients):
    """The gradients as numpy arrays in the shapes of `job.parameters`."""
    return [g.numpy().T if g.ndim == 2 else g.numpy() for g in gradients]
