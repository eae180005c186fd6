"""Algorithms that differ from MAML in what the inner loop adapts, and how far."""

from __future__ import annotations

import paddle
from paddle import nn

from .errors import UserError
from .functional import trainable, trainable_places
from .inner_loop import InnerStep
from .maml import MAML


class ANIL(MAML):
    """Almost No Inner Loop (Raghu et al., 2020, arXiv:1909.09157): only the head is adapted.

    The meta-gradient is that of all parameters.

    Parameters
    ----------
    net, *settings
        As of `MAML`.
    head : paddle.nn.Layer, optional
        The part of the net that is adapted; if not given, its last layer with parameters.

    Raises
    ------
    ValueError
        As of `MAML`, and if no parameter is left to adapt.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import ANIL
    >>> net = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.ReLU(), paddle.nn.Linear(4, 2))
    >>> anil = ANIL(net, inner_lr=0.1)
    >>> learner = anil.adapt(paddle.randn([2, 3]), paddle.to_tensor([0, 1]))
    >>> [bool((a == b).all()) for a, b in zip(learner.parameters, net.parameters())]
    [True, True, False, False]
    """

    def __init__(self, net: nn.Layer, *settings, head: nn.Layer | None = None, **named):
        super().__init__(net, *settings, **named)
        inside = {id(p) for p in (head or _last_layer(net)).parameters()}
        self._adapted = [self._adapts(id(p) in inside) for p in net.parameters()]
        if not self.adapted:
            raise UserError("head leaves no parameter of the net to adapt: name another layer.")

    def _adapts(self, in_head: bool) -> bool:
        return in_head

    @property
    def adapted(self) -> list[int]:
        """The places of the parameters to adapt among those that are trainable now."""
        found = [self._adapted[place] for place in trainable_places(self.net)]
        return [number for number, adapted in enumerate(found) if adapted]

    def inner_loop(self, steps: int) -> list[InnerStep]:
        rates = [0.0] * len(trainable(self.net))
        for place in self.adapted:
            rates[place] = self.inner_lr
        return [InnerStep(rates, clip=self.inner_clip)] * steps


class BOIL(ANIL):
    """Body Only update in Inner Loop (Oh et al., 2021, arXiv:2008.08882): all but the head.

    Parameters are those of `ANIL`.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import BOIL
    >>> net = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.Tanh(), paddle.nn.Linear(4, 2))
    >>> boil = BOIL(net, inner_lr=0.1)
    >>> learner = boil.adapt(paddle.randn([2, 3]), paddle.to_tensor([0, 1]))
    >>> [bool((a == b).all()) for a, b in zip(learner.parameters, net.parameters())]
    [False, False, True, True]
    """

    def _adapts(self, in_head: bool) -> bool:
        return not in_head


class MetaSGD(MAML):
    """Meta-SGD (Li et al., 2017, arXiv:1707.09835): a meta-trained rate for every number.

    theta' = theta - alpha * gradient with alpha of the shape of theta (their equation 2). The rates
    begin at `inner_lr` and are the same in all steps.

    Parameters are those of `MAML`.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MetaSGD
    >>> meta_sgd = MetaSGD(paddle.nn.Linear(3, 2), inner_lr=0.1)
    >>> x, y = paddle.randn([4, 2, 3]), paddle.randint(0, 2, [4, 2])   # 4 tasks of 2 examples
    >>> loss, _ = meta_sgd(x, y, x, y)
    >>> loss.backward()
    >>> [list(rate.grad.shape) for rate in meta_sgd.rates]
    [[3, 2], [2]]
    """

    def __init__(self, net: nn.Layer, inner_lr: float, *settings, **named):
        super().__init__(net, inner_lr, *settings, **named)
        self._rated = trainable_places(net)
        self.rates = nn.ParameterList(
            [parameter(paddle.full_like(p, inner_lr)) for p in trainable(net)]
        )

    def inner_loop(self, steps: int) -> list[InnerStep]:
        rates = chosen(self.net, dict(zip(self._rated, self.rates)))
        return [InnerStep(rates, clip=self.inner_clip)] * steps


def chosen(net, made: dict) -> list:
    """Of what was made for the parameters at some places, that for those trainable now.

    Raises
    ------
    ValueError
        If a parameter was frozen when the others were given theirs.
    """
    now = trainable_places(net)
    if missing := [net.parameters()[place].name for place in now if place not in made]:
        raise UserError(
            f"{', '.join(missing)}: frozen when the algorithm was made, which has no rate for it: "
            "thaw it before, or make the algorithm anew."
        )
    return [made[place] for place in now]


def parameter(value) -> paddle.Tensor:
    """A parameter of its own that begins at `value`."""
    start = nn.initializer.Assign(value) if value.ndim else nn.initializer.Constant(float(value))
    return paddle.create_parameter(value.shape, value.dtype, default_initializer=start)


def _last_layer(net):
    """The last layer that has trainable parameters itself."""
    layers = net.sublayers(include_self=True)
    return [
        layer
        for layer in layers
        if any(not p.stop_gradient for p in layer.parameters(include_sublayers=False))
    ][-1]
