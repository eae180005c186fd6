"""Sums, extremes and norms over axes; sorting and accumulating along one."""

from __future__ import annotations

from .common import normal, positive

X = {"x": normal(4, 5)}
CUBE = {"x": normal(3, 4, 2)}
POSITIVE = {"x": positive(4, 5)}

FUNCTIONS = {
    "x.sum()": X,
    "x.sum(1)": X,
    "paddle.mean(x)": X,
    "x.mean(0)": X,
    "paddle.prod(x)": POSITIVE,
    "paddle.prod(x, 1)": POSITIVE,
    "paddle.var(x, 1)": X,
    "paddle.std(x, 1)": X,
    "paddle.logsumexp(x)": X,
    "paddle.logsumexp(x, 1)": X,
    "paddle.logsumexp(x, [0, 2], keepdim=True)": CUBE,
    "paddle.max(x)": X,
    "x.max(1)": X,
    "x.max([0, -1], keepdim=True)": CUBE,
    "x.min(0)": X,
    "paddle.amax(x)": X,
    "x.amax(1)": X,
    "x.amax([0, -1], keepdim=True)": CUBE,
    "x.amin(0)": X,
    "paddle.norm(x)": X,
    "paddle.norm(x, axis=1)": X,
    "paddle.norm(x, 1, axis=1)": X,
    "paddle.norm(x, 3, axis=1)": X,
    "paddle.norm(x, float('inf'), axis=1)": X,
    "paddle.norm(x, p=2)": X,
    "F.normalize(x)": X,
    "F.normalize(x, p=3, axis=0)": X,
    "paddle.cumsum(x)": X,
    "paddle.cumsum(x, 1)": X,
    "paddle.cumprod(x, 1)": POSITIVE,
    "paddle.logcumsumexp(x, 1)": X,
    "paddle.cummax(x, 1)[0]": X,
    "paddle.cummin(x, 1)[0]": X,
    "paddle.sort(x, 1)": X,
    "paddle.sort(x, 0, descending=True)": X,
    "paddle.topk(x, 2)[0]": X,
    "paddle.kthvalue(x, 2, 1)[0]": X,
    "paddle.mode(x, 1)[0]": X,
    "paddle.median(x, 1)": X,
    "paddle.quantile(x, 0.3, 1)": X,
    "paddle.diff(x)": X,
    "paddle.renorm(x, 2.0, 0, 1.0)": X,
    "paddle.trace(x)": X,
    "paddle.nansum(x, 1)": X,
    "paddle.nanmean(x, 1)": X,
}
IMPOSSIBLE = {"paddle.renorm(x, 2.0, 0, 1.0)"}
