"""Ends a training at the meta-step whose loss or meta-gradient is not finite."""

from __future__ import annotations

import paddle
from paddle import distributed
from paddle_maml import MAML, NonFinite, find_nonfinite
from paddle_maml.errors import DivergenceError
from paddle_maml.functional import trainable
from paddle_maml.nonfinite import SETS, sound
from paddle_maml.settings import Settings
from paddle_maml.sharing import index_in_epoch, meta_batch

INNER, META = "hyper_parameters.base_optimizer", "hyper_parameters.meta_optimizer"


class Watch:
    """Takes note of each meta-step's loss before the optimizer takes its step.

    On the CPU the loss is there to look at. A GPU would have to be waited for, and so is asked only
    from time to time (`every`). Until then it keeps by itself what the first meta-step that is not
    sound was given, parameters and tasks: a choice between two tensors each, and no other work.

    Parameters
    ----------
    algorithm : paddle.nn.Layer
        Whose loss is not finite either where a gradient is not.
    every : int
        How many batches of an epoch there are from one look to the next.
    """

    def __init__(self, algorithm, every: int = 1):
        self.algorithm, self.every = algorithm, every
        self.places = []  # epoch and batch of the meta-steps since the last look

    def meta_step(self, place: tuple[int, int], last: bool, loss, batch, config) -> None:
        """Note a meta-step at `place`, epoch and batch, and look if it is time, or the `last`.

        Raises
        ------
        DivergenceError
            In all processes, if a meta-step of one of them was not sound. The parameters are then
            those that it began with.
        """
        self._note(place, loss, batch)
        if last or place[1] % self.every == 0:
            self._look(config)
            self.places = []

    def _note(self, place, loss, batch):
        given, sounds = [*trainable(self.algorithm), *batch], sound(self.algorithm, loss)
        if self.every == 1:
            self.kept, self.sound, self.passed = given, sounds, 0
        elif not self.places:
            self.kept, self.sound = [x.clone() for x in given], sounds
            self.passed = sounds.astype("int64")
        else:
            self.kept = [
                paddle.where(self.sound.expand(x.shape), x, k) for x, k in zip(given, self.kept)
            ]
            self.sound = paddle.logical_and(self.sound, sounds)
            self.passed = self.passed + self.sound.astype("int64")
        self.places.append(place)

    def _look(self, config):
        faulty = paddle.logical_not(self.sound).astype("int64").reshape([1])
        several = distributed.get_world_size() > 1
        if several:
            distributed.all_reduce(faulty, distributed.ReduceOp.MAX)
        if not faulty.item():
            return
        told = [None if self.sound else self._fault(config)]
        if several:
            found, told = told[0], []
            distributed.all_gather_object(told, found)
        _, sentence = min(filter(None, told), key=lambda fault: fault[0])
        raise DivergenceError(sentence)

    def _fault(self, config):
        """Where the first faulty meta-step was, and what to say of it."""
        theta, place = trainable(self.algorithm), self.places[int(self.passed)]
        if self.every > 1:
            for p, kept in zip(theta, self.kept):
                p.set_value(kept)
        found = find_nonfinite(self.algorithm, *self.kept[len(theta) :])
        return place, described(found, place, self._remedy(found, config), config)

    def _remedy(self, found, config):
        if found and found.what in SETS:
            return "correct the data"
        adapts = isinstance(self.algorithm, MAML) and self.algorithm.inner_steps > 0
        if not adapts or (found and found.what == "parameter"):
            return f"lower {META}.learning_rate or set {META}.clip_norm"
        if Settings.from_config(config).algorithm in ("meta_sgd", "maml_pp"):
            return f"set {INNER}.clip_norm, or begin anew with a lower {INNER}.learning_rate"
        return f"lower {INNER}.learning_rate or set {INNER}.clip_norm"


def described(found: NonFinite | None, place: tuple[int, int], remedy: str, config) -> str:
    """What was not finite in the meta-step at `place`, what to do, how to draw its task again."""
    epoch, number = place
    again = ""
    if found and found.task is not None:
        process = distributed.get_world_size(), distributed.get_rank()
        index = index_in_epoch(number, found.task, meta_batch(config), *process)
        found = found._replace(task=index)
        again = f"; RecDataset.task({epoch}, {index}) draws the task again"
    what = found or "the loss or its gradient"
    return f"epoch {epoch}, batch {number}: {what} is not finite: {remedy}{again}"
