"""What a block multiplies its filters with: patches of images, or plain rows."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import _C_ops
from paddle.nn.functional import relu

from ..convolution import patch_rows
from .arrays import product, zero


class Rows:
    """The rows as they are, for linear layers.

    `follows`: whether what comes in has a gradient. Data has none, and its patches, which `of`
    makes, stay the same from step to step: it comes in as patches.
    """

    pools = False

    def __init__(self, follows: bool):
        self.follows = follows

    def of(self, x):
        return x

    def rows(self, images):
        """How many rows a task of so many images has."""
        return images

    def collect(self, x):
        return x

    def distribute(self, g):
        return g

    def correlate(self, p, filters):
        """The products of patches with filters, and below their adjoints."""
        return product(p, filters)

    def in_patches(self, g, filters):
        return product(g, filters, transpose_b=True)

    def in_filters(self, p, g):
        return product(p, g, transpose_a=True)

    def pool(self, y):
        return y, None

    def pool_along(self, dy, windows):
        return dy

    def unpool(self, g, windows, rows):
        return g


class Patches(Rows):
    """The patches of channels-last images, (task, image and position, tap and channel).

    With `pools`, those whose outputs meet in one 2x2 window of the max-pooling behind stand a
    quarter of the rows apart: all upper left ones first, then the upper right, lower left and lower
    right ones, and last those in no window, where the height or width is odd.

    Parameters
    ----------
    tasks, images : int
        How many tasks, and images of each.
    size : (int, int)
        Height and width of the images.
    kernel, stride, padding : (int, int)
        As of `paddle.nn.Conv2D`.
    pools, follows : bool
        Whether 2x2 max-pooling comes behind; whether the images have a gradient.
    """

    def __init__(self, tasks, images, size, kernel, stride, padding, pools, follows):
        super().__init__(follows)
        self.tasks, self.pools = tasks, pools
        self.rows_in, self.taps = images * size[0] * size[1], kernel[0] * kernel[1]
        self.outside = tasks * self.rows_in
        sides = np.repeat(padding, 2)  # (top, bottom, left, right)
        rows = patch_rows(tasks * images, size, kernel, stride, sides)
        rows = rows.reshape(tasks, images, *rows.shape[1:])
        self.size, rows = _windows_first(rows) if pools else (rows.shape[2:4], rows)
        rows = rows.reshape(tasks, -1, self.taps)
        self.quarter = images * self.size[0] * self.size[1]
        self.rest = rows.shape[1] - 4 * self.quarter if pools else 0
        self.table = paddle.to_tensor(rows.ravel(), "int64")

    def rows(self, images):
        return self.table.shape[0] // (self.tasks * self.taps)

    def of(self, x):
        """The patches of x (task, image and position, channel)."""
        channels = x.shape[-1]
        found = look_up(x, self.table, self.outside)
        return found.reshape([self.tasks, -1, self.taps * channels])

    def collect(self, x):
        return self.of(x) if self.follows else x

    def distribute(self, g):
        """The adjoint of `of`: each pixel gets the sum of what its patches have got."""
        return self._add_up(g.reshape([-1, g.shape[-1] // self.taps]))

    def _add_up(self, g):
        pixels = paddle.zeros([self.outside + 1, g.shape[1]], g.dtype)
        pixels = _C_ops.scatter(pixels, self.table, g, False)
        return pixels[:-1].reshape([self.tasks, self.rows_in, -1])

    def pool(self, y):
        """The maxima of the windows, and where they are: of equal ones, the first."""
        if not self.pools:
            return y, None
        a, b, c, d = self._windows(y)
        top = paddle.maximum(paddle.maximum(a, b), paddle.maximum(c, d))
        at_a, at_b, at_c = (zero(top - v) for v in (a, b, c))
        at_b = relu(at_b - at_a)
        at_c = relu(at_c - at_a - at_b)
        return top, (at_a, at_b, at_c, 1 - at_a - at_b - at_c)

    def pool_along(self, dy, windows):
        """The derivative of `pool` along dy."""
        if not self.pools:
            return dy
        a, b, c, d = (at * v for at, v in zip(windows, self._windows(dy)))
        return (a + b) + (c + d)

    def unpool(self, g, windows, rows):
        """The adjoint of `pool_along`."""
        if not self.pools:
            return g
        parts = [at * g for at in windows]
        if self.rest:
            parts.append(paddle.zeros([self.tasks, self.rest, g.shape[2]], g.dtype))
        return paddle.concat(parts, 1)

    def _windows(self, y):
        return paddle.split(y, [self.quarter] * 4 + [self.rest] * (self.rest > 0), 1)[:4]


def look_up(x, table, outside):
    """The rows (channel) of x that a table names; zeros where it says `outside`."""
    return _C_ops.embedding(table, x.reshape([-1, x.shape[-1]]), outside, False)


def _windows_first(rows):
    """(task, image, h, w, tap) by place in the window: size after pooling, and the rows."""
    tasks, _, h, w, taps = rows.shape
    even = h // 2 * 2, w // 2 * 2
    left_over = np.ones((h, w), bool)
    left_over[: even[0], : even[1]] = False
    parts = [rows[:, :, i : even[0] : 2, j : even[1] : 2] for i in (0, 1) for j in (0, 1)]
    parts.append(rows[:, :, left_over])
    return (h // 2, w // 2), np.concatenate([p.reshape(tasks, -1, taps) for p in parts], 1)
