"""Linear algebra that can be differentiated twice."""

from __future__ import annotations

import paddle

from .gradients import with_gradient
from .linear_maps import tril, triu
from .native import native


def inverse(x):
    def gradient(g, x):
        y = _transposed(inverse(x))
        return [-(y @ g @ y)]

    return with_gradient(native.inverse, gradient, x)


def determinant(x):
    def gradient(g, x):
        return [(g * determinant(x)).unsqueeze([-1, -2]) * _transposed(inverse(x))]

    return with_gradient(native.det, gradient, x)


def log_determinant(x):
    """The sign of the determinant and the logarithm of its size, as a first axis."""

    def gradient(g, x):
        return [g[1].unsqueeze([-1, -2]) * _transposed(inverse(x))]

    return with_gradient(native.slogdet, gradient, x)


def solve(a, b):
    """The x of a x = b, as y + a^-1 (b - a y) with Paddle's solution y for a constant.

    So the value is Paddle's, and the derivatives are those of a^-1 b.
    """
    vector = b.ndim == 1
    b = b.unsqueeze(-1) if vector else b
    y = native.solve(a.detach(), b.detach())
    x = y + inverse(a) @ (b - a @ y)
    return x.squeeze(-1) if vector else x


def cholesky(x, upper=False):
    """The triangular L of L L^T = x; of x both halves have a gradient (Murray, 2016, eq. 10)."""

    def gradient(g, x):
        factor = cholesky(x)
        product = tril(_transposed(factor) @ g, 0)
        lower = product - 0.5 * product * paddle.eye(x.shape[-1], dtype=x.dtype)
        inverted = inverse(factor)
        found = _transposed(inverted) @ lower @ inverted
        return [0.5 * (found + _transposed(found))]

    factor = with_gradient(lambda x: native.cholesky(x, False), gradient, x)
    return _transposed(factor) if upper else factor


def cholesky_solve(b, factor, upper):
    transposed = _transposed(factor)
    return solve(transposed @ factor if upper else factor @ transposed, b)


def triangular_solve(a, b, upper, transpose, unitriangular):
    a = triu(a, 0) if upper else tril(a, 0)
    if unitriangular:
        ones = paddle.eye(a.shape[-1], dtype=a.dtype)
        a = a * (1 - ones) + ones
    return solve(_transposed(a) if transpose else a, b)


def matrix_power(x, exponent):
    if exponent < 0:
        x, exponent = inverse(x), -exponent
    power = paddle.eye(x.shape[-1], dtype=x.dtype).expand(x.shape)
    for _ in range(exponent):
        power = power @ x
    return power


def _transposed(x):
    return x.transpose([*range(x.ndim - 2), x.ndim - 1, x.ndim - 2])


OPERATORS = {
    "cholesky": cholesky,
    "cholesky_solve": cholesky_solve,
    "det": determinant,
    "inverse": inverse,
    "matrix_power": matrix_power,
    "slogdet": log_determinant,
    "solve": solve,
    "triangular_solve": triangular_solve,
}
