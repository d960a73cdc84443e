"""Each formula against another route: torch's own losses, scipy, and mpmath with fifty digits."""

# Shapes: N examples, K classes.

from __future__ import annotations

import math

import numpy as np
import oracles
import pytest
import rounding
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from strategies import (
    HUGE,
    alphas,
    any_objective,
    batches,
    logits,
    loss_of,
    posterior_pairs,
    posteriors,
    probabilities,
    temperature_of,
    temperatures,
)
from torch.nn import functional

from kdcheck import information, objectives, theory
from kdcheck.objectives import (
    ConfidencePenalty,
    Distillation,
    InstanceSmoothing,
    LabelSmoothing,
    SelfTraining,
    VirtualTeacher,
)

EPS = torch.finfo(torch.float64).eps
few = settings(max_examples=15)  # fifty digits are slow


def agree(ours, oracle, bound):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(oracle), rtol=0, atol=bound)


def bound_of(batch, *, temperature=1.0, dtype=torch.float64):
    return rounding.loss(dtype, classes=batch.classes, largest=batch.largest, tau=temperature)


def entropy_bound(logits_NK, *, temperature=1.0, dtype=torch.float64):
    largest, classes = float(logits_NK.abs().max()), logits_NK.shape[1]
    return 2 * rounding.expectation(dtype, classes=classes, largest=largest, tau=temperature)


# Information measures


@given(posteriors())
def test_entropy_equals_scipys(p_NK):
    # K terms of at most 1/e, each off by two eps, summed in K roundings of at most log K.
    classes = p_NK.shape[1]
    agree(
        information.entropy(p_NK),
        special.entr(p_NK.numpy()).sum(axis=1),
        2 * (classes * EPS + classes * EPS * math.log(classes)),
    )


@given(logits(), temperatures)
def test_entropy_from_logits_equals_scipys(logits_NK, temperature):
    log_p_NK = oracles.scipy_log_posteriors(logits_NK, temperature)
    agree(
        information.entropy_from_logits(logits_NK, temperature=temperature),
        -(np.exp(log_p_NK) * log_p_NK).sum(axis=1),
        entropy_bound(logits_NK, temperature=temperature),
    )


@few
@given(logits(), temperatures)
def test_entropy_from_logits_equals_fifty_digits(logits_NK, temperature):
    exact = [
        float(-sum(p * oracles.mp.log(p) for p in oracles.exact_posteriors(row, temperature)))
        for row in logits_NK
    ]
    agree(
        information.entropy_from_logits(logits_NK, temperature=temperature),
        exact,
        entropy_bound(logits_NK, temperature=temperature),
    )


@given(logits(), temperatures)
def test_posteriors_equal_scipys_softmax(logits_NK, temperature):
    bound = 2 * rounding.log_posterior(
        torch.float64,
        classes=logits_NK.shape[1],
        largest=float(logits_NK.abs().max()),
        tau=temperature,
    )
    oracle = special.softmax(logits_NK.numpy() / temperature, axis=1)
    agree(information.posteriors(logits_NK, temperature=temperature), oracle, bound)
    log_p_NK = information.log_posteriors(logits_NK, temperature=temperature)
    agree(log_p_NK, oracles.scipy_log_posteriors(logits_NK, temperature), bound)


@given(batches(), temperatures)
def test_cross_entropy_from_logits_equals_torchs_with_soft_targets(batch, temperature):
    targets_NK = batch.teacher_NK.softmax(dim=-1)
    agree(
        information.cross_entropy_from_logits(targets_NK, batch.logits_NK, temperature=temperature),
        functional.cross_entropy(batch.logits_NK / temperature, targets_NK, reduction="none"),
        bound_of(batch, temperature=temperature),
    )


@given(posterior_pairs())
def test_cross_entropy_is_entropy_plus_divergence(pair):
    target_NK, p_NK = pair
    cross_N = information.cross_entropy(target_NK, p_NK)
    parts_N = information.entropy(target_NK) + information.kl_divergence(target_NK, p_NK)
    # Logarithms of doubles are at most 745; three sums of K products.
    agree(cross_N, parts_N, 3 * (p_NK.shape[1] + 3) * EPS * 745.0)


@given(posterior_pairs())
def test_kl_divergence_equals_scipys_relative_entropy_infinities_included(pair):
    first_NK, second_NK = pair
    oracle_N = special.rel_entr(first_NK.numpy(), second_NK.numpy()).sum(axis=1)
    # The quotient a / b inside scipy's logarithm loses its digits where b is subnormal, whose
    # spacing is 5e-324: such an entry moves log b by less than 5e-324 / b, weighed by a.
    subnormal_N = (first_NK * 5e-324 / second_NK.clamp_min(5e-324)).sum(dim=1).numpy()
    ours_N = information.kl_divergence(first_NK, second_NK).numpy()
    finite_N = np.isfinite(oracle_N)
    assert (np.isposinf(ours_N) == ~finite_N).all()
    gap_N = np.abs(ours_N[finite_N] - oracle_N[finite_N])
    bound = 2 * (first_NK.shape[1] + 3) * EPS * 745.0
    assert (gap_N <= bound + subnormal_N[finite_N]).all()


@given(batches(), temperatures)
def test_kl_divergence_from_logits_equals_torchs(batch, temperature):
    first_NK, second_NK = batch.teacher_NK / temperature, batch.logits_NK / temperature
    agree(
        information.kl_divergence_from_logits(
            batch.teacher_NK, batch.logits_NK, temperature=temperature
        ),
        functional.kl_div(
            second_NK.log_softmax(-1), first_NK.log_softmax(-1), reduction="none", log_target=True
        ).sum(-1),
        bound_of(batch, temperature=temperature),
    )


@few
@given(batches(), temperatures)
def test_kl_divergence_from_logits_equals_fifty_digits(batch, temperature):
    exact = [
        float(
            oracles.exact_kl(
                oracles.exact_posteriors(teacher, temperature),
                oracles.exact_posteriors(student, temperature),
            )
        )
        for teacher, student in zip(batch.teacher_NK, batch.logits_NK, strict=True)
    ]
    agree(
        information.kl_divergence_from_logits(
            batch.teacher_NK, batch.logits_NK, temperature=temperature
        ),
        exact,
        bound_of(batch, temperature=temperature),
    )


# Eq. 1


@given(batches())
def test_erm_equals_torchs_cross_entropy(batch):
    oracle_N = functional.cross_entropy(batch.logits_NK, batch.labels_N, reduction="none")
    agree(objectives.erm(batch.logits_NK, batch.labels_N), oracle_N, bound_of(batch))


@given(batches(), alphas)
def test_label_smoothing_is_torchs_minus_alpha_log_k(batch, alpha):
    oracle_N = functional.cross_entropy(
        batch.logits_NK, batch.labels_N, label_smoothing=alpha, reduction="none"
    )
    agree(
        objectives.label_smoothing(batch.logits_NK, batch.labels_N, alpha=alpha),
        oracle_N - theory.smoothing_constant(alpha, batch.classes),
        bound_of(batch),
    )


@given(batches(), alphas)
def test_label_smoothing_equals_eq_1_in_scipy(batch, alpha):
    uniform_NK = np.full(batch.logits_NK.shape, -math.log(batch.classes))
    agree(
        objectives.label_smoothing(batch.logits_NK, batch.labels_N, alpha=alpha),
        oracles.scipy_mixture(batch, uniform_NK, alpha=alpha),
        bound_of(batch),
    )


@few
@given(batches(), alphas)
def test_label_smoothing_equals_eq_1_with_fifty_digits(batch, alpha):
    uniform = [oracles.mpf(1) / batch.classes] * batch.classes
    exact = [
        oracles.exact_mixture(row, label, uniform, alpha=alpha)
        for row, label in zip(batch.logits_NK, batch.labels_N, strict=True)
    ]
    ours_N = objectives.label_smoothing(batch.logits_NK, batch.labels_N, alpha=alpha)
    agree(ours_N, exact, bound_of(batch))


# Eq. 2


@given(batches(), alphas, temperatures)
def test_distillation_equals_eq_2_in_torch(batch, alpha, temperature):
    student_NK = (batch.logits_NK / temperature).log_softmax(-1)
    teacher_NK = (batch.teacher_NK / temperature).softmax(-1)
    soft_N = functional.kl_div(student_NK, teacher_NK, reduction="none").sum(-1)
    hard_N = functional.cross_entropy(batch.logits_NK, batch.labels_N, reduction="none")
    agree(
        objectives.distillation(
            batch.logits_NK, batch.labels_N, batch.teacher_NK, alpha=alpha, temperature=temperature
        ),
        (1 - alpha) * hard_N + alpha * temperature**2 * soft_N,
        bound_of(batch, temperature=temperature),
    )


@given(batches(), alphas, temperatures, st.booleans())
def test_distillation_equals_eq_2_in_scipy(batch, alpha, temperature, tau_squared):
    agree(
        objectives.distillation(
            batch.logits_NK,
            batch.labels_N,
            batch.teacher_NK,
            alpha=alpha,
            temperature=temperature,
            tau_squared=tau_squared,
        ),
        oracles.scipy_mixture(
            batch,
            oracles.scipy_log_posteriors(batch.teacher_NK, temperature),
            alpha=alpha,
            temperature=temperature,
            scale=temperature**2 if tau_squared else 1.0,
        ),
        bound_of(batch, temperature=temperature),
    )


@few
@given(batches(), alphas, temperatures, st.booleans())
def test_distillation_equals_eq_2_with_fifty_digits(batch, alpha, temperature, tau_squared):
    exact = [
        oracles.exact_mixture(
            student,
            label,
            oracles.exact_posteriors(teacher, temperature),
            alpha=alpha,
            temperature=temperature,
            scale=temperature**2 if tau_squared else 1.0,
        )
        for student, label, teacher in zip(
            batch.logits_NK, batch.labels_N, batch.teacher_NK, strict=True
        )
    ]
    objective = Distillation(alpha=alpha, temperature=temperature, tau_squared=tau_squared)
    agree(loss_of(objective, batch), exact, bound_of(batch, temperature=temperature))


# Their relatives


@given(batches(), alphas, temperatures, st.booleans())
def test_self_training_is_distillation_under_another_name(batch, alpha, temperature, tau_squared):
    options = {"alpha": alpha, "temperature": temperature, "tau_squared": tau_squared}
    assert torch.equal(
        loss_of(SelfTraining(**options), batch), loss_of(Distillation(**options), batch)
    )


@given(batches(), alphas, probabilities, temperatures, st.booleans())
def test_virtual_teacher_is_distillation_from_its_log_probabilities(
    batch, alpha, correct, temperature, tau_squared
):
    hot_NK = np.eye(batch.classes)[batch.labels_N.numpy()]
    virtual_NK = hot_NK * correct + (1 - hot_NK) * (1 - correct) / (batch.classes - 1)
    with np.errstate(divide="ignore"):  # log 0 = -inf is meant: that class has no mass
        log_soft_NK = special.log_softmax(np.log(virtual_NK) / temperature, axis=1)
    # As logits, the virtual teacher's own are at most |log of the smallest double above 0|.
    largest = max(batch.largest, 745.0)
    agree(
        loss_of(VirtualTeacher(alpha, correct, temperature, tau_squared), batch),
        oracles.scipy_mixture(
            batch,
            log_soft_NK,
            alpha=alpha,
            temperature=temperature,
            scale=temperature**2 if tau_squared else 1.0,
        ),
        rounding.loss(torch.float64, classes=batch.classes, largest=largest, tau=temperature),
    )


@given(batches(), alphas)
def test_instance_smoothing_keeps_of_the_teacher_only_its_top_probability(batch, alpha):
    top_N1 = special.softmax(batch.teacher_NK.numpy(), axis=1).max(axis=1, keepdims=True)
    hot_NK = np.eye(batch.classes)[batch.labels_N.numpy()]
    soft_NK = hot_NK * top_N1 + (1 - hot_NK) * (1 - top_N1) / (batch.classes - 1)
    with np.errstate(divide="ignore"):  # log 0 = -inf is meant
        oracle_N = oracles.scipy_mixture(batch, np.log(soft_NK), alpha=alpha)
    # 1 - c is off by the error of c, and c log c by |log| times that: one more log of a double.
    bound = bound_of(batch) + 745.0 * rounding.log_posterior(
        torch.float64, classes=batch.classes, largest=batch.largest
    )
    agree(loss_of(InstanceSmoothing(alpha), batch), oracle_N, bound)


@given(batches(), alphas)
def test_confidence_penalty_is_erm_minus_alpha_entropy(batch, alpha):
    log_p_NK = oracles.scipy_log_posteriors(batch.logits_NK)
    hard_N = -log_p_NK[np.arange(len(log_p_NK)), batch.labels_N.numpy()]
    entropy_N = -(np.exp(log_p_NK) * log_p_NK).sum(axis=1)
    agree(loss_of(ConfidencePenalty(alpha), batch), hard_N - alpha * entropy_N, bound_of(batch))


@given(batches(), alphas)
def test_distillation_from_a_uniform_teacher_is_label_smoothing(batch, alpha):
    uniform_NK = torch.full_like(batch.logits_NK, 3.0)
    ours_N = Distillation(alpha).per_example(batch.logits_NK, batch.labels_N, uniform_NK)
    agree(ours_N, loss_of(LabelSmoothing(alpha), batch), bound_of(batch))


@given(batches(), alphas)
def test_distillation_from_a_one_hot_teacher_is_erm(batch, alpha):
    # exp(-1e4) is 0 in float64, so this teacher is one-hot to the last bit.
    one_hot_NK = HUGE * functional.one_hot(batch.labels_N, batch.classes).double()
    ours_N = Distillation(alpha).per_example(batch.logits_NK, batch.labels_N, one_hot_NK)
    agree(ours_N, objectives.erm(batch.logits_NK, batch.labels_N), bound_of(batch))


@given(
    batches(), any_objective(alpha=0.0).filter(lambda o: "alpha" in o.as_dict() or o.name == "erm")
)
def test_every_objective_with_alpha_0_is_erm_to_the_last_bit(batch, objective):
    erm_N = objectives.erm(batch.logits_NK, batch.labels_N)
    assert torch.equal(loss_of(objective, batch), erm_N)


@given(batches(), any_objective(mixtures_only=True, temperature=1.0))
def test_every_mixture_at_temperature_1_is_cross_entropy_against_its_target(batch, objective):
    teacher_NK = batch.teacher_NK if objective.needs_teacher else None
    view = objectives.target_view(objective, batch.logits_NK, batch.labels_N, teacher_NK)
    cross_N = functional.cross_entropy(batch.logits_NK, view.targets_NK, reduction="none")
    agree(loss_of(objective, batch), cross_N - view.constant_N, bound_of(batch))
    # Two products and a sum per entry of a row that sums to 1.
    agree(view.targets_NK.sum(-1), 1.0, (batch.classes + 8) * EPS + bound_of(batch))


# Precision


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@given(data=st.data())
def test_lower_precisions_agree_with_float64_to_the_digits_of_float32(dtype, data):
    batch = data.draw(batches(dtype=dtype))
    objective = data.draw(any_objective())
    wide = type(batch)(batch.logits_NK.double(), batch.labels_N, batch.teacher_NK.double())
    ours_N, exact_N = loss_of(objective, batch), loss_of(objective, wide)
    assert ours_N.dtype == torch.float32
    tau = temperature_of(objective)
    # The logits of a virtual or instance-wise target reach |log| of the smallest float32, 104.
    largest = max(batch.largest, 104.0)
    bound = rounding.loss(torch.float32, classes=batch.classes, largest=largest, tau=tau)
    agree(ours_N, exact_N, bound)
    entropy_N = information.entropy_from_logits(batch.logits_NK)
    assert entropy_N.dtype == torch.float32
    exact_N = information.entropy_from_logits(wide.logits_NK)
    agree(entropy_N, exact_N, entropy_bound(wide.logits_NK, dtype=torch.float32))
