"""Losses."""

from __future__ import annotations

from .common import dirichlet, integers, normal, paddle, positive

X = normal(4, 5)
IMAGES = normal(2, 5, 3, 2)
LABEL = paddle.to_tensor([0, 3, 4, 3])
MAP = integers(5, 2, 3, 2)  # a label per pixel
SIGN = paddle.to_tensor([1.0, -1.0, 1.0, -1.0], "float64")
SIGNS = paddle.where(integers(2, 4, 5) > 0, 1.0, -1.0).astype("float64")
MULTI_LABEL = integers(2, 4, 5, seed=3).astype("float64")
VARIANCE = paddle.to_tensor(positive(4, 5))
P = positive(4, 5, low=0.1, high=0.9)  # probabilities of single events
W = paddle.to_tensor(positive(5, seed=1))
PAIR = {"x": X, "y": normal(4, 5, seed=1)}
HARD = {"x": X}
t = dirichlet(4, 5)
SOFT = paddle.to_tensor(t)
EVENTS = paddle.to_tensor(positive(4, 5, seed=2, low=0.05, high=0.95))
WEIGHTED = positive(4, 5, seed=4)
LETTERS = (integers(4, 2, 2) + 1).astype("int32")
FIVE, TWO = paddle.to_tensor([5, 5]), paddle.to_tensor([2, 2])

FUNCTIONS = {
    "F.cross_entropy(x, LABEL)": HARD,
    "F.cross_entropy(x, LABEL.unsqueeze(-1))": HARD,
    "F.cross_entropy(x, LABEL, reduction='sum')": HARD,
    "F.cross_entropy(x, LABEL, reduction='none')": HARD,
    "F.cross_entropy(x, LABEL, weight=w)": {"x": X, "w": W.numpy()},
    "F.cross_entropy(x, LABEL, ignore_index=3)": HARD,
    "F.cross_entropy(x, LABEL, weight=w, ignore_index=3)": {"x": X, "w": W.numpy()},
    "F.cross_entropy(x, LABEL, label_smoothing=0.1)": HARD,
    "F.cross_entropy(x, MAP, axis=1)": {"x": IMAGES},
    "F.cross_entropy(x, MAP, axis=1, ignore_index=2)": {"x": IMAGES},
    "F.cross_entropy(x, SOFT, soft_label=True)": HARD,
    "F.cross_entropy(x, t, soft_label=True)": {"x": X, "t": t},
    "F.cross_entropy(x, SOFT, soft_label=True, label_smoothing=0.1)": HARD,
    "F.cross_entropy(x, SOFT, soft_label=True, weight=W)": HARD,
    "F.cross_entropy(p, LABEL, use_softmax=False)": {"p": t},
    "F.cross_entropy(p, SOFT, soft_label=True, use_softmax=False)": {"p": dirichlet(4, 5, seed=1)},
    "F.softmax_with_cross_entropy(x, LABEL.unsqueeze(-1))": HARD,
    "F.nll_loss(x, LABEL)": HARD,
    "F.nll_loss(x, LABEL, W)": HARD,
    "F.nll_loss(x, LABEL, W, ignore_index=3)": HARD,
    "F.nll_loss(x, LABEL, reduction='sum')": HARD,
    "F.nll_loss(x, LABEL, reduction='none')": HARD,
    "F.nll_loss(x, MAP, ignore_index=2)": {"x": IMAGES},
    "F.binary_cross_entropy(p, EVENTS)": {"p": P},
    "F.binary_cross_entropy(p, EVENTS, w)": {"p": P, "w": WEIGHTED},
    "F.binary_cross_entropy(p, EVENTS, reduction='none')": {"p": P},
    "F.binary_cross_entropy_with_logits(x, EVENTS)": HARD,
    "F.binary_cross_entropy_with_logits(x, EVENTS, w)": {"x": X, "w": WEIGHTED},
    "F.binary_cross_entropy_with_logits(x, EVENTS, pos_weight=W)": HARD,
    "F.binary_cross_entropy_with_logits(x, MULTI_LABEL, reduction='sum')": HARD,
    "F.sigmoid_focal_loss(x, MULTI_LABEL)": HARD,
    "F.log_loss(p, EVENTS[:, :1])": {"p": P[:, :1]},
    "F.mse_loss(x, y)": PAIR,
    "F.l1_loss(x, y)": PAIR,
    "F.square_error_cost(x, y)": PAIR,
    "F.smooth_l1_loss(x, y)": PAIR,
    "F.smooth_l1_loss(x, y, delta=0.3)": PAIR,
    "F.smooth_l1_loss(x, y, reduction='none')": PAIR,
    "F.kl_div(x, SOFT)": HARD,
    "F.kl_div(x, SOFT, reduction='batchmean')": HARD,
    "F.kl_div(x, SOFT, reduction='none')": HARD,
    "F.margin_ranking_loss(x, y, SIGNS, 0.5)": PAIR,
    "F.hinge_embedding_loss(x, SIGNS)": HARD,
    "F.cosine_embedding_loss(x, y, SIGN)": PAIR,
    "F.triplet_margin_loss(x, y, z)": {**PAIR, "z": normal(4, 5, seed=2)},
    "F.soft_margin_loss(x, SIGNS)": HARD,
    "F.multi_label_soft_margin_loss(x, MULTI_LABEL)": HARD,
    "F.multi_margin_loss(x, LABEL)": HARD,
    "F.poisson_nll_loss(x, EVENTS)": HARD,
    "F.gaussian_nll_loss(x, y, VARIANCE)": PAIR,
    "F.dice_loss(p, LABEL.unsqueeze(-1))": {"p": t},
    "F.label_smooth(x)": HARD,
    "F.ctc_loss(x, LETTERS, FIVE, TWO)": {"x": normal(5, 2, 6)},
    "F.hsigmoid_loss(x, LABEL, 5, w)": {"x": X, "w": normal(4, 5, seed=1)},
}  # fmt: skip
LAYERS = {
    ("nn.CrossEntropyLoss()", "x, LABEL"): HARD,
    ("nn.BCEWithLogitsLoss()", "x, EVENTS"): HARD,
}
IMPOSSIBLE = {
    "F.ctc_loss(x, LETTERS, FIVE, TWO)",
    "F.hsigmoid_loss(x, LABEL, 5, w)",
}
