"""Numbers that are not finite: no checkpoint holds any, and the last good one is named."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path

import paddle

from utils import checkpoint
from utils.errors import UserError


class Diverged(UserError):
    """A parameter is not finite. A model's errors that say so carry `diverged`, too."""

    diverged = True


def check_finite(model, optimizer, position) -> None:
    """Refuse numbers of the model or the optimizer, as they are at `position`, if not finite."""
    for name, value in {**optimizer.state_dict(), **model.state_dict()}.items():
        floating = paddle.is_tensor(value) and paddle.is_floating_point(value)
        if floating and not bool(paddle.isfinite(value).all()):
            raise Diverged(
                f"{name} is not finite after epoch {position.epoch}, batch {position.batch - 1}: "
                "lower the learning rate"
            )


@contextmanager
def last_good_named(directory: Path, leading: bool):
    """Add to an error that carries `diverged` which checkpoint to go on from.

    All processes have the error; the first of them tells of it.
    """
    try:
        yield
    except Exception as error:
        if not getattr(error, "diverged", False):
            raise
        if not leading:
            time.sleep(60)  # and be ended, since the first process has ended
        newest = checkpoint.find_newest(directory)
        advice = "there is no checkpoint yet: begin anew"
        if newest:
            advice = f"the last good checkpoint is {newest}: go on with -o runner.resume=true"
        raise UserError(f"{error}; {advice}.") from error
