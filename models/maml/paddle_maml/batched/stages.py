"""The stages of a network, each with its derivatives; see `paddle_maml.batched` for the methods.

Means and scales per channel are (task, 1, channel), all else (task, row, column) with a row per
position of an image, image by image.
"""

from __future__ import annotations

from types import SimpleNamespace

import paddle
from paddle import nn

from ..functional import gradient_step
from .arrays import positive, product, spread, total


class Stage:
    """What the stages have in common."""

    def data(self, x):
        """What a first stage makes of the examples, the same for every inner step: nothing."""
        return x

    def stepped(self, w, gradients, rates):
        """The parameters after an inner step; uses the gradients up if all rates are numbers."""
        return gradient_step(w, gradients, rates)

    def numbers(self, images, inputs, outputs):
        """About how many numbers per task a pass keeps, with so many numbers per output."""
        return images * outputs


class Linear(Stage):
    """y = x W + b. `follows`: whether x has a gradient; data has none."""

    def __init__(self, follows: bool):
        self.follows = follows

    def forward(self, x, w):
        return product(x, w[0]) + spread(w[1], x.shape[1]), SimpleNamespace(x=x)

    def backward(self, at, w, g):
        gx = product(g, w[0], transpose_b=True) if self.follows else None
        return gx, [product(at.x, g, transpose_a=True), total(g)]

    def tangent(self, at, w, dx, dw):
        at.dx = dx
        dy = product(at.x, dw[0]) + spread(dw[1], at.x.shape[1])
        return dy if dx is None else dy + product(dx, w[0])

    def curvature(self, at, w, dw, g, dg):
        dgx, dgw = None, product(at.x, dg, transpose_a=True)
        if at.dx is not None:
            dgw = dgw + product(at.dx, g, transpose_a=True)
        if self.follows:
            dgx = product(dg, w[0], transpose_b=True) + product(g, dw[0], transpose_b=True)
        return dgx, [dgw, total(dg)]


class Relu(Stage):
    """y = max(x, 0)."""

    def forward(self, x, w):
        y = nn.functional.relu(x)
        return y, SimpleNamespace(live=positive(y))

    def backward(self, at, w, g):
        return g * at.live, []

    def tangent(self, at, w, dx, dw):
        return dx * at.live

    def curvature(self, at, w, dw, g, dg):
        return dg * at.live, []


class Features(Stage):
    """The positions of an image to one row: their mean, or all channels in channels-first order.

    Linear, so that its derivatives are itself and its adjoint.
    """

    def __init__(self, images: int, positions: int, mean: bool):
        self.images, self.positions, self.mean = images, positions, mean

    def forward(self, x, w):
        return self._collect(x), None

    def backward(self, at, w, g):
        return self._distribute(g), []

    def tangent(self, at, w, dx, dw):
        return self._collect(dx)

    def curvature(self, at, w, dw, g, dg):
        return self._distribute(dg), []

    def _collect(self, x):
        tasks, _, channels = x.shape
        x = x.reshape([tasks * self.images, self.positions, channels])
        x = total(x) * (1 / self.positions) if self.mean else x.transpose([0, 2, 1])
        return x.reshape([tasks, self.images, -1])

    def _distribute(self, g):
        tasks, images, features = g.shape
        if self.mean:
            g = spread(g.reshape([tasks * images, 1, features]), self.positions)
            g = g * (1 / self.positions)
        else:
            g = g.reshape([tasks * images, -1, self.positions]).transpose([0, 2, 1]).contiguous()
        return g.reshape([tasks, images * self.positions, -1])


class Block(Stage):
    """Patches, a product, batch norm, ReLU and perhaps pooling: the block of a Conv4 or an MLP.

    With the patches P of x (`patches`, of a linear layer x itself), M rows of them, and the
    products y = P W:

        c = y - mean(y)     r = 1 / sqrt(mean(c^2) + epsilon)     s = gamma r
        z = relu(s pool(c) + beta)

    which is batch norm, ReLU and max-pooling, in this order, wherever gamma >= 0: pooling first
    leaves a quarter of the rows to normalise. Where gamma < 0 the channel's filter and gamma both
    change their sign before, which changes nothing else.

    With g the gradient in s pool(c) + beta, spread over the windows by K, and q = sum(g pool(c)):

        in beta:  sum(g)     in gamma:  r q     in y:  K(s g) - s sum(g) / M + b c,
        b = -s r^2 q / M

    of which the last is batch norm's usual gradient with x_hat = c r. The other two methods are the
    derivatives of these lines, with dr = -r^3 mean(c dy).
    """

    def __init__(self, patches, epsilon: float):
        self.patches, self.epsilon = patches, epsilon

    @property
    def size(self):
        """Height and width of the images that it puts out."""
        return self.patches.size

    def numbers(self, images, inputs, outputs):
        return self.patches.rows(images) * (2 * inputs + 6 * outputs)

    def forward(self, x, w):
        at = SimpleNamespace(sign=_sign(w[1]) if self.patches.pools else None)
        at.filters, at.gamma = _turned(w[0], at.sign), _turned(w[1], at.sign)
        mean_square = self._centre(x, at)
        at.r = paddle.rsqrt(mean_square + self.epsilon)
        at.s = at.gamma * at.r
        at.top, at.windows = self.patches.pool(at.c)
        z = nn.functional.relu(_affine(at.top, at.s, w[2]))
        at.live = positive(z)
        return z, at

    def backward(self, at, w, gz):
        rows = at.c.shape[1]
        at.g = gz * at.live
        at.sum_g, at.q = total(at.g), total(at.g * at.top)
        at.b = at.s * at.r * at.r * at.q * (-1 / rows)
        sparse = self.patches.unpool(at.g * spread(at.s, at.g.shape[1]), at.windows, rows)
        gx, gw = self._gradients(at, sparse, at.s * at.sum_g * (-1 / rows))
        return gx, [_turned(gw, at.sign), _turned(at.r * at.q, at.sign), at.sum_g]

    def tangent(self, at, w, dx, dw):
        at.d_filters, d_gamma = _turned(dw[0], at.sign), _turned(dw[1], at.sign)
        mean_product = self._centre_along(dx, at)
        at.dr = -at.r * at.r * at.r * mean_product
        at.ds = d_gamma * at.r + at.gamma * at.dr
        at.d_top = self.patches.pool_along(at.dc, at.windows)
        dz = at.d_top * spread(at.s, at.top.shape[1]) + _affine(at.top, at.ds, dw[2])
        return dz * at.live

    def curvature(self, at, w, dw, gz, dgz):
        rows, rr = at.c.shape[1], at.r * at.r
        dg = dgz * at.live
        d_sum, dq = total(dg), total(dg * at.top + at.g * at.d_top)
        d_shift = (at.ds * at.sum_g + at.s * d_sum) * (-1 / rows)
        db = (at.ds * rr * at.q + 2 * at.s * at.r * at.dr * at.q + at.s * rr * dq) * (-1 / rows)
        pooled = dg * spread(at.s, dg.shape[1]) + at.g * spread(at.ds, dg.shape[1])
        sparse = self.patches.unpool(pooled, at.windows, rows)
        dgx, dgw = self._gradients_along(at, sparse, d_shift, db)
        d_gamma = at.dr * at.q + at.r * dq
        return dgx, [_turned(dgw, at.sign), _turned(d_gamma, at.sign), d_sum]

    def _centre(self, x, at):
        """Set c; returns mean(c^2)."""
        at.p = self.patches.collect(x)
        at.c = _centred(self.patches.correlate(at.p, at.filters))
        return total(at.c * at.c) * (1 / at.c.shape[1])

    def _centre_along(self, dx, at):
        """Set dc; returns mean(c dc)."""
        dy = self.patches.correlate(at.p, at.d_filters)
        if self.patches.follows:
            at.dp = self.patches.collect(dx)
            dy = dy + self.patches.correlate(at.dp, at.filters)
        at.dc = _centred(dy)
        return total(at.c * at.dc) * (1 / at.c.shape[1])

    def _gradients(self, at, sparse, shift):
        """In x and in the filters, where sparse + b c + shift is that in y."""
        at.gy = sparse + _affine(at.c, at.b, shift)
        gx = None
        if self.patches.follows:
            gx = self.patches.distribute(self.patches.in_patches(at.gy, at.filters))
        return gx, self.patches.in_filters(at.p, at.gy)

    def _gradients_along(self, at, sparse, d_shift, db):
        """The derivative of `_gradients`."""
        dgy = sparse + _affine(at.c, db, d_shift) + at.dc * spread(at.b, at.c.shape[1])
        dgx, dgw = None, self.patches.in_filters(at.p, dgy)
        if self.patches.follows:
            dgw = dgw + self.patches.in_filters(at.dp, at.gy)
            dgp = self.patches.in_patches(dgy, at.filters)
            dgp = dgp + self.patches.in_patches(at.gy, at.d_filters)
            dgx = self.patches.distribute(dgp)
        return dgx, dgw


class DataBlock(Block):
    """A first block, whose input is data: no statistic of it needs a pass over its outputs.

    With centred patches, P - mean(P), the products are centred themselves, and with their
    covariance C, whose size is that of a patch,

        mean(c^2) = diag(W' C W)     mean(c dc) = diag(W' C dW)     P' c = M C W.

    What `Block` adds to every row of the gradient in y has no effect: the patches sum to zero.
    """

    def data(self, x):
        """What `forward` takes instead: the centred patches and their covariance."""
        p = _centred(self.patches.of(x))
        return p, product(p, p, transpose_a=True) * (1 / p.shape[1])

    def _centre(self, x, at):
        at.p, covariance = x
        at.c, at.covariance = product(at.p, at.filters), covariance
        at.cw = product(covariance, at.filters)
        return total(at.filters * at.cw)

    def _centre_along(self, dx, at):
        at.dc = product(at.p, at.d_filters)
        at.d_cw = product(at.covariance, at.d_filters)
        return total(at.cw * at.d_filters)

    def _gradients(self, at, sparse, shift):
        slope = spread(at.b * at.c.shape[1], at.cw.shape[1])
        return None, product(at.p, sparse, transpose_a=True) + at.cw * slope

    def _gradients_along(self, at, sparse, d_shift, db):
        rows, width = at.c.shape[1], at.cw.shape[1]
        dgw = product(at.p, sparse, transpose_a=True) + at.cw * spread(db * rows, width)
        return None, dgw + at.d_cw * spread(at.b * rows, width)


def _centred(x):
    """x - mean(x) over rows."""
    rows = x.shape[1]
    return x - spread(total(x) * (1 / rows), rows)


def _affine(x, scale, shift):
    """x scale + shift per channel."""
    return x * spread(scale, x.shape[1]) + spread(shift, x.shape[1])


def _sign(x):
    """1 where x >= 0, else -1."""
    return 1 - 2 * (x < 0).astype(x.dtype)


def _turned(x, sign):
    """`x` with the sign of each channel; None for all channels as they are."""
    return x if sign is None else x * spread(sign, x.shape[1])
