"""3x3 convolution before 2x2 max-pooling with less than half of the multiplications."""

from __future__ import annotations

import numpy as np
import paddle

from ..convolution import patch_rows
from .arrays import combined, product
from .patches import Patches, Rows, look_up

# Winograd's F(2, 3), in the form of Lavin and Gray (2016, "Fast Algorithms for Convolutional Neural
# Networks", equations 7 and 8): two outputs out of four inputs d and three taps g are
# OUTPUT [(TAPS g) * (INPUT d)]. In two dimensions each matrix is its Kronecker product with itself.
INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
TAPS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])


class Tiles(Patches):
    """Tiles of 4x4 pixels, each for the four outputs of one window of the pooling.

    Instead of nine taps times four outputs a tile costs sixteen products; the transforms before and
    behind are linear, so that each gradient is made of the transposed ones. What `Patches` calls
    the patches are here the transformed tiles, (task and place in the tile, tile, channel).
    """

    def __init__(self, tasks, images, size, padding, dtype):
        Rows.__init__(self, follows=True)
        self.tasks, self.pools, self.rest = tasks, True, 0
        self.rows_in, self.outside = images * size[0] * size[1], tasks * images * size[0] * size[1]
        rows = patch_rows(tasks * images, size, (4, 4), (2, 2), np.repeat(padding, 2))
        self.size = rows.shape[1:3]
        self.quarter = images * self.size[0] * self.size[1]
        by_place = rows.reshape(tasks, self.quarter, 16).transpose(0, 2, 1)
        self.table = paddle.to_tensor(by_place.ravel(), "int64")
        self.input, self.filter, self.output = (
            paddle.to_tensor(np.kron(m, m), dtype) for m in (INPUT, TAPS, OUTPUT)
        )

    @staticmethod
    def fit(size, kernel, stride, padding, pools) -> bool:
        """Whether a layer is such a convolution, and its outputs fall into whole windows."""
        even = all((n + 2 * p - 2) % 2 == 0 for n, p in zip(size, padding))
        return pools and kernel == (3, 3) and stride == (1, 1) and even

    def rows(self, images):
        return 4 * self.quarter

    def of(self, x):
        found = look_up(x, self.table, self.outside)
        return self._each(combined(self.input, found.reshape([self.tasks, 16, -1])), self.quarter)

    def distribute(self, g):
        pixels = combined(self.input, g.reshape([self.tasks, 16, -1]), transpose=True)
        return self._add_up(pixels.reshape([-1, g.shape[-1]]))

    def correlate(self, p, filters):
        y = product(p, self._transformed(filters, p.shape[-1]))
        y = combined(self.output, y.reshape([self.tasks, 16, -1]))
        return y.reshape([self.tasks, 4 * self.quarter, -1])

    def in_patches(self, g, filters):
        channels = filters.shape[1] // 9
        return product(self._untransformed(g), self._transformed(filters, channels), False, True)

    def in_filters(self, p, g):
        gu = product(p, self._untransformed(g), transpose_a=True)
        gu = combined(self.filter, gu.reshape([self.tasks, 16, -1]), transpose=True)
        return gu.reshape([self.tasks, 9 * p.shape[-1], -1])

    def _transformed(self, filters, channels):
        u = combined(self.filter, filters.reshape([self.tasks, 9, -1]))
        return self._each(u, channels)

    def _untransformed(self, g):
        """The adjoint of the transform behind."""
        g = combined(self.output, g.reshape([self.tasks, 4, -1]), transpose=True)
        return self._each(g, self.quarter)

    def _each(self, x, rows):
        """By task and place in the tile."""
        return x.reshape([self.tasks * 16, rows, -1])
