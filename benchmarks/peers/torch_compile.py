"""PyTorch, `torch.compile` of a gradient as `torch.func` gives it.

A compiled function cannot be differentiated twice, so what is compiled holds all derivatives.
Pooled networks go task by task; strided ones four tasks at a time under `vmap`.
"""

from functools import partial

import torch
from torch.func import grad, vmap

from peers.in_torch import begin, canonical, meta_step
from peers.torch_func import query_loss

__all__ = ["build", "canonical"]


def build(job, parameters, tasks):
    setting, batch = job.setting, begin(job, tasks)
    theta = tuple(torch.from_numpy(p) for p in parameters)
    loss = partial(query_loss, setting, pool=pooled)
    of_chunk = vmap(loss, (None, 0, 0, 0, 0))

    @torch.no_grad()
    def gradient(theta, *given):
        return grad(lambda theta: (loss if setting.pool else of_chunk)(theta, *given).sum())(theta)

    compiled = torch.compile(gradient, dynamic=False, fullgraph=True)
    pieces = list(zip(*(array if setting.pool else array.split(4) for array in batch)))

    def gradients():
        total = None
        for piece in pieces:
            found = compiled(theta, *piece)
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
