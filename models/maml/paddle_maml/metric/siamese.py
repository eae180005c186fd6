"""Siamese networks (Koch, Zemel and Salakhutdinov, 2015)."""

from __future__ import annotations

from paddle import nn

from .comparison import differences, highest, members
from .method import MetricMethod, embedded


class Siamese(MetricMethod):
    r"""Learn whether two examples are of one class, and take the class of the likest one.

    .. math:: p(x_1, x_2) = \sigma\Big(\sum_j \alpha_j |f_j(x_1) - f_j(x_2)| + \beta\Big)

    ("Siamese Neural Networks for One-shot Image Recognition", section 3.1), trained by binary
    cross-entropy on the pairs of a query and a support example of its task. There are more pairs of
    two classes than of one; they weigh the same in sum, as the paper draws them equally often.

    Parameters
    ----------
    embedding : paddle.nn.Layer
        The twin network f: (example, ...) -> features (example, width).
    width : int
        Length of the features.

    Examples
    --------
    >>> import paddle
    >>> from paddle_maml import Siamese
    >>> siamese = Siamese(paddle.nn.Linear(3, 8), width=8)
    >>> x, y = paddle.randn([4, 2, 3]), paddle.to_tensor([[0, 1]] * 4)  # 4 tasks of 2 examples
    >>> loss, logits = siamese(x, y, x, y)
    >>> loss.backward()
    >>> list(siamese.adapt(x[0], y[0])(x[0]).shape)
    [2, 2]
    """

    def __init__(self, embedding: nn.Layer, width: int):
        super().__init__(embedding)
        self.similarity = nn.Linear(width, 1)  # alpha and beta

    def logits(self, query, support, members):
        return highest(self._similarities(query, support), members)

    def forward(self, support_x, support_y, query_x, query_y):
        """As `MetricMethod.forward`, but the loss is that of the pairs."""
        support, query = embedded(self.embedding, support_x, query_x)
        similarities = self._similarities(query, support)
        same = (query_y.unsqueeze(-1) == support_y.unsqueeze(-2)).astype(similarities.dtype)
        logits = highest(similarities, members(support_y, similarities.dtype))
        return pair_loss(similarities, same), logits.detach()

    def _similarities(self, query, support):
        return self.similarity(differences(query, support).abs()).squeeze(-1)


def pair_loss(similarities, same):
    """Binary cross-entropy; the pairs of one class weigh as much as those of two.

    Parameters
    ----------
    similarities : Tensor
        Logits.
    same : Tensor
        1 for a pair of one class, 0 for one of two.
    """
    losses = nn.functional.softplus((1 - 2 * same) * similarities)
    return ((losses * same).sum() / same.sum() + (losses * (1 - same)).sum() / (1 - same).sum()) / 2
