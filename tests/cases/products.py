"""Products of matrices, and linear algebra."""

from __future__ import annotations

from .common import normal, np

PAIR = {"x": normal(3, 4), "y": normal(4, 5, seed=1)}
BATCH = {"x": normal(2, 3, 4), "y": normal(2, 4, 5, seed=1)}
VECTORS = {"x": normal(4), "y": normal(4, seed=1)}
POSITIVE_DEFINITE = {"x": normal(3, 3) @ normal(3, 3).T + 3 * np.eye(3)}
SQUARE = {"x": normal(3, 3) + 3 * np.eye(3)}
SYSTEM = {**SQUARE, "y": normal(3, 2, seed=1)}

FUNCTIONS = {
    "paddle.matmul(x, y)": PAIR,
    "x @ y": BATCH,
    "paddle.matmul(x, y, transpose_y=True)": {"x": PAIR["x"], "y": normal(5, 4, seed=1)},
    "paddle.bmm(x, y)": BATCH,
    "paddle.mm(x, y)": PAIR,
    "paddle.mv(x, y)": {"x": PAIR["x"], "y": VECTORS["y"]},
    "paddle.dot(x, y)": VECTORS,
    "paddle.dot(rows, others)": {"rows": normal(3, 4), "others": normal(3, 4, seed=1)},
    "paddle.inner(x, y)": {"x": PAIR["x"], "y": normal(5, 4, seed=1)},
    "paddle.outer(x, y)": VECTORS,
    "paddle.kron(x, y)": {"x": normal(2, 3), "y": normal(2, 2, seed=1)},
    "paddle.cross(x, y)": {"x": normal(2, 3), "y": normal(2, 3, seed=1)},
    "paddle.tensordot(x, y, 1)": PAIR,
    "paddle.addmm(b, x, y)": {**PAIR, "b": normal(3, 5, seed=2)},
    "paddle.addmm(b, x, y, beta=0.5, alpha=2.0)": {**PAIR, "b": normal(5, seed=2)},
    "paddle.baddbmm(b, x, y)": {**BATCH, "b": normal(2, 3, 5, seed=2)},
    "paddle.einsum('ij,jk->ik', x, y)": PAIR,
    "paddle.einsum('bij,bjk->bik', x, y)": BATCH,
    "paddle.einsum('bhqd,bhkd->bhqk', x, y)": {
        "x": normal(2, 2, 3, 4), "y": normal(2, 2, 5, 4, seed=1)
    },
    "paddle.einsum('ij->ji', x)": {"x": normal(3, 4)},
    "paddle.einsum('ij->', x)": {"x": normal(3, 4)},
    "paddle.einsum('ij,jk,kl->il', x, y, z)": {**PAIR, "z": normal(5, 2, seed=2)},
    "paddle.linalg.multi_dot([x, y, z])": {**PAIR, "z": normal(5, 2, seed=2)},
    "F.linear(x, w)": {"x": normal(3, 4), "w": normal(4, 5)},
    "F.linear(x, w, b)": {"x": normal(3, 4), "w": normal(4, 5), "b": normal(5)},
    "F.bilinear(x, y, w)": {"x": normal(3, 4), "y": normal(3, 2, seed=1), "w": normal(5, 4, 2)},
    "F.bilinear(x, y, w, b)": {
        "x": normal(3, 4), "y": normal(3, 2, seed=1), "w": normal(5, 4, 2), "b": normal(1, 5)
    },
    "paddle.linalg.inv(x)": SQUARE,
    "paddle.linalg.det(x)": SQUARE,
    "paddle.linalg.slogdet(x)[1]": SQUARE,
    "paddle.linalg.solve(x, y)": SYSTEM,
    "paddle.linalg.cholesky(x + x.t())": POSITIVE_DEFINITE,
    "paddle.linalg.cholesky_solve(y, x)": {"x": np.tril(SQUARE["x"]), "y": SYSTEM["y"]},
    "paddle.linalg.triangular_solve(x, y, upper=False)": SYSTEM,
    "paddle.linalg.matrix_power(x, 3)": SQUARE,
    "paddle.linalg.pinv(x)": {"x": normal(4, 3)},
    "paddle.linalg.svd(x)[1]": {"x": normal(4, 3)},
    "paddle.linalg.qr(x)[1]": SQUARE,
    "paddle.linalg.eigvalsh(x + x.t())": POSITIVE_DEFINITE,
}  # fmt: skip
LAYERS = {
    ("nn.Linear(4, 5)", "x"): {"x": normal(3, 4)},
    ("nn.Bilinear(4, 2, 5)", "x, y"): {"x": normal(3, 4), "y": normal(3, 2, seed=1)},
}
ONLY_3 = {"paddle.baddbmm(b, x, y)"}
IMPOSSIBLE = {
    "paddle.linalg.pinv(x)",
    "paddle.linalg.svd(x)[1]",
    "paddle.linalg.qr(x)[1]",
    "paddle.linalg.eigvalsh(x + x.t())",
}
