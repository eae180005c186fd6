"""PyTorch, a loop over tasks: `torch.autograd.grad(create_graph=True)` on functional weights."""

import torch
import torch.nn.functional as F

from peers.in_torch import begin, canonical, meta_step

__all__ = ["build", "canonical"]


def build(job, parameters, tasks):
    batch = begin(job, tasks)
    theta = [torch.from_numpy(p).requires_grad_() for p in parameters]

    def gradients():
        total = None
        for support_x, support_y, query_x, query_y in zip(*batch):
            adapted = adapt(job.setting, theta, support_x, support_y)
            loss = F.cross_entropy(conv4(job.setting, adapted, query_x), query_y)
            found = torch.autograd.grad(loss, theta)
            total = found if total is None else [t + g for t, g in zip(total, found)]
        return total

    return meta_step(job, theta, gradients)


def adapt(setting, theta, x, y):
    for _ in range(setting.inner_steps):
        loss = F.cross_entropy(conv4(setting, theta, x), y)
        found = torch.autograd.grad(loss, theta, create_graph=setting.order == 2)
        theta = [p - setting.inner_lr * g for p, g in zip(theta, found)]
    return theta


def conv4(setting, theta, x):
    for block in range(4):
        weight, scale, shift = theta[3 * block : 3 * block + 3]
        x = F.conv2d(x, weight, stride=1 if setting.pool else 2, padding=1)
        x = x.contiguous(memory_format=torch.channels_last)  # the faster order, from block 0 on
        x = F.relu(F.batch_norm(x, None, None, scale, shift, training=True))
        x = F.max_pool2d(x, 2) if setting.pool else x
    x = x.flatten(1) if setting.pool else x.mean((2, 3))
    return x @ theta[12] + theta[13]
