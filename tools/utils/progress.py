"""Log lines in PaddleRec's format, or a bar on a terminal."""

from __future__ import annotations

import logging
import sys
import time

from tqdm import tqdm

from utils.errors import UserError

logger = logging.getLogger("paddlerec")

METRIC, METRIC_IN_TRAINING = "{}: {:.6f},", "{}:{:.6f}, "  # PaddleRec's two spellings


def start_log() -> None:
    """Log to standard output."""
    handler = Log(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class Log(logging.StreamHandler):
    """Ends the tool, as `print` would, where nobody reads on: of `| head`. On a full disk the work
    goes on, which one sentence on standard error says.
    """

    failed = False

    def handleError(self, record):  # noqa: N802
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            raise
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.failed:
            self.failed = True
            print(
                f"cannot write the log to standard output ({error.strerror}): the work goes on "
                "without it.",
                file=sys.stderr,
            )


def values(metrics, names, tensors, metric=METRIC) -> str:
    """`acc: 0.981000,loss:0.06,` as PaddleRec prints them."""
    text = "".join(metric.format(n, m.accumulate()) for n, m in zip(names, metrics))
    return text + "".join(f"{n}:{str(t.numpy()).strip('[]')}," for n, t in (tensors or {}).items())


class Progress:
    """Reports the batches of one epoch: a bar on a terminal, a line per `interval` otherwise.

    `batch_size` is given for an evaluation: PaddleRec's lines then name it, while those of training
    count the samples.
    """

    def __init__(self, epoch, interval: int, batches: int | None, batch_size: int | None = None):
        self.epoch, self.interval, self.batches = epoch, interval, batches
        self.batch_size, self.training = batch_size, batch_size is None
        self.began = time.time()
        self._start()

    def over(self, loader):
        """Yield (batch number, batch), timing the reader and what is done with the batch.

        Raises
        ------
        UserError
            If the loader gives no batch at all.
        """
        with tqdm(total=self.batches, desc=f"epoch {self.epoch}", disable=None, leave=False) as bar:
            self.bar = bar
            asked, number = time.time(), None
            for number, batch in enumerate(loader):
                got = time.time()
                self.waited += got - asked
                self.samples += len(batch[0])
                yield number, batch
                asked = time.time()
                bar.update()
        if number is None:
            raise UserError(
                "the reader gave no batch: check the data, or make the batch size smaller."
            )

    def waiting(self) -> float:
        """The share of the time since the last line that went by in waiting for the reader."""
        return self.waited / (time.time() - self.since)

    def report(self, number: int, started: float, metrics, names, tensors) -> None:
        """Tell of batch `number`, whose work began at `started`."""
        self.ran += time.time() - started
        if number % self.interval:
            return
        metric = METRIC_IN_TRAINING if self.training else METRIC
        described = values(metrics, names, tensors, metric)
        if self.bar.disable:
            logger.info(f"epoch: {self.epoch}, batch_id: {number}, {described}{self._times()}")
        else:
            self.bar.set_postfix_str(" ".join(described.split()).rstrip(","))
        self._start()

    def done(self, metrics, names, tensors) -> None:
        """Tell of the whole epoch."""
        logger.info(
            f"epoch: {self.epoch} done, {values(metrics, names, tensors)}"
            f" epoch time: {time.time() - self.began:.2f} s"
        )

    def _start(self) -> None:
        """Begin to time what the next line tells of."""
        self.since = time.time()
        self.waited = self.ran = 0.0
        self.samples = 0

    def _times(self) -> str:
        total = self.waited + self.ran
        samples = self.samples / self.interval if self.training else self.batch_size
        return (
            f" avg_reader_cost: {self.waited / self.interval:.5f} sec, "
            f"avg_batch_cost: {total / self.interval:.5f} sec, "
            f"avg_samples: {samples:.5f}, "
            f"ips: {self.samples / (total + 0.0001):.{5 if self.training else 2}f} ins/s"
        )
