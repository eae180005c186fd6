"""Each replaced operator: the same value as Paddle's, and exact first and second derivatives.

What is computed is the table in `tests/cases`.
"""

from __future__ import annotations

import re
from contextlib import nullcontext

import numpy as np
import paddle
import pytest
from cases import cases
from derivatives import assert_twice_differentiable, tensor
from mixed_derivatives import assert_derivatives, doubles, outputs, settings
from paddle import _C_ops, _legacy_C_ops
from paddle.nn import functional as F
from paddle_maml import twice_differentiable
from paddle_maml.operators import once_differentiable

RNG = np.random.default_rng(0)
CASES = {case.code: case for case in cases()}
POSSIBLE = [code for code, case in CASES.items() if not case.impossible]
IN_PADDLE_2 = paddle.__version__.startswith("2.")

# What Paddle's CPU cannot compute in float64, or computes wrongly, has no value to compare with.
NO_VALUE = {"F.log_loss(p, EVENTS[:, :1])", "F.rms_norm(x, 6)", "F.rms_norm(x, 6, w)"}
NO_VALUE |= {"F.rrelu(x)", "F.gumbel_softmax(x)"}  # random, with other numbers
NO_VALUE |= {"nn.LSTM(4, 3, num_layers=2, dropout=0.5)(x)"}
NO_VALUE |= {"F.nll_loss(x, LABEL, W, ignore_index=3)"}  # writes where it must not, and crashes
if IN_PADDLE_2:
    NO_VALUE |= {
        "F.binary_cross_entropy_with_logits(x, EVENTS, pos_weight=W)",
        "F.scaled_dot_product_attention(q, k, v, is_causal=True)",
        "F.scaled_dot_product_attention(q, k, v, LATER.expand([2, 2, 3, 3]))",
    }
# Paddle's own normalisations keep ten digits, its lp_pool2d seven.
TOLERANCES = {r"[nN]orm|Transformer": 1e-9, "lp_pool": 1e-6, "": 1e-12}


@pytest.mark.parametrize("code", POSSIBLE)
def test_derivatives(code):
    case = CASES[code]

    def forward(*inputs):
        with twice_differentiable():
            return case.function(*inputs)

    for setting in settings(case.inputs):
        assert_derivatives(forward, case.inputs, setting)


@pytest.mark.parametrize("code", [code for code in POSSIBLE if code not in NO_VALUE])
def test_value_is_paddles(code):
    case = CASES[code]
    rtol = next(rtol for pattern, rtol in TOLERANCES.items() if re.search(pattern, code))
    inputs = [tensor(x) for x in case.inputs.values()]
    with doubles():
        paddle.seed(0)
        expected = outputs(case.function(*inputs))
        paddle.seed(0)
        with twice_differentiable():
            found = outputs(case.function(*inputs))
    assert len(found) == len(expected)
    for mine, paddles in zip(found, expected):
        assert mine.shape == paddles.shape
        np.testing.assert_allclose(mine.numpy(), paddles.numpy(), rtol=rtol, atol=1e-2 * rtol)


@pytest.mark.parametrize("code", [code for code, case in CASES.items() if case.impossible])
def test_what_is_impossible_says_so(code):
    case = CASES[code]
    inputs = [tensor(x) for x in case.inputs.values()]
    with twice_differentiable():
        with pytest.raises(NotImplementedError, match=r"twice: \w+ \(.*\). .* order=1"):
            case.function(*inputs)
        case.function(*(x.detach() for x in inputs))


@pytest.mark.parametrize("context", [twice_differentiable, once_differentiable])
def test_the_gradient_of_equal_maxima_adds_up_to_one(context):
    x = tensor([[1.0, 1.0, 0.0]])
    with context():
        (g,) = paddle.grad(x.max(1), [x])
    np.testing.assert_array_equal(g.numpy(), [[1, 0, 0]])


def test_equal_maxima_share_the_gradient_of_amax():
    x = tensor([[1.0, 1.0, -np.inf]])
    with twice_differentiable():
        y = x.amax(1)
    (g,) = paddle.grad(y, [x])
    np.testing.assert_array_equal(y.numpy(), [1])
    np.testing.assert_array_equal(g.numpy(), [[0.5, 0.5, 0]])


def test_dropout_keeps_its_mask_through_both_gradients():
    def scalar(x):
        paddle.seed(3)
        return (F.dropout(x, 0.5, training=True) ** 3).sum()

    with twice_differentiable():
        assert_twice_differentiable(scalar, RNG.normal(size=(4, 5)))


def test_large_logits_do_not_overflow():
    logits = tensor([[1e4, -1e4, 0.0]])
    with twice_differentiable():
        loss = F.cross_entropy(logits, paddle.to_tensor([1]))
        binary = F.binary_cross_entropy_with_logits(logits, paddle.ones([1, 3], "float64"))
    assert float(loss) == pytest.approx(2e4)
    assert float(binary) == pytest.approx((1e4 + np.log(2)) / 3)


MASK = np.array([[0.0, -np.inf, 0, 0], [0, 0, 0, -np.inf]])


@pytest.mark.parametrize(
    "of",
    [
        lambda x: F.cross_entropy(x, paddle.to_tensor([0, 2])),
        lambda x: F.cross_entropy(x, paddle.to_tensor([0, 3]), ignore_index=3),
        lambda x: F.softmax(x)[:, 0],
        lambda x: F.log_softmax(x)[:, 0],
        lambda x: paddle.logsumexp(x, 1),
    ],
    ids=["cross_entropy", "ignored", "softmax", "log_softmax", "logsumexp"],
)
def test_masked_logits(of):
    """-inf takes part in nothing: the value is Paddle's, the second derivative is finite."""
    x = RNG.normal(size=(2, 4))
    with twice_differentiable():
        found = of(tensor(x + MASK))
        assert_twice_differentiable(lambda x: (of(x + paddle.to_tensor(MASK)) ** 2).sum(), x)
    np.testing.assert_allclose(found.numpy(), of(tensor(x + MASK)).numpy(), rtol=1e-12)


def test_bce_at_a_logit_of_zero():
    """Paddle's own gradient there is -1.5 in place of -0.5."""
    x = tensor([0.0])
    with twice_differentiable():
        loss = F.binary_cross_entropy_with_logits(x, paddle.ones([1], "float64"))
    (g,) = paddle.grad(loss, [x], create_graph=True)
    (h,) = paddle.grad(g, [x])
    assert (g.item(), h.item()) == (-0.5, 0.25)


def test_bce_weighs_positive_examples():
    """paddlepaddle 2.6 is wrong where the label is neither 0 nor 1, or the logit negative."""
    x, label, weight = RNG.normal(size=5), RNG.uniform(size=5), RNG.uniform(1, 3, 5)
    chance = 1 / (1 + np.exp(-x))
    expected = -(weight * label * np.log(chance) + (1 - label) * np.log(1 - chance))
    setting = {"reduction": "none", "pos_weight": paddle.to_tensor(weight)}
    with twice_differentiable():
        found = F.binary_cross_entropy_with_logits(tensor(x), paddle.to_tensor(label), **setting)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_bce_of_certainties_is_finite(p):
    x = tensor([p])
    with twice_differentiable():
        loss = F.binary_cross_entropy(x, paddle.to_tensor([1 - p], "float64"))
    (g,) = paddle.grad(loss, [x], create_graph=True)
    (h,) = paddle.grad(g, [x])
    assert np.isfinite([loss.item(), g.item(), h.item()]).all()


@pytest.mark.parametrize("p", [1, 2, 3, float("inf")])
def test_the_norm_of_zeros_has_a_gradient_of_zero(p):
    x = tensor(np.zeros((2, 3)))
    with twice_differentiable():
        y = paddle.norm(x, p, axis=1)
    (g,) = paddle.grad(y.sum(), [x], create_graph=True)
    (h,) = paddle.grad((g * g).sum(), [x], allow_unused=True)
    assert not y.numpy().any() and not g.numpy().any()
    assert h is None or not h.numpy().any()


def test_names_of_arguments_in_paddle_3():
    if IN_PADDLE_2:
        pytest.skip("2.6 has only one name for each")
    x = tensor(RNG.normal(size=(2, 3)))
    with twice_differentiable():
        found = paddle.amax(input=x, dim=1, keepdim=True)
    np.testing.assert_array_equal(found.numpy(), x.numpy().max(1, keepdims=True))


@pytest.mark.parametrize("context", [twice_differentiable, once_differentiable])
def test_operators_are_restored_after_an_error(context):
    def state():
        owners = _C_ops, _legacy_C_ops, paddle.Tensor
        return {(owner, name): value for owner in owners for name, value in vars(owner).items()}

    before = state()
    with pytest.raises(ZeroDivisionError), context():
        assert _C_ops.batch_norm is not before[_C_ops, "batch_norm"]
        raise ZeroDivisionError
    changed = [key for key, value in state().items() if value is not before[key]]
    assert not changed


@pytest.mark.parametrize("code", POSSIBLE)
def test_nothing_is_kept_of_a_graph(code):
    """A context of a PyLayer that holds its own output is never freed, nor is the graph."""
    case = CASES[code]

    def allocated():
        inputs = [tensor(x) for x in case.inputs.values()]
        with doubles(), twice_differentiable():
            loss = sum((out * out).sum() for out in outputs(case.function(*inputs)))
            found = paddle.grad(loss, inputs, create_graph=True, allow_unused=True)
            total = sum((g * g).sum() for g in found if g is not None)
            paddle.grad(total, inputs, allow_unused=True)
        del inputs, loss, found, total
        return paddle.base.core.host_memory_stat_current_value("Allocated", 0)

    allocated()
    assert allocated() == allocated()


@pytest.mark.parametrize(
    ("function", "slope"),
    [(F.selu, 1.7580993408473766), (lambda x: F.prelu(x, paddle.full([1], 0.25, x.dtype)), 0.25)],
    ids=["selu", "prelu"],
)
def test_slope_at_zero_is_paddles(function, slope):
    for context in nullcontext, twice_differentiable:
        x = tensor([0.0])
        with context():
            (g,) = paddle.grad(function(x), [x])
        assert g.item() == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_gather_of_one(axis):
    x, place = tensor(RNG.normal(size=(3, 2))), paddle.to_tensor(1)
    with twice_differentiable():
        found = paddle.gather(x, place, axis=axis)
    np.testing.assert_array_equal(found.numpy(), paddle.gather(x, place, axis=axis).numpy())
