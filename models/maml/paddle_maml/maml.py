"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine, 2017, arXiv:1703.03400)."""

from __future__ import annotations

import re
from contextlib import nullcontext
from itertools import repeat
from typing import Callable

import paddle

from .batched import Network
from .functional import gradient_step, parameters_as, trainable
from .inner_loop import InnerStep
from .learner import Learner
from .operators import once_differentiable, twice_differentiable
from .precision import MixedPrecision, scaled, unscaled


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
        Any network, float32 or float64. Batch norm uses the statistics of the batch at hand
        (transductive), never writes its running statistics, and its scale and shift are adapted
        like every other parameter. Parameters with `stop_gradient=True` are left alone.
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

    Raises
    ------
    ValueError
        If `order` is neither 1 nor 2, `inner_steps` not a whole number from 0, or nothing in `net`
        is trainable.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAML
    >>> maml = MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
    >>> x, y = paddle.randn([4, 2, 3]), paddle.randint(0, 2, [4, 2])   # 4 tasks of 2 examples
    >>> loss, logits = maml(x, y, x, y)
    >>> loss.backward()
    >>> list(logits.shape), list(maml.net.weight.grad.shape)
    ([4, 2, 2], [3, 2])
    >>> learner = maml.adapt(x[0], y[0], steps=10)
    >>> list(learner(x[0]).shape)
    [2, 2]
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
    ):
        super().__init__()
        if order not in (1, 2):
            raise ValueError(f"order is {order!r}: choose 2 (MAML) or 1 (first-order MAML).")
        if not trainable(net):
            raise ValueError("net has no trainable parameter: MAML has nothing to adapt.")
        self.net = net
        self.inner_lr = inner_lr
        self.inner_steps = _check_steps(inner_steps)
        self.order = order
        self.loss = loss
        self.task_chunk = task_chunk
        self.mixed = MixedPrecision() if amp else None

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

        Notes
        -----
        The gradients are computed here, a few tasks at a time, so memory does not grow with the
        number of tasks. A net that says by a method `in_turn` what it is made of, as the project's
        own do, has its tasks computed together (`paddle_maml.batched`), any other one by one, to
        the same gradient but for rounding. The loss returned is linear in the parameters around
        where they stand, with that gradient; no gradient flows into the inputs.
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
        if self.mixed:
            gradients = self.mixed.kept(gradients)
        meta_loss = paddle.concat(losses).mean()
        return _with_gradient(meta_loss, theta, gradients, tasks), paddle.concat(logits)

    def inner_loop(self, steps: int) -> list[InnerStep]:
        """The steps that adapt to a task; other algorithms have others."""
        return [InnerStep([self.inner_lr] * len(trainable(self.net)))] * steps

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
        adapted = self._adapted(batches, self.inner_loop(steps), order=0)
        return [Learner(self.net, [_leaf(p) for p in parameters]) for parameters in adapted]

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
            Before and after each step, without gradient.

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
        learners = self.path(support_x[0], support_y[0], steps)
        return paddle.stack([learner(query_x[0]) for learner in learners]).unsqueeze(1)

    def _meta_gradient(self, network, theta, support_x, support_y, query_x, query_y):
        """Losses, logits and the gradient of the sum of the losses: of as many tasks as `network`
        is given, or of a single one without it.
        """
        differentiate = paddle.is_grad_enabled()
        inner_loop, weights = self.inner_loop(self.inner_steps), self.query_weights()
        order = self.order if differentiate else 0
        if network:
            task = support_x, support_y, query_x, query_y
            losses, logits, found = network.meta_gradient(*task, inner_loop, weights, order)
            return losses, logits, [found.get(id(p)) for p in theta]
        batches = repeat((support_x[0], support_y[0]))
        loss, adapted = 0.0, self._adapted(batches, inner_loop, order)
        for weight, parameters in zip(weights, adapted):
            if weight:
                query_loss, logits = self._query(parameters, query_x[0], query_y[0])
                loss = loss + weight * query_loss
        gradients = [None] * len(theta)
        if differentiate:
            gradients = unscaled(_gradients(scaled(loss), theta))
        return loss.detach().reshape([1]), logits.detach().unsqueeze(0), gradients

    def _adapted(self, batches, inner_loop, order):
        """Yields the parameters before and after each step, for order 0 as constants."""
        parameters = trainable(self.net)
        yield parameters
        for step, batch in zip(inner_loop, batches):
            parameters = step.begin(parameters)
            parameters = parameters if order else [_leaf(p) for p in parameters]
            parameters = self._inner_step(step, parameters, *batch, order)
            yield parameters

    def _inner_step(self, step, parameters, support_x, support_y, order):
        operators = twice_differentiable if order == 2 else once_differentiable
        own, gradients = trainable(self.net), [None] * len(parameters)
        with paddle.enable_grad(), operators(), parameters_as(self.net, own, parameters):
            loss = self.loss(self.net(support_x), support_y)
            adapted = [parameters[place] for place in step.adapted]
            found = _gradients(scaled(loss), adapted, create_graph=order == 2)
        if all(g is None for g in found):
            raise ValueError("the support loss depends on no parameter of the net that is adapted.")
        for place, gradient in zip(step.adapted, unscaled(found)):
            gradients[place] = gradient
        return gradient_step(parameters, gradients, step.rates)

    def _query(self, parameters, query_x, query_y):
        # Only the support pass is differentiated twice; this one runs on Paddle's own kernels.
        with once_differentiable(), parameters_as(self.net, trainable(self.net), parameters):
            logits = self.net(query_x)
            return self.loss(logits, query_y), logits


def _check_steps(steps) -> int:
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"the number of inner steps is {steps!r}: give a whole number, 0 or more.")
    return steps


def _leaf(parameter):
    """A copy that autograd takes for an input."""
    copy = parameter.detach().clone()
    copy.stop_gradient = False
    return copy


def _gradients(loss, parameters, create_graph=False):
    """`paddle.grad`, None where the loss does not depend on a parameter."""
    try:
        return paddle.grad(loss, parameters, create_graph=create_graph, allow_unused=True)
    except RuntimeError as error:
        lacking = re.search(r"The Op (\w+?)(_double)?_grad doesn't have any grad", str(error))
        if not lacking:
            raise
        raise NotImplementedError(
            f"Paddle cannot differentiate the operator {lacking[1]} twice: use another in the net "
            "or the loss, or order=1."
        ) from error


def _add(totals, gradients):
    """Sum lists of gradients in which None stands for zero."""
    return [t if g is None else g if t is None else t + g for t, g in zip(totals, gradients)]


def _with_gradient(value, parameters, gradients, tasks):
    """`value`, with `gradients` / `tasks` as its gradient in `parameters`."""
    for p, g in zip(parameters, gradients):
        if g is not None:
            value = value + (g / tasks * (p - p.detach())).sum()
    return value


def _count_tasks(*sets) -> int:
    counts = [t.shape[0] for t in sets]
    if len(set(counts)) > 1 or counts[0] == 0:
        names = ("support_x", "support_y", "query_x", "query_y")[: len(sets)]
        raise ValueError(
            f"{', '.join(names[:-1])} and {names[-1]} need the same, non-zero number of tasks on "
            f"their first axis, but have {', '.join(map(str, counts))}."
        )
    return counts[0]
