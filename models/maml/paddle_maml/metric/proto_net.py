"""Prototypical networks (Snell, Swersky and Zemel, 2017, arXiv:1703.05175)."""

from __future__ import annotations

from .comparison import differences
from .method import MetricMethod


class ProtoNet(MetricMethod):
    r"""Classify by the nearest mean of a class in an embedding f.

    .. math:: c_k = \frac{1}{|S_k|} \sum_{x \in S_k} f(x), \qquad
        p(k \mid x) \propto \exp(-\|f(x) - c_k\|^2)

    (equations 1 and 2, with the squared Euclidean distance of section 2.7).

    Parameters
    ----------
    embedding : paddle.nn.Layer
        (example, ...) -> features (example, width).

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import ProtoNet
    >>> proto_net = ProtoNet(paddle.nn.Identity())
    >>> support_x = paddle.to_tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [2.0, 3.0]])
    >>> classify = proto_net.adapt(support_x, paddle.to_tensor([0, 0, 1, 1]))
    >>> classify(paddle.to_tensor([[1.0, 1.0]])).tolist()  # prototypes (1, 0) and (1, 3)
    [[-1.0, -4.0]]
    """

    def logits(self, query, support, members):
        means = members / members.sum(-2, keepdim=True)
        prototypes = means.matmul(support, transpose_x=True)
        return -differences(query, prototypes).square().sum(-1)
