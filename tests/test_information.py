"""Information measures at their exact limits, in half precision, and what they refuse."""

# Shapes: N examples, K classes.

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from kdcheck import information
from kdcheck.errors import InputError, LabelError, ParameterError, ShapeError

ALL_TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
HALF_TYPES = (torch.bfloat16, torch.float16)
ONE_HOT = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
HUGE = [[1e4, -1e4, -1e4], [-1e4, -1e4, 1e4]]  # exactly one-hot once exponentiated


@pytest.mark.parametrize("dtype", ALL_TYPES)
def test_a_one_hot_row_has_entropy_exactly_0(dtype):
    assert information.entropy(torch.tensor(ONE_HOT, dtype=dtype)).tolist() == [0.0, 0.0]
    assert information.entropy_from_logits(torch.tensor(HUGE, dtype=dtype)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("classes", [2, 4, 8, 64])
def test_a_uniform_row_over_a_power_of_two_has_entropy_exactly_log_k(classes):
    uniform_NK = torch.full((1, classes), 1 / classes, dtype=torch.float64)
    # 1/K and K equal terms are exact, so log K rounds once.
    assert information.entropy(uniform_NK).item() == math.log(classes)
    logits_NK = torch.full((1, classes), 7.0, dtype=torch.float64)
    assert information.entropy_from_logits(logits_NK).item() == pytest.approx(
        math.log(classes), abs=4 * 2.2e-16 * math.log(classes)
    )


@pytest.mark.parametrize("dtype", ALL_TYPES)
def test_everything_from_logits_stays_finite_at_ten_thousand(dtype):
    first, second = torch.tensor(HUGE, dtype=dtype), torch.tensor(HUGE[::-1], dtype=dtype)
    spread = float(first[0, 0]) - float(first[0, 1])  # bfloat16 has no 1e4, but 9984
    assert information.log_posteriors(first).tolist()[0] == [0.0, -spread, -spread]
    assert information.posteriors(first).tolist() == ONE_HOT
    assert information.kl_divergence_from_logits(first, second).tolist() == [spread, spread]
    targets_NK = torch.tensor(ONE_HOT, dtype=dtype)
    crossed_N = information.cross_entropy_from_logits(targets_NK, second)
    assert crossed_N.tolist() == [spread, spread]


def test_entropy_near_one_hot_keeps_its_digits_from_logits_and_loses_them_from_posteriors():
    logits_NK = torch.tensor([[40.0, 0.0]])  # p = 1 - 4e-18, which float32 rounds to 1
    exact = math.exp(-40) * 41  # to first order in exp(-40), which is exact to 1e-17 of itself
    eps = torch.finfo(torch.float32).eps
    assert information.entropy_from_logits(logits_NK).item() == pytest.approx(exact, rel=64 * eps)


def test_the_divergence_is_infinite_where_the_model_excludes_what_the_target_has():
    half, sure = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
    assert information.kl_divergence(half, sure).item() == math.inf
    assert information.cross_entropy(half, sure).item() == math.inf
    assert information.kl_divergence(sure, half).item() == pytest.approx(math.log(2), abs=1.2e-7)
    assert information.cross_entropy(sure, sure).item() == 0.0


def test_the_two_directions_of_the_divergence_differ_and_the_first_argument_weighs():
    first, second = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.5, 0.5]])
    by_hand = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    other = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    close = {"abs": 8 * torch.finfo(torch.float32).eps}  # two products of numbers below 1
    assert information.kl_divergence(first, second).item() == pytest.approx(by_hand, **close)
    assert information.kl_divergence(second, first).item() == pytest.approx(other, **close)


@pytest.mark.parametrize("dtype", HALF_TYPES)
def test_half_precision_posteriors_are_added_in_float32(dtype):
    p_NK = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=dtype)
    entropy_N = information.entropy(p_NK)
    assert entropy_N.dtype == torch.float32
    exact = information.entropy(p_NK.double()).item()
    assert entropy_N.item() == pytest.approx(exact, abs=8 * torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("dtype", HALF_TYPES)
def test_half_precision_logits_agree_with_float64_to_the_digits_of_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    logits_NK = (8 * torch.randn(64, 16, generator=generator)).to(dtype)
    teacher_NK = (8 * torch.randn(64, 16, generator=generator)).to(dtype)
    pairs = [
        (information.entropy_from_logits, (logits_NK,)),
        (information.kl_divergence_from_logits, (teacher_NK, logits_NK)),
        (information.posteriors, (logits_NK,)),
    ]
    # rounding.expectation with S = 40 and K = 16: about 1e4 eps at most.
    bound = 2 * torch.finfo(torch.float32).eps * (2 + 83) * (3 * 40 + 40)
    for function, arguments in pairs:
        ours = function(*arguments)
        exact = function(*(value.double() for value in arguments))
        assert ours.dtype == torch.float32
        assert (ours - exact).abs().max() < bound


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_widening_touches_half_precision_alone(dtype, wide):
    assert information.widen(torch.zeros(1, dtype=dtype)).dtype == wide


def test_temperature_divides_the_logits_of_both_sides():
    first, second = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert torch.equal(
        information.kl_divergence_from_logits(first, second, temperature=4.0),
        information.kl_divergence_from_logits(first / 4, second / 4),
    )
    assert torch.equal(
        information.entropy_from_logits(first, temperature=4.0),
        information.entropy_from_logits(first / 4),
    )
    assert torch.equal(
        information.posteriors(first, temperature=4.0), information.posteriors(first / 4)
    )
    targets_NK = torch.tensor([[0.5, 0.5]])
    assert torch.equal(
        information.cross_entropy_from_logits(targets_NK, first, temperature=4.0),
        information.cross_entropy_from_logits(targets_NK, first / 4),
    )


def test_gradients_flow_through_the_measures_from_logits():
    logits_NK = torch.tensor([[1.0, 0.0], [1e4, -1e4]], requires_grad=True)
    information.entropy_from_logits(logits_NK).sum().backward()
    p, q = math.exp(1) / (1 + math.exp(1)), 1 / (1 + math.exp(1))
    # dH/dz_1 = -p (log p + H) = -p q (log p - log q) at two classes, where log p - log q = 1.
    assert logits_NK.grad[0].tolist() == pytest.approx([-p * q, p * q], abs=1e-6)
    assert torch.isfinite(logits_NK.grad).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: information.cross_entropy(torch.full((1, 2), 0.5), torch.full((2, 2), 0.5)),
            "cross_entropy: got targets of shape (1, 2) and posteriors of shape (2, 2)",
        ),
        (
            lambda: information.cross_entropy_from_logits(
                torch.full((1, 2), 0.5), torch.zeros(1, 3)
            ),
            "cross_entropy_from_logits: got targets of shape (1, 2) and logits of shape (1, 3)",
        ),
        (
            lambda: information.kl_divergence(torch.full((1, 2), 0.5), torch.full((1, 4), 0.25)),
            "kl_divergence: got first of shape (1, 2) and second of shape (1, 4)",
        ),
        (
            lambda: information.kl_divergence_from_logits(torch.zeros(1, 2), torch.zeros(3, 2)),
            "kl_divergence_from_logits: got first of shape (1, 2) and second of shape (3, 2)",
        ),
    ],
)
def test_pairs_of_different_shapes_are_refused_not_broadcast(call, message):
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}; wanted equal shapes"):
        call()


def test_a_temperature_that_overflows_the_logits_is_named_with_them():
    message = (
        "f, temperature: got 1e-06, which overflows logits as large as 2e+38; wanted a temperature "
        "that keeps logits / temperature finite. Use a larger temperature or float64 logits."
    )
    logits_NK = torch.tensor([[0.0, -2e38]])
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        information.check_scaled(logits_NK, 1e-6, who="f")
    information.check_scaled(logits_NK.double(), 1e-6, who="f")
    # float16 logits are widened before they are divided, as in the formulas.
    information.check_scaled(torch.tensor([[6e4, 0.0]], dtype=torch.float16), 0.01, who="f")
    with pytest.raises(
        ParameterError, match=r"^entropy_from_logits, temperature: got 1e-06, which"
    ):
        information.entropy_from_logits(logits_NK, temperature=1e-6)
    with pytest.raises(ParameterError, match=r"^log_posteriors, temperature: got 1e-06, which"):
        information.log_posteriors(logits_NK, temperature=1e-6)


def test_what_is_not_a_tensor_is_refused_with_the_way_to_make_one():
    message = (
        "entropy, posteriors: got a ndarray; wanted a torch.Tensor of shape (N, K). Wrap it with "
        "torch.as_tensor(...)."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        information.entropy(np.array([[0.5, 0.5]]))
    message = (
        "f, labels: got a list; wanted a torch.Tensor of shape (2,). Wrap it with "
        "torch.as_tensor(...)."
    )
    with pytest.raises(LabelError, match=f"^{re.escape(message)}$"):
        information.check_label_tensor([0, 1], examples=2, classes=2, who="f")


def test_tensors_that_require_a_gradient_can_be_checked():
    logits_NK = torch.zeros(1, 2, requires_grad=True)
    information.check_logit_tensor(logits_NK, who="f")
    information.check_posterior_tensor(logits_NK.softmax(-1), who="f")


def test_integer_posteriors_are_refused_with_their_type():
    with pytest.raises(InputError, match=r"^f, posteriors: got type int64, shape"):
        information.check_posterior_tensor(torch.tensor([[1, 0]]), who="f")


def test_the_tolerance_of_bfloat16_rows_is_that_of_bfloat16():
    # bfloat16 has 8 bits: thirds of it sum to 1.002, within (3 + 8) eps = 0.09 of 1.
    thirds_NK = torch.full((1, 3), 1 / 3, dtype=torch.bfloat16)
    information.check_posterior_tensor(thirds_NK, who="f")
    with pytest.raises(InputError, match=r"sums to 1.00"):
        information.check_posterior_tensor(thirds_NK.float(), who="f")


def test_an_argument_may_be_named_by_the_caller():
    with pytest.raises(InputError, match=r"^summary, teacher: got shape"):
        information.log_posteriors(torch.zeros(2), who="summary", name="teacher")
