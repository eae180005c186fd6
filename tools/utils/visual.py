"""A run in VisualDL: visualdl --logdir RUN_DIR/visualDL_log"""

from __future__ import annotations

import math
from pathlib import Path

from utils.errors import needing, writing
from utils.measure import measure_of
from utils.picture import episode_picture

DIRECTORY = "visualDL_log"


def log_writer():
    """VisualDL's writer; it is an extra."""
    with needing(
        "visualdl",
        'runner.use_visual: there is no VisualDL here: pip install -e ".[visual]", '
        "or set it to false.",
    ):
        from visualdl import LogWriter
    return LogWriter


class Visual:
    """Writes scalars and images of the run in `directory`, under the name of a tool.

    Inner-loop curves, the score over inner steps, are runs of their own, one per evaluation, so
    that VisualDL lays them over each other.
    """

    def __init__(self, directory: Path, name: str):
        self.directory = directory / DIRECTORY
        with writing(self.directory):  # later on VisualDL itself warns of that, and goes on
            self.writer = log_writer()(str(self.directory / name))

    def add(self, split: str, epoch, step: int, values: dict, summary: dict | None = None) -> None:
        """Add values by name, and what the model's summary tells of inner steps."""
        score = next(iter(values), "")
        curve = summary[f"{measure_of(summary)}_per_step"] if summary else []
        curve = curve if len(curve) > 1 else []  # there may be no inner steps
        after = {f"{score}_after_inner_step_{inner}": value for inner, value in enumerate(curve)}
        for name, value in {**values, **after}.items():
            if math.isfinite(value):
                self.writer.add_scalar(f"{split}/{name}", value, step)
        if curve:
            with log_writer()(str(self.directory / "inner_loop" / f"{split}_{epoch}")) as writer:
                for inner, value in enumerate(curve):
                    if not math.isfinite(value):
                        break
                    writer.add_scalar(f"inner_loop/{score}", value, inner)

    def add_episodes(self, episodes, step: int) -> None:
        """Add validation tasks, drawn with the predictions of their queries."""
        for number, episode in enumerate(episodes):
            self.writer.add_image(f"valid/episode_{number}", _drawn(episode), step)


def _drawn(episode):
    if not hasattr(episode, "predictions"):
        return episode_picture(episode)
    from utils.report.regression import picture  # needs matplotlib, which VisualDL brings along

    return picture([("", episode)])
