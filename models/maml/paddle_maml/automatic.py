"""The meta-gradient of any network, one task at a time, by Paddle's automatic differentiation."""

from __future__ import annotations

import re
from itertools import repeat

import paddle

from .functional import leaf, parameters_as, trainable
from .impossible import NotTwiceDifferentiable
from .operators import once_differentiable, twice_differentiable
from .precision import scaled, unscaled


class Automatic:
    """A network and its loss, differentiated by Paddle.

    Parameters
    ----------
    net : paddle.nn.Layer
    loss : callable
        `loss(net(x), y)` -> scalar tensor.
    twice : callable
        Gives the context that a support pass runs in which is to be differentiated twice.
    """

    def __init__(self, net, loss, twice=twice_differentiable):
        self.net, self.loss, self.twice = net, loss, twice

    def meta_gradient(
        self, support_x, support_y, query_x, query_y, theta, inner_loop, weights, order
    ):
        """Lines 4 to 8 of Algorithm 1 for one task.

        Parameters
        ----------
        support_x, support_y, query_x, query_y : Tensor (example, ...)
        theta : list of Tensor
            What the gradient is taken in: the net's trainable parameters and, of `inner_loop`,
            what is meta-trained.
        inner_loop : list of InnerStep
        weights : list of float
            The shares in the loss of the query losses before and after each inner step.
        order : {2, 1, 0}
            0 leaves the gradient out.

        Returns
        -------
        loss : Tensor, 0-D
        logits : Tensor (query example, ...)
            After adaptation.
        gradients : list
            In `theta`; None where the loss does not depend on it.
        """
        batches, loss = repeat((support_x, support_y)), 0.0
        for weight, parameters in zip(weights, self.path(batches, inner_loop, order)):
            if weight:
                query_loss, logits = self.query(parameters, query_x, query_y)
                loss = loss + weight * query_loss
        found = unscaled(_gradients(scaled(loss), theta)) if order else [None] * len(theta)
        return loss.detach(), logits.detach(), found

    def path(self, batches, inner_loop, order):
        """Yields the parameters before and after each step, for order 0 as constants.

        Each step takes a batch (x, y) of its own.
        """
        parameters = trainable(self.net)
        yield parameters
        for step, batch in zip(inner_loop, batches):
            parameters = step.begin(parameters)
            parameters = parameters if order else [leaf(p) for p in parameters]
            gradients = self.inner_gradients(step, parameters, *batch, order)
            parameters = step.take(parameters, gradients)
            yield parameters

    def inner_gradients(self, step, parameters, support_x, support_y, order):
        """The gradients of the support loss, None for what the step does not adapt."""
        operators = self.twice if order == 2 else once_differentiable
        own, gradients = trainable(self.net), [None] * len(parameters)
        with paddle.enable_grad(), operators(), parameters_as(self.net, own, parameters):
            loss = self.loss(self.net(support_x), support_y)
            adapted = [parameters[place] for place in step.adapted]
            found = _gradients(scaled(loss), adapted, create_graph=order == 2)
        if all(g is None for g in found):
            raise ValueError("the support loss depends on no parameter of the net that is adapted.")
        for place, gradient in zip(step.adapted, unscaled(found)):
            gradients[place] = gradient
        return gradients

    def query(self, parameters, query_x, query_y):
        """The query loss of the net with these parameters, and its outputs."""
        # Only the support pass is differentiated twice; this one runs on Paddle's own kernels.
        with once_differentiable(), parameters_as(self.net, trainable(self.net), parameters):
            logits = self.net(query_x)
            return self.loss(logits, query_y), logits


def _gradients(loss, parameters, create_graph=False):
    """`paddle.grad`, None where the loss does not depend on a parameter."""
    try:
        return paddle.grad(loss, parameters, create_graph=create_graph, allow_unused=True)
    except RuntimeError as error:
        lacking = re.search(r"The Op (\w+?)(_double)?_grad doesn't have any grad", str(error))
        if not lacking:
            raise
        ways_out = {lacking[1]: "use another in the net or the loss"}
        raise NotTwiceDifferentiable(ways_out) from error
