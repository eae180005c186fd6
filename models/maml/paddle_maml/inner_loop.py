"""What the steps of an inner loop are made of."""

from __future__ import annotations

from typing import Callable, NamedTuple

import paddle

from .errors import UserError
from .functional import gradient_step


class InnerStep(NamedTuple):
    """One gradient step: theta' = theta - rate * gradient, parameter by parameter.

    Parameters are counted as `paddle_maml.functional.trainable` lists those of the net.

    Parameters
    ----------
    rates : list of float or Tensor
        For each parameter a number, a 0-D tensor or a tensor of the parameter's shape; tensors are
        meta-trained with the net. The number 0 leaves a parameter as it is.
    own : dict of int to Tensor
        Parameters, by their place, that begin this step with values of its own, whatever the step
        before made of them.
    clip : ClipByValue or ClipByNorm, optional
        What cuts the gradients of the parameters that are adapted.
    """

    rates: list
    own: dict[int, paddle.Tensor] = {}
    clip: Callable | None = None

    def begin(self, parameters: list) -> list:
        """The parameters that the gradient is taken at."""
        return [self.own.get(place, p) for place, p in enumerate(parameters)]

    def take(self, parameters: list, gradients: list) -> list:
        """The parameters after the step; a gradient may be None (`gradient_step`)."""
        if self.clip:
            cut = iter(self.clip([g.unsqueeze(0) for g in gradients if g is not None]))
            gradients = [g if g is None else next(cut).squeeze(0) for g in gradients]
        return gradient_step(parameters, gradients, self.rates)

    @property
    def adapted(self) -> list[int]:
        """The places of the parameters that the step may change."""
        places = [place for place, rate in enumerate(self.rates) if learned(rate) or rate != 0]
        if not places:
            raise UserError(
                "an inner step adapts nothing: give it an inner_lr other than 0, and do not freeze "
                "all that it may adapt."
            )
        return places


def learned(rate) -> bool:
    """Whether a rate is meta-trained rather than given."""
    return isinstance(rate, paddle.Tensor)
