"""The compiled blocks, held to those of `paddle_maml.batched.stages`, method by method."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from typing import NamedTuple

import numpy as np
import paddle
import pytest
from paddle_maml.batched.native import NativeBlock, library
from paddle_maml.batched.patches import Patches
from paddle_maml.batched.stages import Block, DataBlock

TASKS, IMAGES = 3, 5
EPSILON = 0.125  # Paddle 2.6 adds numbers in float32
CLOSE = {"float64": 1e-11, "float32": 2e-5}


class Case(NamedTuple):
    size: tuple
    channels: int = 16
    filters: int = 16
    kernel: tuple = (3, 3)
    stride: tuple = (1, 1)
    padding: tuple = (1, 1)
    pools: bool = True
    follows: bool = True


CASES = {
    "tiles of 4": Case((8, 8)),
    "tiles of 4 at odd sizes": Case((7, 9)),
    "tiles of 2": Case((6, 6), padding=(0, 0)),
    "tiles beyond the padding": Case((6, 5), padding=(2, 2)),
    "tiles without pooling": Case((8, 5), pools=False),
    "more channels than filters": Case((6, 6), 48, 32),
    "more filters than channels": Case((6, 6), 32, 80),
    "one window": Case((3, 3)),
    "one pixel": Case((1, 1), pools=False),
    "strides": Case((7, 6), stride=(2, 2), pools=False),
    "unlike strides and padding": Case((9, 7), stride=(1, 2), padding=(0, 1)),
    "another kernel": Case((6, 7), kernel=(5, 1), padding=(2, 0)),
    "strides and pooling": Case((14, 14), stride=(3, 3)),
    "grey images": Case((8, 8), 1, follows=False),
    "colour images at odd sizes": Case((9, 7), 3, 32, follows=False),
    "images with strides": Case((9, 8), 1, stride=(2, 2), pools=False, follows=False),
    "images with another kernel": Case((9, 8), 2, 48, (5, 4), (2, 1), (2, 1), follows=False),
}


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    paddle.seed(0)
    paddle.set_default_dtype(request.param)
    yield request.param
    paddle.set_default_dtype("float32")


def blocks(case, kernels):
    of = TASKS, IMAGES, case.size
    weight = case.filters, case.channels, *case.kernel
    given = case.stride, case.padding, case.pools, case.follows
    kind = Block if case.follows else DataBlock
    return (
        NativeBlock(kernels, *of, weight, *given, EPSILON),
        kind(Patches(*of, case.kernel, *given), EPSILON),
    )


def parameters(case):
    width = case.channels * case.kernel[0] * case.kernel[1]
    return [
        paddle.randn([TASKS, rows, case.filters]) * scale
        for rows, scale in ((width, width**-0.5), (1, 1), (1, 1))
    ]


def same(found, expected, dtype):
    found, expected = (t.numpy().reshape(-1) for t in (found, expected))
    assert np.abs(found - expected).max() <= CLOSE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("name", CASES)
def test_every_method_gives_the_same(name, dtype):
    assert_same_methods(CASES[name], library(dtype), dtype)


@pytest.mark.parametrize("name", ["tiles of 4 at odd sizes", "strides", "grey images"])
def test_without_avx512(name, dtype, monkeypatch):
    """As on a processor with vectors half as wide."""
    module = sys.modules["paddle_maml.batched.native.library"]
    monkeypatch.setattr(module, "FLAGS", [*module.FLAGS, "-mno-avx512f"])
    kernels = ctypes.CDLL(str(module._compiled("g++", module.TYPES[dtype])))
    assert_same_methods(CASES[name], kernels, dtype)


def assert_same_methods(case, kernels, dtype):
    pair = blocks(case, kernels)
    rows = IMAGES * case.size[0] * case.size[1]
    x, w, dw = paddle.randn([TASKS, rows, case.channels]), parameters(case), parameters(case)
    dx = paddle.randn(x.shape) if case.follows else None
    z, points = zip(*(block.forward(block.data(x), w) for block in pair))
    same(*z, dtype)
    assert pair[0].size == pair[1].size

    gz, dgz = paddle.randn(z[0].shape), paddle.randn(z[0].shape)
    gx, gw = zip(*(block.backward(at, w, gz) for block, at in zip(pair, points)))
    dz = [block.tangent(at, w, dx, dw) for block, at in zip(pair, points)]
    dgx, dgw = zip(*(block.curvature(at, w, dw, gz, dgz) for block, at in zip(pair, points)))
    same(*dz, dtype)
    for found, expected in zip(gw[0] + dgw[0], gw[1] + dgw[1]):
        same(found, expected, dtype)
    for found, expected in (gx, dgx):
        assert (found is None) == (expected is None) == (not case.follows)
        if case.follows:
            same(found, expected, dtype)


def test_of_equal_outputs_the_first_is_chosen(dtype):
    """A pixel that repeats gives equal outputs; gradients go to the upper left one alone."""
    block, _ = blocks(Case((4, 4), 1, kernel=(1, 1), padding=(0, 0), follows=False), library(dtype))
    x = paddle.ones([TASKS, IMAGES * 16, 1])
    x[:, 16:] = paddle.randn([TASKS, IMAGES * 16 - 16, 1])
    w = parameters(Case((4, 4), 1, kernel=(1, 1)))
    _, at = block.forward(block.data(x), w)
    assert int(at.place[:, :4].astype("int64").sum()) == 0


def test_an_inner_step(dtype):
    block, _ = blocks(Case((4, 4)), library(dtype))
    w, g = paddle.randn([3, 5, 7]), paddle.randn([3, 5, 7])
    expected = (w - 0.25 * g).numpy()
    (stepped,) = block.stepped([w], [g], [0.25])
    np.testing.assert_allclose(stepped.numpy(), expected, rtol=1e-6, atol=1e-7)


def test_threads_change_nothing(dtype):
    case = CASES["tiles of 4"]
    x, w = paddle.randn([TASKS, IMAGES * 64, 16]), parameters(case)
    found = []
    for threads in (1, 3):
        block, _ = blocks(case, library(dtype))
        block.shape.threads = threads
        z, at = block.forward(x, w)
        found.append([z, *block.backward(at, w, paddle.ones_like(z))[1]])
    for one, three in zip(*found):
        assert (one.numpy() == three.numpy()).all()


def test_what_does_not_fill_vectors_does_not_fit():
    assert NativeBlock.fits((32, 3, 3, 3), follows=False)
    assert NativeBlock.fits((32, 48, 3, 3), follows=True)
    assert not NativeBlock.fits((20, 3, 3, 3), follows=False)
    assert not NativeBlock.fits((32, 24, 3, 3), follows=True)


def test_an_array_with_gaps_is_refused(dtype):
    case = Case((4, 4))
    block, _ = blocks(case, library(dtype))
    z, at = block.forward(paddle.randn([TASKS, IMAGES * 16, 16]), w := parameters(case))
    turned = paddle.ones([z.shape[0], z.shape[2], z.shape[1]]).transpose([0, 2, 1])
    with pytest.raises(ValueError, match="has gaps"):
        block.backward(at, w, turned)


def test_a_forked_process_computes_alone(dtype):
    """The threads of its parent's team are not in it."""
    case = Case((8, 8))
    block, _ = blocks(case, library(dtype))
    x, w = paddle.randn([TASKS, IMAGES * 64, 16]), parameters(case)
    block.shape.threads = 3
    expected = block.forward(x, w)[0].numpy()
    child = os.fork()
    if not child:
        signal.alarm(30)
        found = block.forward(x, w)[0].numpy()
        os._exit(0 if (found == expected).all() else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("follows", [True, False])
def test_arrays_that_cpp_would_take_for_others_are_refused(follows, dtype):
    case = Case((4, 4), follows=follows)
    block, _ = blocks(case, library(dtype))
    for shape in ([TASKS, IMAGES * 16, 15], [TASKS, IMAGES * 16 - 1, 16], [TASKS - 1, 80, 16]):
        with pytest.raises(ValueError, match="but gets"):
            block.forward(block.data(paddle.zeros(shape)), parameters(case))
