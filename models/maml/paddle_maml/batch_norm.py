"""Batch normalisation by the batch at hand, twice differentiable."""

from __future__ import annotations

import paddle
from paddle.autograd import PyLayer


def batch_norm(x, weight, bias, epsilon, channels_first):
    """Batch norm whose gradient can be differentiated again.

    Paddle's own double-gradient kernel is right but takes seconds on the CPU for what its forward
    does in a millisecond.
    """
    if x.ndim > 2 and channels_first:
        images, channels = x.shape[:2]
        y = _Normalise.apply(x.reshape([images * channels, -1]), _ByRow(images), epsilon)
        column = lambda p: paddle.tile(p, [images]).unsqueeze(-1)  # noqa: E731
    else:
        y = _Normalise.apply(x.reshape([-1, x.shape[-1]]), _ByColumn(), epsilon)
        column = lambda p: p  # noqa: E731
    if weight is not None:
        y = y * column(weight)
    if bias is not None:
        y = y + column(bias)
    return y.reshape(x.shape)


class _ByColumn:
    """Means of a (positions, channels) matrix, channels last.

    A product with a row of ones: Paddle's reductions over leading axes run at a tenth of its speed.
    """

    def mean(self, x):
        positions = x.shape[0]
        return paddle.matmul(paddle.full([1, positions], 1 / positions, x.dtype), x)


class _ByRow:
    """Means of a (images * channels, positions) matrix, channels first, one per row.

    (rows, 1) operands, since Paddle broadcasts (1, C, 1, 1) ones many times more slowly.
    """

    def __init__(self, images):
        self.images = images

    def mean(self, x):
        rows, positions = x.shape
        ones = paddle.full([positions, 1], 1 / (self.images * positions), x.dtype)
        per_image = paddle.matmul(x, ones).reshape([self.images, -1])
        return paddle.tile(per_image.sum(0), [self.images]).unsqueeze(-1)


class _Normalise(PyLayer):
    """x -> x_hat = (x - m(x)) r per channel, with the mean m and r = 1 / sqrt(variance + epsilon).

    The variance is the biased one, m((x - m(x))^2), as batch norm's always is.
    """

    @staticmethod
    def forward(ctx, x, channel, epsilon):
        ctx.save_for_backward(x)
        centred = x - channel.mean(x)
        inverse_std = paddle.rsqrt(channel.mean(centred * centred) + epsilon)
        normal = centred * inverse_std
        # Detached: an output kept as it is would hold its own graph, and so itself, for ever.
        ctx.point = _Point(normal.detach(), inverse_std, channel)
        return normal

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensor()
        # A PyLayer may have one differentiable input only: Paddle fails where it prunes a second.
        return _NormaliseGradient.apply(paddle.stack([x, g]), ctx.point)


class _NormaliseGradient(PyLayer):
    """(x, g) -> r (g - m(g) - x_hat m(g x_hat)), the gradient of `_Normalise` for an incoming g.

    Its own gradient, for an incoming u, follows from d x_hat as above and d r = -r^2 m(x_hat dx).
    With a = m(g x_hat), b = m(u x_hat) and q = m(u g) - m(u) m(g) - a b:

        in g:  r (u - m(u) - b x_hat)                                     (the map is symmetric)
        in x:  -r^2 ((g - m(g)) b + (u - m(u)) a + (q - 2 a b) x_hat)
    """

    @staticmethod
    def forward(ctx, x_and_g, point):
        g = x_and_g[1]
        ctx.save_for_backward(g)
        ctx.point = point
        x_hat, r, m = point.normal, point.inverse_std, point.channel.mean
        return (g - m(g) - x_hat * m(g * x_hat)) * r

    @staticmethod
    def backward(ctx, u):
        (g,) = ctx.saved_tensor()
        x_hat, r, m = ctx.point.normal, ctx.point.inverse_std, ctx.point.channel.mean
        mean_g, mean_u = m(g), m(u)
        a, b = m(g * x_hat), m(u * x_hat)
        q = m(u * g) - mean_u * mean_g - a * b
        g, u = g - mean_g, u - mean_u
        in_g = (u - x_hat * b) * r
        in_x = (g * b + u * a + x_hat * (q - 2 * a * b)) * (-r * r)
        return paddle.stack([in_x, in_g])


class _Point:
    """Where a normalisation was computed; not a tensor, so that PyLayer leaves it alone."""

    def __init__(self, normal, inverse_std, channel):
        self.normal, self.inverse_std, self.channel = normal, inverse_std, channel
