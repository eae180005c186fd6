"""The block of a convolution, in the form that suits the device and the convolution."""

from __future__ import annotations

from functools import lru_cache

from .native import NativeBlock, library
from .patches import Patches
from .stages import Block, DataBlock
from .tiles import Tiles


def block(tasks, images, size, conv, norm, pools, follows):
    """The stage of a convolution, batch norm and ReLU, and of 2x2 max-pooling if it `pools`.

    Parameters
    ----------
    tasks, images : int
        How many tasks, and images of each.
    size : (int, int)
        Height and width of the images.
    conv : paddle.nn.Conv2D
        Without bias, groups or dilation.
    norm : paddle.nn.BatchNorm2D
    pools, follows : bool
        Whether max-pooling comes behind; whether the images have a gradient.
    """
    weight = conv.weight
    of = tasks, images, size, tuple(weight.shape), tuple(conv._stride), _pair(conv._padding)
    how = pools, follows, norm._epsilon
    kernels = library(str(weight.dtype).rpartition(".")[2]) if weight.place.is_cpu_place() else None
    if kernels and NativeBlock.fits(weight.shape, follows):
        return _native(kernels, *of, *how)
    return _block(*of, *how, weight.dtype, str(weight.place))


@lru_cache(maxsize=64)  # for what they have looked up: which pixels make a patch
def _native(kernels, *settings):
    return NativeBlock(kernels, *settings)


@lru_cache(maxsize=64)
def _block(tasks, images, size, weight, stride, padding, pools, follows, epsilon, dtype, device):
    kernel = weight[2:]
    if follows and Tiles.fit(size, kernel, stride, padding, pools):
        return Block(Tiles(tasks, images, size, padding, dtype), epsilon)
    patches = Patches(tasks, images, size, kernel, stride, padding, pools, follows)
    return (Block if follows else DataBlock)(patches, epsilon)


def _pair(padding):
    return (padding,) * 2 if isinstance(padding, int) else tuple(padding)
