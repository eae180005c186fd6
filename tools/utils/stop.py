"""Ending a training by SIGINT or SIGTERM: after the step that runs, with a checkpoint."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import paddle

from utils.errors import Stopped
from utils.processes import launched

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Takes note, inside of `with`, that the process is told to end.

    A second signal ends the process at once. To one of several processes it makes no difference:
    they get the first one from more than one side, and whoever launched them ends them.
    """

    def __enter__(self):
        self.process, self.number, self.saved = os.getpid(), None, None
        self.before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_):
        if self.number is None:
            for number, handler in self.before.items():
                signal.signal(number, handler)

    def agreed(self) -> bool:
        """Whether to end, asked in all processes after the same step and answered alike."""
        if not launched():
            return self.number is not None
        number = paddle.to_tensor([self.number or 0])
        paddle.distributed.all_reduce(number, paddle.distributed.ReduceOp.MAX)
        self.number = number.item() or self.number  # of a signal that came meanwhile
        return bool(number.item())

    def stopped(self, checkpoint: Path) -> Stopped:
        """What to raise once `checkpoint` is saved."""
        message = f"stopped; {checkpoint} is saved: go on with -o runner.resume=true."
        return Stopped(self.number, message)

    @contextmanager
    def at_once(self, checkpoint: Path):
        """Do not wait for the end of this: `checkpoint` has all that came before."""
        self.saved = checkpoint
        if self.number is not None:
            raise self.stopped(checkpoint)
        try:
            yield
        finally:
            self.saved = None

    def _note(self, number, frame):
        if os.getpid() != self.process or self.number is not None:
            return  # a reader's process, which ends with this one
        self.number = number
        if not launched():
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
        if hasattr(signal, "SIGCHLD"):  # Paddle's handler raises if a reader's process was ended
            signal.signal(signal.SIGCHLD, lambda *_: None)
        if self.saved:
            raise self.stopped(self.saved)
