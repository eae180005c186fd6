"""Batch, layer and group normalisation, twice differentiable."""

from __future__ import annotations

import math
from functools import lru_cache

import paddle
from paddle.autograd import PyLayer

from .precision import exact_matmul


def batch_norm(x, weight, bias, epsilon, channels_first):
    """Batch norm whose gradient can be differentiated again.

    Paddle's own double-gradient kernel is right but takes seconds on the CPU for what its forward
    does in a millisecond.
    """
    if x.ndim > 2 and channels_first:
        channel, matrix = _ByRow(x.shape[0]), x.reshape([x.shape[0] * x.shape[1], -1])
    else:
        channel, matrix = _ByColumn(), x.reshape([-1, x.shape[-1]])
    y = _Normalise.apply(matrix, channel, epsilon)
    return _affine(y, weight, bias, channel).reshape(x.shape)


def layer_norm(x, weight, bias, epsilon, begin_axis):
    """Normalise the axes from `begin_axis` on, each example by itself."""
    rows = x.reshape([-1, math.prod(x.shape[begin_axis:])])
    y = _Normalise.apply(rows, _ByRow(1), epsilon)
    weight, bias = (p if p is None else p.reshape([-1]) for p in (weight, bias))
    return _affine(y, weight, bias, _ByColumn()).reshape(x.shape)


def group_norm(x, weight, bias, epsilon, groups):
    """Normalise groups of channels of `x` (N, C, ...), each example by itself."""
    images, channels = x.shape[:2]
    y = _Normalise.apply(x.reshape([images * groups, -1]), _ByRow(1), epsilon)
    y = y.reshape([images * channels, -1])
    return _affine(y, weight, bias, _ByRow(images)).reshape(x.shape)


def instance_norm(x, weight, bias, epsilon):
    """Normalise each channel of `x` (N, C, ...) of each example by itself."""
    return group_norm(x, weight, bias, epsilon, x.shape[1])


def rms_norm(x, weight, normalized_shape, epsilon):
    """Divide by the root of the mean square over the last axes; and its reciprocal."""
    sizes = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
    rows = x.reshape([-1, math.prod(sizes)])
    inverse_root = paddle.rsqrt((rows * rows).mean(-1, keepdim=True) + epsilon)
    y = (rows * inverse_root).reshape(x.shape)
    return (y if weight is None else y * weight.reshape(sizes)), inverse_root.squeeze(-1)


def _affine(y, weight, bias, channel):
    """y * weight + bias per channel; None leaves out either."""
    y = y if weight is None else y * channel.spread(weight)
    return y if bias is None else y + channel.spread(bias)


class _ByColumn:
    """The channels of a (positions, channels) matrix: channels last.

    Means are products with a row of ones, since Paddle's reductions over leading axes run at a
    tenth of the speed.
    """

    def mean(self, x):
        return exact_matmul(_weights((1, x.shape[0]), x.shape[0], x.dtype, str(x.place)), x)

    def spread(self, per_channel):
        return per_channel


class _ByRow:
    """The channels of an (images * channels, positions) matrix: channels first.

    Works with (rows, 1) operands, since Paddle broadcasts (1, C, 1, 1) ones many times more slowly.
    """

    def __init__(self, images):
        self.images = images

    def mean(self, x):
        positions = x.shape[1]
        weights = _weights((positions, 1), self.images * positions, x.dtype, str(x.place))
        return self.spread(exact_matmul(x, weights).reshape([self.images, -1]).sum(0))

    def spread(self, per_channel):
        return paddle.tile(per_channel, [self.images]).unsqueeze(-1)


@lru_cache(maxsize=256)
def _weights(shape, count, dtype, place):
    """A constant matrix of 1 / count, made once: there are a dozen means to a normalisation."""
    return paddle.full(shape, 1 / count, dtype)


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
        if not paddle.is_grad_enabled():
            return _projected(g, ctx.point)
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
        return _projected(g, point)

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


def _projected(g, point):
    """r (g - m(g) - x_hat m(g x_hat))."""
    x_hat, m = point.normal, point.channel.mean
    return (g - m(g) - x_hat * m(g * x_hat)) * point.inverse_std


class _Point:
    """Where a normalisation was computed; not a tensor, so that PyLayer leaves it alone."""

    def __init__(self, normal, inverse_std, channel):
        self.normal, self.inverse_std, self.channel = normal, inverse_std, channel
