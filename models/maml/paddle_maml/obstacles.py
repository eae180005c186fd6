"""What stands in the way of a second derivative, all of it at once."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

import paddle

from .automatic import Automatic
from .dry_run import dry_run
from .functional import trainable
from .impossible import NotTwiceDifferentiable
from .native import native
from .operators import twice_differentiable
from .packing import tied
from .replacement import replaced


def refuse_impossible(maml, support_x, support_y, dtype: str | None = None) -> None:
    """Refuse a network or loss of which an inner step cannot be differentiated.

    Each operator that cannot is found by the error that it causes, and then does without a
    gradient, so that the next one is found.

    Parameters
    ----------
    maml : MAML
        It is left as it is.
    support_x, support_y : Tensor (example, ...)
    dtype : str, optional
        What to compute in, if not in the net's own type.

    Raises
    ------
    NotImplementedError
        With the names of all such operators, and a way out of each.
    """
    ways_out = {}
    while True:
        automatic = Automatic(maml.net, maml.loss, partial(_standing_in, list(ways_out)))
        try:
            with dry_run(maml, dtype):
                (step,) = maml.inner_loop(1)
                parameters = step.begin(trainable(maml.net))
                automatic.inner_gradients(step, parameters, support_x, support_y, order=2)
            break
        except NotTwiceDifferentiable as error:
            if error.ways_out.keys() <= ways_out.keys():  # no stand-in reaches it
                break
            ways_out |= error.ways_out
    if ways_out:
        raise NotTwiceDifferentiable(ways_out)


@contextmanager
def _standing_in(names):
    """As `twice_differentiable`, where these operators have a gradient of zero."""
    found = [n for name in names for n in (name, f"{name}_") if hasattr(native, n)]
    with twice_differentiable(), replaced({name: _stand_in(name) for name in found}):
        yield


def _stand_in(name):
    def operator(*arguments, **named):
        inputs = paddle.utils.flatten([arguments, named])
        followed = [x for x in inputs if isinstance(x, paddle.Tensor) and not x.stop_gradient]
        with paddle.no_grad():
            outputs = getattr(native, name)(*arguments, **named)

        def tie(y):
            for x in followed if isinstance(y, paddle.Tensor) else ():
                y = tied(y, x)
            return y

        return paddle.utils.map_structure(tie, outputs)

    return operator
