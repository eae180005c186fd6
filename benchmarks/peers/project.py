"""This project, as tools/trainer.py runs it: one process per core, through the public interface."""

import os
import sys
from pathlib import Path

import paddle

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models/maml"))
from net import Conv4  # noqa: E402
from paddle_maml import MAML  # noqa: E402


def build(job, parameters, tasks):
    paddle.set_default_dtype(job.dtype)
    setting = job.setting
    net = Conv4(
        setting.way, setting.image_side, setting.channels, setting.filters, pool=setting.pool
    )
    maml = parallel = MAML(net, setting.inner_lr, setting.inner_steps, setting.order)
    own = [p for p in maml.parameters() if not p.stop_gradient]
    for parameter, value in zip(own, parameters):
        parameter.set_value(value)
    if job.processes > 1:
        join(job)
        parallel = paddle.DataParallel(maml)
    optimizer = paddle.optimizer.Adam(0.001, parameters=maml.parameters())
    batch = [paddle.to_tensor(array) for array in tasks]

    def step():
        optimizer.clear_grad()
        loss, _ = parallel(*batch)
        loss.backward()
        optimizer.step()
        return [p.grad for p in own]

    return step


def join(job):
    """Meet the other processes as `paddle.distributed.launch` would have it."""
    places = [f"127.0.0.1:{job.port + rank}" for rank in range(job.processes)]
    os.environ.update(
        PADDLE_MASTER=places[0],
        PADDLE_TRAINER_ID=str(job.rank),
        PADDLE_TRAINERS_NUM=str(job.processes),
        PADDLE_CURRENT_ENDPOINT=places[job.rank],
        PADDLE_TRAINER_ENDPOINTS=",".join(places),
        PADDLE_DISTRI_BACKEND="gloo",
    )
    paddle.distributed.init_parallel_env()


def canonical(gradients):
    """The gradients as numpy arrays in the shapes of `job.parameters`."""
    return [g.numpy() for g in gradients]
