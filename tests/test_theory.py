"""Closed forms at values that can be had by hand, at their limits, and what they refuse."""

# Shapes: N examples, K classes.

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from kdcheck import theory
from kdcheck.errors import LogitError, ParameterError, PosteriorError, ShapeError

EPS = np.finfo(np.float64).eps
# Sums of a few products below 4.
CLOSE = {"abs": 32 * EPS}
P = [[0.75, 0.25]]


def refuses(error_type, message):
    return pytest.raises(error_type, match=f"^{re.escape(message)}$")


def test_the_smoothed_label_by_hand():
    assert theory.smoothed_label(0.5, 4) == (0.625, 0.125)
    assert theory.smoothed_label(0.0, 3) == (1.0, 0.0)
    assert theory.smoothed_label(1.0, 4) == (0.25, 0.25)


def test_the_floor_by_hand_and_at_its_limits():
    # q = (3/4, 1/4) at alpha = 1/2, K = 2.
    by_hand = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert theory.smoothing_entropy_floor(0.5, 2) == pytest.approx(by_hand, **CLOSE)
    assert theory.smoothing_entropy_floor(0.0, 3) == 0.0
    assert theory.smoothing_entropy_floor(1.0, 4) == math.log(4)
    # The paper's MNLI row at alpha = .8: 0.8 ln 3 would be an easy mistake.
    assert theory.smoothing_entropy_floor(0.8, 3) == pytest.approx(1.0606, abs=5e-5)


def test_the_constant_is_alpha_log_k():
    assert theory.smoothing_constant(0.5, 4) == 0.5 * math.log(4)
    assert theory.smoothing_constant(0.0, 4) == 0.0


def test_alpha_for_entropy_at_its_ends_and_in_between():
    # 60 halvings leave 2^-61 of the unit interval.
    assert theory.alpha_for_entropy(0.0, 3) == pytest.approx(0.0, abs=2**-60)
    by_hand = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert theory.alpha_for_entropy(by_hand, 2) == pytest.approx(0.5, **CLOSE)
    # Near log K the floor is flat: e nats of rounding move alpha by sqrt(2 e / (K - 1)).
    assert theory.alpha_for_entropy(math.log(3), 3) == pytest.approx(1.0, abs=math.sqrt(8 * EPS))


@pytest.mark.parametrize("entropy", [-0.1, 0.7, float("nan")])
def test_an_entropy_that_no_distribution_has_is_refused(entropy):
    with refuses(
        ParameterError,
        f"alpha_for_entropy, entropy_nats: got {entropy!r}; wanted nats between 0 and log 2 = "
        "0.6931. No distribution over that many classes has such an entropy; are these bits?",
    ):
        theory.alpha_for_entropy(entropy, 2)


def test_the_mixture_gradient_by_hand():
    # p = (3/4, 1/4); at tau = 1/2 logits log 3 double, so p_tau = (9/10, 1/10).
    logits, labels, soft = [[math.log(3), 0.0]], [1], [[0.5, 0.5]]
    hard, soft_part = 0.75, 0.4
    for tau_squared, scale in ((True, 0.5), (False, 2.0)):
        gradient = theory.mixture_gradient(
            logits, labels, soft, alpha=0.2, temperature=0.5, tau_squared=tau_squared
        )
        first = 0.8 * hard + 0.2 * scale * soft_part
        assert gradient[0].tolist() == pytest.approx([first, -first], **CLOSE)
    default = theory.mixture_gradient(logits, labels, soft, alpha=0.2, temperature=0.5)
    assert default[0, 0] == pytest.approx(0.8 * hard + 0.2 * 0.5 * soft_part, **CLOSE)
    plain = theory.mixture_gradient(logits, labels, soft, alpha=0.2)
    assert plain[0, 0] == pytest.approx(0.8 * 0.75 + 0.2 * 0.25, **CLOSE)


def test_gradients_stay_finite_at_huge_logits():
    gradient = theory.mixture_gradient([[1e4, -1e4]], [1], [[0.5, 0.5]], alpha=0.5)
    assert gradient.tolist() == [[0.75, -0.75]]
    gradient = theory.confidence_penalty_gradient([[1e4, -1e4]], [1], alpha=0.5)
    assert gradient.tolist() == [[1.0, -1.0]]


def test_the_confidence_penalty_gradient_by_hand():
    # p (log p + H) at p = (3/4, 1/4): the excess is (3/16) log 3 on the first class.
    gradient = theory.confidence_penalty_gradient([[math.log(3), 0.0]], [1], alpha=0.2)
    first = 0.75 + 0.2 * 3 / 16 * math.log(3)
    assert gradient[0].tolist() == pytest.approx([first, -first], **CLOSE)


def test_the_rates_by_hand():
    # Cov_p(p, log p) at (3/4, 1/4) is (3/16) (1/2) log 3.
    towards_uniform = 3 / 32 * math.log(3)
    assert theory.entropy_rate_towards_uniform(P)[0] == pytest.approx(towards_uniform, **CLOSE)
    assert theory.entropy_rate_towards_uniform([[0.5, 0.5], [1.0, 0.0]]).tolist() == [0.0, 0.0]
    # Cov_p(p - t, log p) with t = (9/10, 1/10): (3/16) (-3/20 - 3/20) log 3.
    towards_teacher = -0.3 * 3 / 16 * math.log(3)
    found = theory.entropy_rate_towards_teacher(P, [[0.9, 0.1]])
    assert found[0] == pytest.approx(towards_teacher, **CLOSE)
    assert theory.entropy_rate_towards_teacher(P, P).tolist() == [0.0]
    # alpha p_y (log p_y + H).
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    found = theory.smoothing_minus_erm_rate(P * 2, [0, 1], alpha=0.5)
    by_hand = [0.5 * p * (math.log(p) + entropy) for p in (0.75, 0.25)]
    assert found.tolist() == pytest.approx(by_hand, **CLOSE)


def test_a_wrong_example_is_sharpened_by_label_smoothing_relative_to_erm():
    right, wrong = theory.smoothing_minus_erm_rate([[0.9, 0.1]] * 2, [0, 1], alpha=0.1)
    assert right > 0 > wrong


def test_the_large_temperature_limit_by_hand_ignores_shifts_of_either_side():
    # Gap (2, 0, -2) after centring: mean square 8/3, halved.
    limit = theory.large_temperature_distillation([[0.0, 0.0, 0.0]], [[5.0, 3.0, 1.0]])
    assert limit[0] == pytest.approx(4 / 3, **CLOSE)


def test_smoothing_equivalent_at_two_classes_by_hand():
    assert theory.equivalent_smoothing_at_two_classes(0.25, [0.75, 0.0]).tolist() == [0.125, 0.5]


def test_arrays_lists_and_float32_are_taken_and_float64_is_given():
    narrow = np.array([[0.1, 0.2, 0.7]], dtype=np.float32)  # sums to 1 in float32 alone
    for rates in (
        theory.entropy_rate_towards_uniform(narrow),
        theory.entropy_rate_towards_teacher(narrow, narrow),
        theory.smoothing_minus_erm_rate(narrow, [0], alpha=0.1),
        theory.entropy_rate_towards_uniform([[1, 0]]),
    ):
        assert rates.dtype == np.float64
    with pytest.raises(PosteriorError):
        theory.entropy_rate_towards_uniform(narrow.astype(np.float64))
    half = np.array([0.5], dtype=np.float32)
    assert theory.equivalent_smoothing_at_two_classes(0.5, half).dtype == np.float64
    for logits_NK in (np.zeros((1, 2), dtype=np.float32), [[0, 0]]):
        limit = theory.large_temperature_distillation(logits_NK, logits_NK)
        assert limit.dtype == np.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: theory.mixture_gradient(np.zeros((1, 2)), [0], [[0.25] * 4], alpha=0.1),
            "mixture_gradient: got logits of shape (1, 2) and soft target of shape (1, 4)",
        ),
        (
            lambda: theory.entropy_rate_towards_teacher(P, P * 2),
            (
                "entropy_rate_towards_teacher: got posteriors of shape (1, 2) and teacher of shape "
                "(2, 2)"
            ),
        ),
        (
            lambda: theory.large_temperature_distillation([[0.0, 1.0]], [[0.0, 1.0]] * 2),
            (
                "large_temperature_distillation: got logits of shape (1, 2) and teacher logits of shape "
                "(2, 2)"
            ),
        ),
    ],
)
def test_shapes_that_differ_are_refused_not_broadcast(call, message):
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}; wanted equal shapes"):
        call()


@pytest.mark.parametrize(
    ("call", "who"),
    [
        (
            lambda z: theory.mixture_gradient(z, [0], [[0.5, 0.5]], alpha=0.1),
            "mixture_gradient, logits",
        ),
        (
            lambda z: theory.confidence_penalty_gradient(z, [0], alpha=0.1),
            "confidence_penalty_gradient, logits",
        ),
        (
            lambda z: theory.large_temperature_distillation(z, [[0.0, 0.0]]),
            "large_temperature_distillation, logits",
        ),
        (
            lambda z: theory.large_temperature_distillation([[0.0, 0.0]], z),
            "large_temperature_distillation, teacher logits",
        ),
    ],
)
def test_logits_that_are_not_finite_are_refused_by_name(call, who):
    with pytest.raises(LogitError) as caught:
        call([[0.0, math.inf]])
    assert caught.value.who == who


def test_a_label_probability_outside_0_to_1_is_refused_by_name():
    with refuses(
        ParameterError,
        "equivalent_smoothing_at_two_classes, teacher_label_probability_N: got np.float64(1.5); "
        "wanted a probability in [0, 1]. Pass a fraction, not a percentage.",
    ):
        theory.equivalent_smoothing_at_two_classes(0.5, [0.5, 1.5])


@pytest.mark.parametrize(
    ("call", "who"),
    [
        (lambda: theory.smoothed_label(0.1, 1), "smoothed_label, classes"),
        (lambda: theory.smoothing_constant(0.1, 1), "smoothing_constant, classes"),
        (lambda: theory.alpha_for_entropy(0.0, 1), "alpha_for_entropy, classes"),
        (lambda: theory.smoothing_constant(2, 3), "smoothing_constant, alpha"),
    ],
)
def test_each_closed_form_names_itself_when_it_refuses(call, who):
    with pytest.raises(ParameterError) as caught:
        call()
    assert caught.value.who == who
