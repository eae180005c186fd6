"""A block of a network in C++; see `paddle_maml.batched` for the methods."""

from __future__ import annotations

import ctypes
import math
from types import SimpleNamespace

import numpy as np
import paddle
from paddle import _C_ops

from ...convolution import patch_rows
from ...inner_loop import learned
from ..resources import cores
from ..stages import Stage

SIDES = 2, 4  # of tiles
POINTER = ctypes.c_void_p


class Convolution(ctypes.Structure):
    """As in convolution.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "height", "width", "channels")),
        *((name, ctypes.c_int) for name in ("out_height", "out_width", "filters")),
        *((name, ctypes.c_int * 2) for name in ("kernel", "stride", "pad")),
        ("tile", ctypes.c_int),
        *((name, POINTER) for name in ("begin", "outputs", "inputs")),
    ]


class Shape(ctypes.Structure):
    """As in block.h."""

    _fields_ = [
        ("conv", Convolution),
        *((name, ctypes.c_int) for name in ("tasks", "threads", "pools")),
        ("epsilon", ctypes.c_double),
    ]


class Point(ctypes.Structure):
    """As in block.h."""

    _fields_ = [
        (name, POINTER)
        for name in (
            *("x", "filters", "gamma", "beta", "y", "top", "place", "mean", "r", "z"),
            *("gz", "sum_g", "q", "gy"),
            *("dx", "d_filters", "d_gamma", "d_beta", "dy", "d_top", "d_mean", "dr"),
        )
    ]


class Patches(ctypes.Structure):
    """As in data_block.h."""

    _fields_ = [(name, POINTER) for name in ("patch_mean", "covariance", "cw", "d_cw")]


class NativeBlock(Stage):
    """`Block`, or `DataBlock` if `follows` is false, on the CPU.

    Parameters
    ----------
    library : ctypes.CDLL
    tasks, images : int
        How many tasks, and images of each.
    size : (int, int)
        Height and width of the images.
    weight : (int, int, int, int)
        Filters, channels, and height and width of the kernel.
    stride, padding : (int, int)
        As of `paddle.nn.Conv2D`.
    pools, follows : bool
        Whether 2x2 max-pooling comes behind; whether the images have a gradient.
    epsilon : float
        Of the batch norm.
    """

    def __init__(
        self, library, tasks, images, size, weight, stride, padding, pools, follows, epsilon
    ):
        self.library, self.tasks, self.pools, self.follows = library, tasks, pools, follows
        self.filters, channels, *kernel = weight
        rows = patch_rows(images, size, kernel, stride, np.repeat(padding, 2))
        outputs = rows.shape[1:3]
        self.size = tuple(n // 2 if pools else n for n in outputs)
        self.rows_in, self.channels = images * size[0] * size[1], channels
        self.rows = images * outputs[0] * outputs[1]
        self.windows = images * self.size[0] * self.size[1]
        self.width = channels * kernel[0] * kernel[1]
        self.tables = _meeting(rows.reshape(self.rows, -1), self.rows_in)  # kept alive for C++
        tile = _tile(images, outputs, kernel, stride, len(self.tables[1]))
        conv = Convolution(
            *(images, *size, channels, *outputs, self.filters),
            *((ctypes.c_int * 2)(*pair) for pair in (kernel, stride, padding)),
            tile,
            *(table.ctypes.data for table in self.tables),
        )
        self.shape = Shape(conv, tasks, cores(), pools, epsilon)

    @staticmethod
    def fits(weight, follows) -> bool:
        """Whether the filters fill vectors, and so do the channels where they have a gradient."""
        return weight[0] % 16 == 0 and (not follows or weight[1] % 16 == 0)

    def data(self, x):
        """What `forward` takes of a first block: images, and the statistics of their patches."""
        if self.follows:
            return x
        at = SimpleNamespace(x=self._fitting(x).contiguous())
        self._make(at, patch_mean=[self.width], covariance=[self.width, self.width])
        self._run(self.library.patches, *map(_pointer, (at.x, at.patch_mean, at.covariance)))
        return at

    def forward(self, x, w):
        at = SimpleNamespace(**({"x": self._fitting(x)} if self.follows else vars(x)))
        at.filters, at.gamma, at.beta = w
        if self.follows:
            self._make(at, y=[self.rows, self.filters])
        else:
            self._make(at, cw=[self.width, self.filters])
        self._make_top(at, "top", "y")
        if self.pools:
            at.place = paddle.empty([self.tasks, self.windows, self.filters], "uint8")
        self._make(at, mean=[1, self.filters], r=[1, self.filters], z=[self.windows, self.filters])
        self._call("block_forward", at)
        return at.z, at

    def backward(self, at, w, gz):
        at.gz = gz
        if self.follows:
            self._make(at, gy=[self.rows, self.filters])
        self._make(at, sum_g=[1, self.filters], q=[1, self.filters])
        gx, gw, g_gamma = self._gradients(at)
        self._call("block_backward", at, gx, gw, g_gamma)
        return gx, [gw, g_gamma, at.sum_g.clone()]  # its own: `stepped` writes there

    def tangent(self, at, w, dx, dw):
        at.dx = dx
        at.d_filters, at.d_gamma, at.d_beta = dw
        if self.follows:
            self._make(at, dy=[self.rows, self.filters])
        else:
            self._make(at, d_cw=[self.width, self.filters])
        self._make_top(at, "d_top", "dy")
        self._make(at, d_mean=[1, self.filters], dr=[1, self.filters])
        dz = self._empty(at, [self.windows, self.filters])
        self._call("block_tangent", at, dz)
        return dz

    def curvature(self, at, w, dw, gz, dgz):
        dgx, dgw, dg_gamma = self._gradients(at)
        dg_beta = self._empty(at, [1, self.filters])
        self._call("block_curvature", at, dgz, dgx, dgw, dg_gamma, dg_beta)
        return dgx, [dgw, dg_gamma, dg_beta]

    def stepped(self, w, gradients, rates):
        """As of `Stage`, in the memory of the gradients if all rates are numbers."""
        if any(map(learned, rates)):
            return super().stepped(w, gradients, rates)
        for p, g, rate in zip(w, gradients, rates):
            how = ctypes.c_long(math.prod(p.shape)), self.shape.threads, ctypes.c_double(rate)
            self.library.gradient_step(*how, _pointer(p), _pointer(g))
        return gradients

    def numbers(self, images, inputs, outputs):
        return (2 * self.rows * self.follows + 5 * self.windows) * outputs

    def _fitting(self, x):
        """x, if it is as large as C++ will take it for."""
        expected = [self.tasks, self.rows_in, self.channels]
        if list(x.shape) != expected:
            raise ValueError(f"a block of the net takes {expected}, but gets {list(x.shape)}.")
        return x

    def _gradients(self, at):
        """Room for those in the images, where they have one, the filters and gamma."""
        gx = self._empty(at, [self.rows_in, self.channels]) if self.follows else None
        return gx, self._empty(at, [self.width, self.filters]), self._empty(at, [1, self.filters])

    def _make_top(self, at, top, outputs):
        """Room for the chosen outputs; without pooling they are all outputs."""
        if self.pools or not self.follows:
            self._make(at, **{top: [self.windows, self.filters]})
        else:
            setattr(at, top, getattr(at, outputs))

    def _make(self, at, **shapes):
        for name, shape in shapes.items():
            setattr(at, name, self._empty(at, shape))

    def _empty(self, at, shape):
        return _C_ops.empty([self.tasks, *shape], at.x.dtype, at.x.place)

    def _call(self, function, at, *arguments):
        patches = None if self.follows else ctypes.byref(_structure(Patches, at))
        point = ctypes.byref(_structure(Point, at))
        self._run(getattr(self.library, function), patches, point, *map(_pointer, arguments))

    def _run(self, function, *arguments):
        if function(ctypes.byref(self.shape), *arguments):
            raise MemoryError("there is no memory for the tasks of a meta-step: lower task_chunk.")


def _structure(kind, at):
    """The arrays of `at` that a structure names."""
    return kind(*(_pointer(getattr(at, name, None)) for name, _ in kind._fields_))


def _pointer(x):
    if x is None:
        return None
    if not x.is_contiguous():
        raise ValueError(f"C++ was to take an array of shape {list(x.shape)} that has gaps.")
    return POINTER(x.data_ptr())


def _meeting(rows, outside):
    """By tap, the rows of y and x that meet: where each tap begins, rows of y, rows of x."""
    taps, outputs = np.nonzero(rows.T != outside)
    begin = np.searchsorted(taps, np.arange(rows.shape[1] + 1))
    return [np.ascontiguousarray(t, "int32") for t in (begin, outputs, rows.T[taps, outputs])]


def tile_products(images, outputs, side) -> int:
    """Products for each channel and filter in Winograd's tiles of `side` x `side` outputs."""
    return images * (side + 2) ** 2 * -(-outputs[0] // side) * -(-outputs[1] // side)


def _tile(images, outputs, kernel, stride, products) -> int:
    """The side of the tiles that need the fewest products; 0: too few are saved."""
    if kernel != [3, 3] or stride != (1, 1):
        return 0
    counts = {side: tile_products(images, outputs, side) for side in SIDES}
    side = min(counts, key=counts.get)
    return side if counts[side] < 0.9 * products else 0
