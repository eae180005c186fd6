"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine, 2017, arXiv:1703.03400)."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import repeat
from typing import Callable

import paddle

from .automatic import Automatic
from .batched import Network
from .check import Check, check
from .errors import UserError
from .functional import leaf, linear, nan_unless_finite, trainable
from .inner_loop import InnerStep
from .learner import Learner
from .precision import MixedPrecision


class MAML(paddle.nn.Layer):
    r"""Meta-learn the initial parameters of a network so that a few gradient steps fit a new task.

    For tasks i with support sets S_i and query sets Q_i, one call is the inner part of Algorithm 1:

    .. math:: \theta_i^{k+1} = \theta_i^k - \alpha \nabla L(\theta_i^k; S_i),
        \qquad \theta_i^0 = \theta, \qquad
        L_{meta}(\theta) = \frac{1}{T} \sum_{i=1}^{T} L(\theta_i^K; Q_i)

    and `backward()` on the loss it returns leaves the exact gradient of L_meta, through the
    inner gradients, on `net.parameters()`.

    Parameters
    ----------
    net : paddle.nn.Layer
        Any network, float32 or float64; for order 2, of operators that can be differentiated twice
        here (docs/double-gradients.md), which `check` finds out. Batch norm uses the statistics of
        the batch at hand (transductive), never writes its running statistics, and its scale and
        shift are adapted like every other parameter. Parameters with `stop_gradient=True` are left
        alone.
    inner_lr : float
        alpha, the step size of the inner loop, for the loss as `loss` returns it (a mean).
    inner_steps : int
        K, how many gradient steps adapt to a task; 0 or more.
    order : {2, 1}
        2 differentiates through the inner gradients (MAML); 1 takes them for constants (FOMAML,
        section 5.2 of the paper).
    loss : callable
        `loss(net(x), y)` -> scalar tensor; the mean over examples.
    task_chunk : int, optional
        How many tasks are computed together, which bounds the memory and changes nothing else. If
        not given, as many as keep the processor's caches or the GPU's memory in view.
    amp : bool
        Mixed precision for a float32 net on a GPU: a meta-step computes its matrix products and
        convolutions in float16 and scales the losses, those of the inner loop too; a meta-gradient
        that overflows is zero (`paddle_maml.precision`). Adapting for use (`adapt`, `path`,
        `path_logits`) stays in float32.
    inner_clip : ClipByValue or ClipByNorm, optional
        Cuts the gradient of every inner step; the second order goes through it.

    Raises
    ------
    ValueError
        If `order` is neither 1 nor 2, `inner_steps` not a whole number from 0, `task_chunk` less
        than 1, or nothing in `net` is trainable.

    Notes
    -----
    - `net` sees the examples of one task at a time, without the task axis.
    - Give an optimizer `maml.parameters()`: those of the net, and what a subclass trains beside.
    - Training and evaluation mode differ in what the net's own layers make of it, as dropout.
    - Under `paddle.no_grad()` a call gives loss and logits alone, as a validation wants them;
      `path_logits` measures tasks after every inner step.
    - `paddle.DataParallel(maml)` averages the meta-gradient over processes.
    - `check` says before a training whether the meta-gradient is right for a net and a loss.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML
    >>> net = paddle.nn.Sequential(paddle.nn.Linear(3, 8), paddle.nn.ReLU(), paddle.nn.Linear(8, 2))
    >>> maml = MAML(net, inner_lr=0.1)
    >>> optimizer = paddle.optimizer.Adam(0.001, parameters=maml.parameters())
    >>> for _ in range(10):  # each a meta-step on 4 tasks of 2 support and 6 query examples
    ...     support_x, support_y = paddle.randn([4, 2, 3]), paddle.to_tensor([[0, 1]] * 4)
    ...     query_x, query_y = paddle.randn([4, 6, 3]), paddle.randint(0, 2, [4, 6])
    ...     loss, logits = maml(support_x, support_y, query_x, query_y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     optimizer.clear_grad()
    >>> list(loss.shape), list(logits.shape)
    ([], [4, 6, 2])
    >>> learner = maml.adapt(support_x[0], support_y[0], steps=10)  # to one task
    >>> list(learner(query_x[0]).shape)
    [6, 2]
    """

    def __init__(
        self,
        net: paddle.nn.Layer,
        inner_lr: float,
        inner_steps: int = 1,
        order: int = 2,
        loss: Callable = paddle.nn.functional.cross_entropy,
        task_chunk: int | None = None,
        amp: bool = False,
        inner_clip: Callable | None = None,
    ):
        super().__init__()
        if order not in (1, 2):
            raise ValueError(f"order is {order!r}: choose 2 (MAML) or 1 (first-order MAML).")
        if not trainable(net):
            raise UserError("net has no trainable parameter: MAML has nothing to adapt.")
        if task_chunk is not None and task_chunk < 1:
            raise UserError(f"task_chunk is {task_chunk}: give 1 or more tasks, or leave it out.")
        self.net = net
        self.inner_lr = inner_lr
        self.inner_steps = _check_steps(inner_steps)
        self.order = order
        self.loss = loss
        self.task_chunk = task_chunk
        self.mixed = MixedPrecision() if amp else None
        self.inner_clip = inner_clip

    def forward(self, support_x, support_y, query_x, query_y):
        """The meta-loss of a batch of tasks; `backward()` on it gives the exact meta-gradient.

        Parameters
        ----------
        support_x, query_x : Tensor (task, example, ...)
            What `net` takes, with a leading task axis; the two may differ in examples.
        support_y, query_y : Tensor (task, example, ...)
            What `loss` takes; int64 class numbers for cross-entropy.

        Returns
        -------
        loss : Tensor, 0-D, dtype of the net
            Query loss after adaptation, mean over tasks.
        logits : Tensor (task, query example, ...)
            The adapted nets' outputs on their queries, without gradient.

        Raises
        ------
        ValueError
            If the four tensors differ in their number of tasks.
        NotImplementedError
            If Paddle cannot differentiate an operator of the net or the loss twice; it is named.
            `check` names all of them.

        Notes
        -----
        The gradients are computed here, a few tasks at a time, so memory does not grow with the
        number of tasks. A net that says by a method `in_turn` what it is made of, as the project's
        own do, and has no hooks, has its tasks computed together (`paddle_maml.batched`), any other
        one by one, to the same gradient but for rounding. The loss returned is linear in the
        parameters around where they stand, with that gradient; no gradient flows into the inputs.
        It is nan where an entry of the gradient is not finite (`find_nonfinite` tells why).
        """
        sets = support_x, support_y, query_x, query_y
        tasks, theta = _count_tasks(*sets), trainable(self)
        network = Network.of(self.net, self.loss)
        losses, logits, gradients = [], [], [None] * len(theta)
        for some in self._pieces(network, self.inner_steps, *sets):
            with self.mixed.products() if self.mixed else nullcontext():
                found = self._meta_gradient(network, theta, *some)
            losses.append(found[0])
            logits.append(found[1])
            gradients = _add(gradients, found[2])
        meta_loss = paddle.concat(losses).mean()
        if self.mixed:
            gradients = self.mixed.kept(meta_loss, gradients)
        gradients = [g if g is None else g / tasks for g in gradients]
        return linear(meta_loss, theta, gradients), paddle.concat(logits)

    def check(self, support_x, support_y, query_x=None, query_y=None, seed: int = 0) -> Check:
        """Find out before a training whether the meta-gradient is right for this net and loss.

        Holds it to finite differences of the whole meta-step along a random direction; where order
        is 1, of a meta-step whose inner gradients are held fixed, which is what first order asks
        for. Both in float64 (float32 where the net runs in no other), since differences in float32
        could not tell. The net, its buffers and all random states stay as they are. Takes as long
        as some twenty meta-steps of one task.

        Parameters
        ----------
        support_x, support_y : Tensor (example, ...)
            Of one task, as `adapt` takes them.
        query_x, query_y : Tensor (example, ...), optional
            The support set itself if not given.
        seed : int
            Of the direction and of what the net draws at random.

        Returns
        -------
        Check
            Whether it is `exact`, and what there is to know of the net; `print` it.

        Raises
        ------
        NotImplementedError
            With all operators of the net and the loss that Paddle cannot differentiate twice, and a
            way out of each; of order 2 alone.
        ValueError
            If one of `query_x` and `query_y` is given alone, or the loss reaches no parameter.

        Examples
        --------
        >>> import paddle
        >>> from paddle_maml import MAML
        >>> maml = MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
        >>> found = maml.check(paddle.randn([4, 3]), paddle.to_tensor([0, 0, 1, 1]))
        >>> found.exact, found.trainable, found.unreached
        (True, 8, [])
        """
        return check(self, support_x, support_y, query_x, query_y, seed)

    def inner_loop(self, steps: int) -> list[InnerStep]:
        """The steps that adapt to a task; other algorithms have others."""
        rates = [self.inner_lr] * len(trainable(self.net))
        return [InnerStep(rates, clip=self.inner_clip)] * steps

    def query_weights(self) -> list[float]:
        """The shares in the meta-loss of the query losses before and after each inner step."""
        return [0.0] * self.inner_steps + [1.0]

    def adapt(self, support_x, support_y, steps: int | None = None) -> Learner:
        """Adapt to one task; the net keeps its parameters.

        Parameters
        ----------
        support_x, support_y : Tensor (example, ...)
        steps : int, optional
            Gradient steps, 0 or more; `inner_steps` if not given.

        Returns
        -------
        Learner
            `learner(query_x)` -> outputs of the adapted net.

        Raises
        ------
        ValueError
            If `steps` is not a whole number from 0, or the loss reaches no parameter.
        """
        return self.path(support_x, support_y, steps)[-1]

    def path(self, support_x, support_y, steps: int | None = None) -> list[Learner]:
        """As `adapt`, but returns the learners before and after each step: `steps` + 1 of them."""
        steps = _check_steps(self.inner_steps if steps is None else steps)
        batches = repeat((support_x, support_y))
        adapted = Automatic(self.net, self.loss).path(batches, self.inner_loop(steps), order=0)
        return [Learner(self.net, [leaf(p) for p in parameters]) for parameters in adapted]

    def path_logits(self, support_x, support_y, query_x, steps: int | None = None):
        """What the learners of `path` put out on the queries, for a batch of tasks.

        Parameters
        ----------
        support_x, support_y, query_x : Tensor (task, example, ...)
        steps : int, optional
            Gradient steps, 0 or more; `inner_steps` if not given.

        Returns
        -------
        Tensor (steps + 1, task, query example, ...)
            Before and after each step, without gradient; nan where an adapted parameter is not
            finite.

        Raises
        ------
        ValueError
            If the three tensors differ in their number of tasks, `steps` is not a whole number from
            0, or the loss reaches no parameter.
        """
        sets = support_x, support_y, query_x
        _count_tasks(*sets)
        steps = _check_steps(self.inner_steps if steps is None else steps)
        network = Network.of(self.net, self.loss)
        pieces = self._pieces(network, min(steps, 1), *sets)  # no step keeps what it computed
        return paddle.concat([self._path_logits(network, steps, *some) for some in pieces], axis=1)

    def _pieces(self, network, steps, *sets):
        """The tasks of `sets`, as many at a time as are computed together."""
        chunk = 1
        if network:
            chunk = self.task_chunk or network.chunk(sets[0], sets[2], steps)
        for first in range(0, len(sets[0]), chunk):
            yield [t[first : first + chunk] for t in sets]

    def _path_logits(self, network, steps, support_x, support_y, query_x):
        if network:
            inner_loop = self.inner_loop(steps)
            return network.path_logits(support_x, support_y, query_x, inner_loop)
        logits = []
        for learner in self.path(support_x[0], support_y[0], steps):
            unsound = nan_unless_finite([p.unsqueeze(0) for p in learner.parameters])
            logits.append(learner(query_x[0]) + unsound)
        return paddle.stack(logits).unsqueeze(1)

    def _meta_gradient(
        self, network, theta, support_x, support_y, query_x, query_y, automatic=Automatic
    ):
        """Losses, logits and the gradient of the sum of the losses: of as many tasks as `network`
        is given, or of a single one without it.
        """
        inner_loop, weights = self.inner_loop(self.inner_steps), self.query_weights()
        order = self.order if paddle.is_grad_enabled() else 0
        task = support_x, support_y, query_x, query_y
        if network:
            losses, logits, found = network.meta_gradient(*task, inner_loop, weights, order)
            return losses, logits, [found.get(id(p)) for p in theta]
        one_by_one, task = automatic(self.net, self.loss), (t[0] for t in task)
        loss, logits, found = one_by_one.meta_gradient(*task, theta, inner_loop, weights, order)
        return loss.reshape([1]), logits.unsqueeze(0), found


def _check_steps(steps) -> int:
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"the number of inner steps is {steps!r}: give a whole number, 0 or more.")
    return steps


def _add(totals, gradients):
    """Sum lists of gradients in which None stands for zero."""
    return [t if g is None else g if t is None else t + g for t, g in zip(totals, gradients)]


def _count_tasks(*sets) -> int:
    counts = [t.shape[0] for t in sets]
    if len(set(counts)) > 1 or counts[0] == 0:
        names = ("support_x", "support_y", "query_x", "query_y")[: len(sets)]
        raise ValueError(
            f"{', '.join(names[:-1])} and {names[-1]} need the same, non-zero number of tasks on "
            f"their first axis, but have {', '.join(map(str, counts))}."
        )
    if any(t.shape[1] == 0 for t in sets):
        raise ValueError("a task has no support or no query example: give each one or more.")
    return counts[0]
