"""MAML++ (Antoniou, Edwards and Storkey, 2019, "How to train your MAML", arXiv:1810.09502)."""

from __future__ import annotations

import paddle
from paddle import nn

from .batch_statistics import BATCH_NORMS
from .functional import trainable, trainable_places
from .inner_loop import InnerStep
from .maml import MAML
from .variants import chosen, parameter


class MAMLPlusPlus(MAML):
    r"""MAML with the changes of section 4 of the paper that concern the algorithm:

    - Every layer's parameters have, in every inner step, a rate of their own that is meta-trained
      (LSLR); all begin at `inner_lr`.
    - Every inner step has the scales and shifts of its batch norms for itself (BNWB). They are
      meta-trained but not adapted. Statistics are those of the batch at hand, as in the paper's
      code, whose running ones are never read.
    - The meta-loss weighs the query losses after all steps (MSL). The weights are equal at first
      and move to the last step in the course of `multi_step_epochs`.
    - The first `first_order_epochs` are trained first-order (DA).

    The cosine schedule of the meta-learning rate (CA) is the optimizer's.

    Parameters
    ----------
    net, inner_lr, *settings
        As of `MAML`, with 1 inner step or more.
    multi_step_epochs, first_order_epochs : int
        Epochs, as `at_epoch` counts them; 0 leaves the change out.

    Notes
    -----
    Where a learner is adapted by more steps than it was trained by, the further ones are like the
    last one.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MAMLPlusPlus
    >>> maml = MAMLPlusPlus(paddle.nn.Linear(3, 2), inner_lr=0.1, inner_steps=2)
    >>> maml.at_epoch(5)
    >>> maml.query_weights()
    [0.0, 0.25, 0.75]
    """

    def __init__(
        self,
        net: nn.Layer,
        inner_lr: float,
        inner_steps: int = 5,
        *settings,
        multi_step_epochs: int = 10,
        first_order_epochs: int = 0,
        **named,
    ):
        super().__init__(net, inner_lr, inner_steps, *settings, **named)
        if inner_steps < 1:
            raise ValueError("MAML++ has no inner step to learn the rates of: give 1 or more.")
        self.multi_step_epochs, self.first_order_epochs = multi_step_epochs, first_order_epochs
        self._order, self.epoch = self.order, 0
        theta, norms = net.parameters(), _of_batch_norms(net)
        self._rated = [place for place in trainable_places(net) if place not in norms]
        rate = paddle.full([], inner_lr, trainable(net)[0].dtype)
        self.rates = _for_steps(range(inner_steps), lambda: [parameter(rate) for _ in self._rated])
        self._norms = norms
        self.norms = _for_steps(range(1, inner_steps), lambda: [parameter(theta[n]) for n in norms])
        self.at_epoch(0)

    def at_epoch(self, epoch: float) -> None:
        """Say how far training has come: what is annealed depends on it."""
        self.epoch = epoch
        self.order = 1 if epoch < self.first_order_epochs else self._order

    def inner_loop(self, steps: int) -> list[InnerStep]:
        found, places = [], trainable_places(self.net)
        for step in range(steps):
            step = min(step, self.inner_steps - 1)
            rates = dict.fromkeys(self._norms, 0.0) | dict(zip(self._rated, self.rates[step]))
            own = dict(zip(self._norms, self.norms[step - 1] if step else []))
            own = {number: own[place] for number, place in enumerate(places) if place in own}
            found.append(InnerStep(chosen(self.net, rates), own, self.inner_clip))
        return found

    def query_weights(self) -> list[float]:
        trained = min(1.0, self.epoch / self.multi_step_epochs) if self.multi_step_epochs else 1.0
        early = [(1 - trained) / self.inner_steps] * (self.inner_steps - 1)
        return [0.0, *early, 1 - sum(early)]


def _for_steps(steps, parameters):
    return nn.LayerList([nn.ParameterList(parameters()) for _ in steps])


def _of_batch_norms(net) -> list[int]:
    """The places of the trainable scales and shifts of batch norms in `net.parameters()`."""
    layers = [layer for layer in net.sublayers(include_self=True) if isinstance(layer, BATCH_NORMS)]
    scales = {id(p) for layer in layers for p in (layer.weight, layer.bias)}
    parameters = net.parameters()
    return [place for place in trainable_places(net) if id(parameters[place]) in scales]
