"""PyTorch, `torch.func`: `vmap` over the tasks of a chunk, a backward per chunk.

`vmap` makes a grouped convolution out of a weight per task: more than two tasks at a time pay where
images shrink from the first layer on.
"""

import torch
import torch.nn.functional as F
from torch.func import grad, vmap

from peers.in_torch import begin, canonical, meta_step

__all__ = ["build", "canonical"]


def build(job, parameters, tasks):
    batch = begin(job, tasks)
    theta = [torch.from_numpy(p).requires_grad_() for p in parameters]
    chunks = list(zip(*(array.split(2 if job.setting.pool else 16) for array in batch)))

    def gradients():
        total = None
        for chunk in chunks:
            losses = vmap(query_loss, (None, None, 0, 0, 0, 0))(job.setting, tuple(theta), *chunk)
            found = torch.autograd.grad(losses.sum(), theta)
            total = found if total is None else [t + g for t, g in zip(total, found)]
        return total

    return meta_step(job, theta, gradients)


def query_loss(setting, theta, support_x, support_y, query_x, query_y, pool=F.max_pool2d):
    """The query loss of one task after adaptation."""
    for _ in range(setting.inner_steps):
        found = grad(loss, 1)(setting, theta, support_x, support_y, pool)
        found = found if setting.order == 2 else [g.detach() for g in found]
        theta = tuple(p - setting.inner_lr * g for p, g in zip(theta, found))
    return loss(setting, theta, query_x, query_y, pool)


def loss(setting, theta, x, y, pool):
    for block in range(4):
        weight, scale, shift = theta[3 * block : 3 * block + 3]
        x = F.conv2d(x, weight, stride=1 if setting.pool else 2, padding=1)
        x = F.relu(normalised(x, scale, shift))
        x = pool(x, 2) if setting.pool else x
    x = x.flatten(1) if setting.pool else x.mean((2, 3))
    return F.cross_entropy(x @ theta[12] + theta[13], y)


def normalised(x, scale, shift):
    """Batch norm, written out: the second derivative of F.batch_norm under vmap is wrong."""
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    factor = scale * torch.rsqrt(variance + 1e-5)
    return x * factor[:, None, None] + (shift - mean * factor)[:, None, None]
