"""Matching networks (Vinyals et al., 2016, arXiv:1606.04080)."""

from __future__ import annotations

from paddle.nn import functional

from .method import MetricMethod


class MatchingNet(MetricMethod):
    r"""Classify by attention over the support examples, by cosine similarity in an embedding f.

    .. math:: p(k \mid x) = \sum_{i: y_i = k} a(x, x_i), \qquad
        a(x, x_i) = \operatorname{softmax}_i \cos(f(x), f(x_i))

    (equation 1 and section 2.1.1). Without full context embeddings (section 2.1.2): f knows
    nothing of the other support examples, and is the same for queries and support. The logits are
    the logarithms of p.

    Parameters
    ----------
    embedding : paddle.nn.Layer
        (example, ...) -> features (example, width).

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import MatchingNet
    >>> matching_net = MatchingNet(paddle.nn.Identity())
    >>> support_x = paddle.to_tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> classify = matching_net.adapt(support_x, paddle.to_tensor([0, 1]))
    >>> p = classify(paddle.to_tensor([[3.0, 0.0]])).exp()  # e and 1, over their sum
    >>> [round(value, 3) for value in p[0].tolist()]
    [0.731, 0.269]
    """

    def logits(self, query, support, members):
        cosines = unit(query).matmul(unit(support), transpose_y=True)
        return functional.softmax(cosines, -1).matmul(members).log()


def unit(x):
    """Vectors of length 1 in the same directions; zero, which an embedding may give, stays zero."""
    squares = x.square().sum(-1, keepdim=True)
    return x * (squares + (squares == 0).astype(x.dtype)) ** -0.5
