"""What the workers compute: the settings, and their parameters and tasks, the same for everybody.

Runs in every environment: numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Setting:
    """One meta-step: `tasks` episodes on conv4, as `models/maml/net.py` defines it."""

    way: int = 5
    shot: int = 1
    query: int = 15  # per class
    tasks: int = 32
    inner_steps: int = 1
    inner_lr: float = 0.4
    pool: bool = True  # else strided
    image_side: int = 28
    channels: int = 1
    filters: int = 64
    order: int = 2

    @property
    def features(self) -> int:
        """Inputs of the linear classifier."""
        return self.filters * (self.image_side // 16) ** 2 if self.pool else self.filters


SETTINGS = {
    "omniglot_5w1s_q15": Setting(),
    "omniglot_5w1s_q15_5steps": Setting(inner_steps=5, inner_lr=0.1),
    "omniglot_5w1s_paper": Setting(query=1, pool=False),
    "omniglot_5w5s": Setting(shot=5),
    "omniglot_20w1s": Setting(way=20, tasks=16, inner_steps=5, inner_lr=0.1),
    "omniglot_20w5s": Setting(way=20, shot=5, tasks=16, inner_steps=5, inner_lr=0.1),
    "mini_5w1s": Setting(
        tasks=4, inner_steps=5, inner_lr=0.01, image_side=84, channels=3, filters=32
    ),
}


@dataclass(frozen=True)
class Job:
    """What one process of a worker is told."""

    setting: Setting
    threads: int = 1
    processes: int = 1  # of this worker, which share the tasks
    rank: int = 0
    port: int = 0  # where the processes meet
    dtype: str = "float32"
    given: str | None = None  # an .npz with parameters and tasks
    checkout: str | None = None  # of PaddleRec


def parameters(setting: Setting, rng: np.random.Generator) -> list[np.ndarray]:
    """Initial parameters in float64, in the order of `Conv4.parameters()`.

    Per block the convolution (out, in, 3, 3) and batch norm's scale and shift; then the linear
    layer's weight (in, out), its inputs flattened from (channel, row, column), and bias.
    """
    values, channels = [], setting.channels
    for _ in range(4):
        weight = rng.normal(0, (2 / (9 * channels)) ** 0.5, (setting.filters, channels, 3, 3))
        scale, shift = rng.normal(1, 0.1, setting.filters), rng.normal(0, 0.1, setting.filters)
        values += [weight, scale, shift]
        channels = setting.filters
    size = setting.features, setting.way
    return [*values, rng.normal(0, size[0] ** -0.5, size), rng.normal(0, 0.1, setting.way)]


def tasks(setting: Setting, rng: np.random.Generator) -> list[np.ndarray]:
    """support_x, support_y, query_x, query_y; the leading axis is the task.

    Images (task, image, channel, row, column) in float64, labels (task, image) in int64.
    """
    image = setting.channels, setting.image_side, setting.image_side
    batch = []
    for per_class in (setting.shot, setting.query):
        labels = np.repeat(np.arange(setting.way), per_class)
        batch.append(rng.normal(size=(setting.tasks, len(labels), *image)))
        batch.append(np.tile(labels, (setting.tasks, 1)))
    return batch


def problem(job: Job) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The parameters, and this process's share of the tasks, in `job.dtype`."""
    if job.given:
        with np.load(job.given) as file:
            values = [file[name] for name in file.files]
        theta, batch = values[:-4], values[-4:]
    else:
        rng = np.random.default_rng(0)
        theta, batch = parameters(job.setting, rng), tasks(job.setting, rng)
    each = job.setting.tasks // job.processes
    mine = slice(job.rank * each, (job.rank + 1) * each)
    return [in_dtype(p, job.dtype) for p in theta], [in_dtype(t[mine], job.dtype) for t in batch]


def in_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers in `dtype`; labels as they are."""
    return array.astype(dtype) if array.dtype.kind == "f" else array
