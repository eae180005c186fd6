"""What the PyTorch peers share: tensors, processes, Adam around a meta-gradient."""

from datetime import timedelta

import torch
from torch import distributed


def begin(job, tasks):
    """Use the job's threads, meet its other processes; returns the tasks as tensors."""
    torch.set_num_threads(job.threads)
    if job.processes > 1:
        distributed.init_process_group(
            "gloo",
            init_method=f"tcp://127.0.0.1:{job.port}",
            rank=job.rank,
            world_size=job.processes,
            timeout=timedelta(hours=1),
        )
    return [torch.from_numpy(array) for array in tasks]


def meta_step(job, parameters, gradients):
    """A step that has Adam follow `gradients()`: those of this process's tasks, summed."""
    optimizer = torch.optim.Adam(parameters, lr=0.001)

    def step():
        found = mean(job, gradients())
        for parameter, gradient in zip(parameters, found):
            parameter.grad = gradient
        optimizer.step()
        return found

    return step


def mean(job, gradients):
    """Gradients summed over this process's tasks -> their mean over all tasks."""
    flat = torch.cat([g.reshape(-1) for g in gradients]) / job.setting.tasks
    if job.processes > 1:
        distributed.all_reduce(flat)
    parts = flat.split([g.numel() for g in gradients])
    return [part.view_as(g) for part, g in zip(parts, gradients)]


def canonical(gradients):
    """The gradients as numpy arrays in the shapes of `job.parameters`."""
    return [g.numpy() for g in gradients]
