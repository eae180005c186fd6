"""Regression tasks: a sinusoid of unknown amplitude and phase (Finn et al., 2017, section 5.1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from paddle_maml import plain_yaml
from paddle_maml.episodes import Episode
from paddle_maml.errors import UserError
from paddle_maml.task_dataset import TaskDataset

RANGES = "sinusoids.yaml"
MOST = 1e30  # as float32 and numpy's uniform numbers can have it


class RecDataset(TaskDataset):
    """Yields tasks as lists [support_x, support_y, query_x, query_y] of points of one sinusoid.

    x is float32 (points, 1), or (points, 3) with `hyper_parameters.oracle`: x, amplitude and phase;
    y is float32 (points, 1). There are `k_spt` support and `k_query` query points. The data
    directory holds, instead of data, the ranges that they are drawn from, in `sinusoids.yaml`.
    """

    def __init__(self, file_list, config):
        super().__init__(file_list, config)
        if self.setting.loss != "mse":
            raise UserError(
                f"hyper_parameters.loss is {self.setting.loss!r}, but sinusoid_reader has numbers "
                "to predict: set it to mse."
            )
        self.ranges = read_ranges(Path(self.directory, RANGES))

    def draw(self, rng) -> Episode:
        amplitude, phase = (rng.uniform(*self.ranges[name]) for name in ("amplitude", "phase"))
        x = rng.uniform(*self.ranges["x"], (self.shot + self.query, 1))
        y = amplitude * np.sin(x - phase)
        if self.setting.oracle:
            x = np.concatenate([x, np.full_like(x, amplitude), np.full_like(x, phase)], 1)
        x, y = x.astype(np.float32), y.astype(np.float32)
        return Episode(x[: self.shot], y[: self.shot], x[self.shot :], y[self.shot :])


def read_ranges(file: Path) -> dict[str, tuple[float, float]]:
    """The lowest and highest `amplitude`, `phase` (radians) and `x` of a split's tasks.

    Raises
    ------
    UserError
        If the file is missing, or has anything else than these three ranges.
    """
    try:
        ranges = plain_yaml.load(file.read_text(encoding="utf-8"))
        if ranges.keys() != {"amplitude", "phase", "x"}:
            raise ValueError
        ranges = {name: tuple(float(end) for end in ends) for name, ends in ranges.items()}
        if not all(-MOST <= low <= high <= MOST for low, high in ranges.values()):
            raise ValueError
    except (OSError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} has to give amplitude, phase and x as [lowest, highest]: write it, or name "
            "another data directory."
        ) from error
    return ranges
