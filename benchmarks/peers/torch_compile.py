"""PyTorch, `torch.compile` of a task's gradient as `torch.func` gives it, in a loop over tasks.

A compiled function cannot be differentiated twice, so what is compiled holds all derivatives.
"""

import torch
from torch.func import grad

from peers.in_torch import begin, canonical, meta_step
from peers.torch_func import query_loss

__all__ = ["build", "canonical"]


def build(job, parameters, tasks):
    batch = begin(job, tasks)
    theta = tuple(torch.from_numpy(p) for p in parameters)

    @torch.no_grad()
    def task_gradient(theta, *task):
        return grad(lambda theta: query_loss(job.setting, theta, *task, pool=pooled))(theta)

    compiled = torch.compile(task_gradient, dynamic=False, fullgraph=True)

    def gradients():
        total = None
        for task in zip(*batch):
            found = compiled(theta, *task)
            total = found if total is None else [t + g for t, g in zip(total, found)]
        return total

    return meta_step(job, theta, gradients)


def pooled(x, size):
    """Max-pooling out of selects, which fuse."""
    height, width = (size * (side // size) for side in x.shape[-2:])
    corners = [x[..., i:height:size, j:width:size] for i in range(size) for j in range(size)]
    best = corners[0]
    for corner in corners[1:]:
        best = torch.where(best >= corner, best, corner)
    return best
