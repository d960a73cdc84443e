"""Gradients: finite differences, p - target, the scale of tau^2, and who receives none."""

# Shapes: N examples, K classes.

from __future__ import annotations

import numpy as np
import rounding
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    MODERATE_SCALES,
    SMALL,
    USUAL,
    Batch,
    alphas,
    any_objective,
    batches,
    loss_of,
    temperature_of,
    temperatures,
)

from kdcheck import objectives, theory
from kdcheck.objectives import ConfidencePenalty, Distillation, LabelSmoothing

few = settings(max_examples=20)
small = batches(rows=st.integers(1, 2), classes=st.integers(2, 5), scales=(SMALL, USUAL))


def gradient_of(objective, batch):
    logits_NK = batch.logits_NK.clone().requires_grad_()
    loss_of(objective, Batch(logits_NK, batch.labels_N, batch.teacher_NK)).sum().backward()
    return logits_NK.grad


def bound_of(batch, *, temperature=1.0, largest=0.0):
    return rounding.gradient(
        torch.float64, classes=batch.classes, largest=max(batch.largest, largest), tau=temperature
    )


def agree(ours, oracle, bound):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(oracle), rtol=0, atol=bound)


@few
@given(small, any_objective(temperature=2.0))
def test_every_gradient_equals_finite_differences(batch, objective):
    # Central differences with step h = 1e-5 are off by h^2 / 6 of the third derivative (at most
    # 8 tau^2 times the range of the logits, 2: under 64) plus the rounding of two losses over h.
    step = 1e-5
    bound = step**2 * 64 / 6 + rounding.loss(
        torch.float64, classes=batch.classes, largest=40.0, tau=2.0
    ) / (2 * step)
    logits_NK = batch.logits_NK.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: loss_of(objective, Batch(z, batch.labels_N, batch.teacher_NK)),
        (logits_NK,),
        eps=step,
        atol=bound,
        rtol=0.0,
    )


@given(batches(), any_objective(mixtures_only=True))
def test_every_mixture_gradient_equals_the_closed_form(batch, objective):
    teacher_NK = batch.teacher_NK if objective.needs_teacher else None
    soft_NK = objective.soft_target(batch.logits_NK, batch.labels_N, teacher_NK)
    closed_NK = theory.mixture_gradient(
        batch.logits_NK.numpy(),
        batch.labels_N.numpy(),
        soft_NK.numpy(),
        alpha=objective.alpha,
        temperature=objective.temperature,
        tau_squared=objective.tau_squared,
    )
    agree(
        gradient_of(objective, batch), closed_NK, bound_of(batch, temperature=objective.temperature)
    )


@given(batches(), any_objective(mixtures_only=True, temperature=1.0))
def test_at_temperature_1_every_mixture_gradient_is_p_minus_target(batch, objective):
    teacher_NK = batch.teacher_NK if objective.needs_teacher else None
    view = objectives.target_view(objective, batch.logits_NK, batch.labels_N, teacher_NK)
    p_NK = batch.logits_NK.softmax(dim=-1)
    agree(gradient_of(objective, batch), p_NK - view.targets_NK, bound_of(batch))


@given(batches(), alphas)
def test_label_smoothing_and_cross_entropy_against_its_target_have_one_gradient(batch, alpha):
    logits_NK = batch.logits_NK.clone().requires_grad_()
    torch.nn.functional.cross_entropy(
        logits_NK, batch.labels_N, label_smoothing=alpha, reduction="sum"
    ).backward()
    # The constant alpha log K between them has no gradient.
    agree(gradient_of(LabelSmoothing(alpha), batch), logits_NK.grad, bound_of(batch))


@given(batches(), alphas)
def test_the_confidence_penalty_gradient_equals_the_closed_form(batch, alpha):
    closed_NK = theory.confidence_penalty_gradient(
        batch.logits_NK.numpy(), batch.labels_N.numpy(), alpha=alpha
    )
    # p (log p + H) is a product of a probability and an expectation of log posteriors.
    bound = bound_of(batch) + 2 * rounding.expectation(
        torch.float64, classes=batch.classes, largest=max(batch.largest, 745.0)
    )
    agree(gradient_of(ConfidencePenalty(alpha), batch), closed_NK, bound)


@given(batches(), any_objective())
def test_every_gradient_sums_to_0_over_the_classes(batch, objective):
    bound = batch.classes * rounding.gradient(
        torch.float64,
        classes=batch.classes,
        largest=max(batch.largest, 745.0),
        tau=temperature_of(objective),
    )
    agree(gradient_of(objective, batch).sum(dim=-1), 0.0, bound)


@given(batches(), any_objective())
def test_no_gradient_reaches_the_teacher(batch, objective):
    logits_NK = batch.logits_NK.clone().requires_grad_()
    teacher_NK = batch.teacher_NK.clone().requires_grad_()
    loss_of(objective, Batch(logits_NK, batch.labels_N, teacher_NK)).sum().backward()
    assert teacher_NK.grad is None
    assert torch.equal(logits_NK.grad, gradient_of(objective, batch))


@given(batches(), any_objective(mixtures_only=True))
def test_a_student_that_teaches_itself_receives_no_gradient_through_the_target(batch, objective):
    logits_NK = batch.logits_NK.clone().requires_grad_()
    loss_of(objective, Batch(logits_NK, batch.labels_N, logits_NK)).sum().backward()
    same = Batch(batch.logits_NK, batch.labels_N, batch.logits_NK)
    assert torch.equal(logits_NK.grad, gradient_of(objective, same))


@given(batches(), temperatures)
def test_tau_squared_multiplies_loss_and_gradient_of_the_soft_term_by_tau_squared(batch, tau):
    with_it = Distillation(alpha=1.0, temperature=tau)
    without = Distillation(alpha=1.0, temperature=tau, tau_squared=False)
    # One more rounding each; relative to values that the bounds already contain.
    loss_bound = rounding.loss(torch.float64, classes=batch.classes, largest=batch.largest, tau=tau)
    agree(loss_of(with_it, batch), tau**2 * loss_of(without, batch), loss_bound)
    agree(
        gradient_of(with_it, batch),
        tau**2 * gradient_of(without, batch),
        max(1.0, tau) * bound_of(batch, temperature=tau),
    )


@given(batches(scales=MODERATE_SCALES), st.sampled_from([1e2, 1e3, 1e4]))
def test_the_gradient_tends_to_the_gap_of_centred_logits_over_k_at_rate_one_over_tau(batch, tau):
    gap_NK = batch.logits_NK - batch.teacher_NK
    limit_NK = (gap_NK - gap_NK.mean(dim=-1, keepdim=True)) / batch.classes
    # With t = 1 / tau, d^2 softmax(t z)_k / dt^2 = p_k ((z_k - mean)^2 - variance), at most the
    # squared range; so the second term of Taylor's series leaves range^2 / (2 tau) for each side.
    ranges = [spread(batch.logits_NK), spread(batch.teacher_NK)]
    bound = sum(r**2 for r in ranges) / (2 * tau) + bound_of(batch, temperature=tau)
    agree(gradient_of(Distillation(alpha=1.0, temperature=tau), batch), limit_NK, bound)


@given(batches(scales=MODERATE_SCALES), st.sampled_from([1e2, 1e3, 1e4]))
def test_the_loss_tends_to_the_squared_gap_of_centred_logits_at_rate_one_over_tau(batch, tau):
    limit_N = theory.large_temperature_distillation(
        batch.logits_NK.numpy(), batch.teacher_NK.numpy()
    )
    # D_KL as a function of t = 1 / tau vanishes at 0 with its slope; its third derivative is made
    # of joint cumulants of both logits, at most 6.25 R^3 + 8 t R^4 with R the larger range. Taylor
    # leaves a sixth of it over tau.
    reach = max(spread(batch.logits_NK), spread(batch.teacher_NK))
    truncation = (6.25 * reach**3 + 8 * reach**4 / tau) / (6 * tau)
    loss_bound = rounding.loss(torch.float64, classes=batch.classes, largest=batch.largest, tau=tau)
    ours_N = loss_of(Distillation(alpha=1.0, temperature=tau), batch)
    agree(ours_N, limit_N, truncation + loss_bound)


@given(batches(scales=(USUAL,)))
def test_without_tau_squared_the_soft_gradient_vanishes_as_tau_grows(batch):
    tau = 1e4
    faded_NK = gradient_of(Distillation(1.0, tau, tau_squared=False), batch)
    # (p_tau - s_tau) / tau, and |p_tau - s_tau| is at most a quarter of the range of z - v, which
    # is 4 here, over tau.
    assert faded_NK.abs().max() <= 1 / tau**2 + bound_of(batch) / tau


def spread(logits_NK):
    return float((logits_NK.amax(dim=-1) - logits_NK.amin(dim=-1)).max())
