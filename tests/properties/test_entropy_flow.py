"""Which way training moves entropy: section 3 of the paper as identities, and where it stops."""

# Shapes: N examples, K classes.

from __future__ import annotations

import math

import numpy as np
import rounding
import torch
from hypothesis import assume, find, given, settings
from hypothesis import strategies as st
from scipy import optimize
from strategies import (
    MODERATE_SCALES,
    Batch,
    alphas,
    batches,
    class_counts,
    inner_alphas,
    loss_of,
    posteriors,
    probabilities,
)

from kdcheck import information, objectives, theory
from kdcheck.objectives import ERM, Distillation, InstanceSmoothing, LabelSmoothing

EPS = torch.finfo(torch.float64).eps
STEP = 1e-4
few = settings(max_examples=15)
two_classes = st.just(2)
moderate = batches(scales=MODERATE_SCALES)


def entropy(logits_NK):
    return information.entropy_from_logits(logits_NK)


def entropy_bound(logits_NK):
    """Of a difference of two entropies at these logits or close by."""
    largest = float(logits_NK.abs().max()) + 1.0
    return 2 * rounding.expectation(torch.float64, classes=logits_NK.shape[1], largest=largest)


def measured_rate(logits_NK, direction_NK):
    """DH/dt along a direction by central differences of the entropy."""
    ahead, behind = logits_NK + STEP * direction_NK, logits_NK - STEP * direction_NK
    return (entropy(ahead) - entropy(behind)) / (2 * STEP)


def rate_bound(logits_NK, direction_NK):
    """Of a central difference: step^2 / 6 of the third derivative, and rounding over the step.

    With p the posterior and w = log p, dH/dt = -cov(d, w). Each further derivative adds one d to a
    joint cumulant under p, or takes w away: |d^3 H / dt^3| <= 8 D^3 W + 2 D^3, with D and W the
    ranges of d and of the logits.
    """
    reach = float((direction_NK.amax(-1) - direction_NK.amin(-1)).max())
    width = 2 * float(logits_NK.abs().max())
    return STEP**2 / 6 * reach**3 * (8 * width + 2) + entropy_bound(logits_NK) / STEP


def gradient(objective, batch):
    logits_NK = batch.logits_NK.clone().requires_grad_()
    loss_of(objective, Batch(logits_NK, batch.labels_N, batch.teacher_NK)).sum().backward()
    return logits_NK.grad


def descent_step(objective, batch, size):
    """Logits after one step down the gradient of the objective."""
    return batch.logits_NK - size * gradient(objective, batch)


def agree(ours, oracle, bound):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(oracle), rtol=0, atol=bound)


@given(moderate)
def test_the_rate_towards_the_uniform_is_the_measured_one(batch):
    p_NK = batch.logits_NK.softmax(dim=-1)
    direction_NK = 1 / batch.classes - p_NK
    agree(
        theory.entropy_rate_towards_uniform(p_NK.numpy()),
        measured_rate(batch.logits_NK, direction_NK),
        rate_bound(batch.logits_NK, direction_NK),
    )


@given(moderate)
def test_the_rate_towards_a_teacher_is_the_measured_one(batch):
    p_NK, teacher_NK = batch.logits_NK.softmax(dim=-1), batch.teacher_NK.softmax(dim=-1)
    direction_NK = teacher_NK - p_NK
    agree(
        theory.entropy_rate_towards_teacher(p_NK.numpy(), teacher_NK.numpy()),
        measured_rate(batch.logits_NK, direction_NK),
        rate_bound(batch.logits_NK, direction_NK),
    )


@given(moderate, alphas)
def test_smoothing_minus_erm_is_the_measured_difference_of_their_rates(batch, alpha):
    direction_NK = gradient(ERM(), batch) - gradient(LabelSmoothing(alpha), batch)
    p_NK = batch.logits_NK.softmax(dim=-1).numpy()
    # What the gradients are off by turns the rate by at most sum |dH/dz| <= 2 (2 S + log K) times.
    gradient_bound = rounding.gradient(torch.float64, classes=batch.classes, largest=batch.largest)
    turn = 2 * (2 * batch.largest + math.log(batch.classes)) * gradient_bound
    agree(
        theory.smoothing_minus_erm_rate(p_NK, batch.labels_N.numpy(), alpha=alpha),
        measured_rate(batch.logits_NK, direction_NK),
        rate_bound(batch.logits_NK, direction_NK) + turn,
    )


@given(posteriors())
def test_the_rate_towards_the_uniform_is_the_covariance_of_p_and_log_p(p_NK):
    p_NK = p_NK.numpy()
    log_p_NK = np.log(p_NK, where=p_NK > 0, out=np.zeros_like(p_NK))
    mean_p, mean_log = (p_NK**2).sum(1), (p_NK * log_p_NK).sum(1)
    covariance_N = (p_NK * (p_NK - mean_p[:, None]) * (log_p_NK - mean_log[:, None])).sum(1)
    rate_N = theory.entropy_rate_towards_uniform(p_NK)
    # p |log p| <= 1/e, K + 4 roundings of terms of at most 1 + log K.
    bound = 2 * (p_NK.shape[1] + 4) * EPS * (1 + math.log(p_NK.shape[1]))
    agree(rate_N, covariance_N, bound)
    assert (rate_N >= -bound).all()


@given(moderate)
def test_a_uniform_teacher_gives_the_rate_towards_the_uniform(batch):
    p_NK = batch.logits_NK.softmax(dim=-1).numpy()
    uniform_NK = np.full_like(p_NK, 1 / batch.classes)
    agree(
        theory.entropy_rate_towards_teacher(p_NK, uniform_NK),
        theory.entropy_rate_towards_uniform(p_NK),
        4 * (batch.classes + 4) * EPS * (1 + math.log(batch.classes)),
    )


@given(moderate)
def test_entropy_rises_all_along_the_flow_of_the_divergence_from_the_uniform(batch):
    # Euler's method for dz/dt = u - p. A step of h < 1 shrinks every gap z_i - z_j and keeps its
    # sign, since |p_i - p_j| <= |z_i - z_j|; so the new p is majorised by the old one, and entropy
    # is Schur-concave: it rises at every finite step, not only in the limit.
    logits_NK = batch.logits_NK
    start_N = entropy(logits_NK)
    rise_N = torch.zeros_like(start_N, dtype=torch.float64)
    size = 0.1
    for _ in range(20):
        p_NK = logits_NK.softmax(dim=-1)
        rate_N = torch.from_numpy(theory.entropy_rate_towards_uniform(p_NK.numpy()))
        moved_NK = logits_NK + size * (1 / batch.classes - p_NK)
        assert (entropy(moved_NK) >= entropy(logits_NK) - entropy_bound(logits_NK)).all()
        rise_N += size * rate_N
        logits_NK = moved_NK
    # Along one straight step d^2 H / dt^2 = -cum(d, d, w) - var(d), at most W + 1 as |d| <= 1 and W
    # is the range of the logits; 20 steps leave 20 h^2 / 2 of it.
    width = 2 * float(batch.logits_NK.abs().max())
    truncation = 10 * size**2 * (width + 1)
    agree(entropy(logits_NK) - start_N, rise_N, truncation + 20 * entropy_bound(batch.logits_NK))


@given(moderate, inner_alphas)
def test_a_smoothing_step_lowers_entropy_relative_to_erm_exactly_below_exp_minus_entropy(
    batch, alpha
):
    p_NK = batch.logits_NK.softmax(dim=-1)
    label_p_N = p_NK.gather(-1, batch.labels_N[:, None]).squeeze(-1)
    gap_N = label_p_N.log() + entropy(batch.logits_NK)
    rate_N = theory.smoothing_minus_erm_rate(p_NK.numpy(), batch.labels_N.numpy(), alpha=alpha)
    measured_N = entropy(descent_step(LabelSmoothing(alpha), batch, STEP)) - entropy(
        descent_step(ERM(), batch, STEP)
    )
    # Away from the border the sign is decided: the difference of the two steps is STEP times the
    # rate, up to STEP^2 / 2 of the second derivative (at most 4 (W + 1) for a direction of range 2)
    # for each step, and rounding.
    rounded = entropy_bound(batch.logits_NK)
    slack = 4 * STEP**2 * (2 * batch.largest + 1) + rounded
    decided_N = (STEP * np.abs(rate_N) > slack) & (np.abs(gap_N.numpy()) > rounded)
    below_N = (label_p_N < torch.exp(-entropy(batch.logits_NK))).numpy()
    assert ((rate_N < 0) == below_N)[decided_N].all()
    assert ((measured_N.numpy() < 0) == below_N)[decided_N].all()


def test_hypothesis_finds_a_teacher_that_lowers_the_students_entropy_and_one_that_raises_it():
    # On the soft term of Eq. 2 alone, so that the teacher is the only cause.
    def rate_and_change(batch):
        p_NK, teacher_NK = batch.logits_NK.softmax(-1), batch.teacher_NK.softmax(-1)
        rate_N = theory.entropy_rate_towards_teacher(p_NK.numpy(), teacher_NK.numpy())
        stepped_NK = descent_step(Distillation(alpha=1.0), batch, 0.1)
        return rate_N[0], float(entropy(stepped_NK) - entropy(batch.logits_NK))

    usual = batches(rows=st.just(1), scales=(1.0, 10.0))
    find(usual, lambda batch: max(rate_and_change(batch)) < -1e-3)
    find(usual, lambda batch: min(rate_and_change(batch)) > 1e-3)


def test_hypothesis_finds_a_distilled_student_less_sure_than_erm_and_one_surer():
    # The whole of Eq. 2 against ERM, one step from the same student. find raises NoSuchExample.
    def difference(batch):
        kd_N = entropy(descent_step(Distillation(alpha=0.5), batch, 0.1))
        return float(kd_N - entropy(descent_step(ERM(), batch, 0.1)))

    usual = batches(rows=st.just(1), scales=(1.0, 10.0))
    find(usual, lambda batch: difference(batch) < -1e-3)
    find(usual, lambda batch: difference(batch) > 1e-3)


# The floor of label smoothing


@few
@given(st.integers(2, 16), inner_alphas)
def test_the_floor_is_the_entropy_of_the_minimiser_that_an_optimiser_finds(classes, alpha):
    labels_N = torch.tensor([0])

    def loss_and_gradient(logits_K):
        logits_NK = torch.from_numpy(logits_K)[None].requires_grad_()
        loss = objectives.label_smoothing(logits_NK, labels_N, alpha=alpha).sum()
        loss.backward()
        return float(loss.detach()), logits_NK.grad[0].numpy()

    found = optimize.minimize(loss_and_gradient, np.zeros(classes), jac=True, method="BFGS")
    entropy_found = float(entropy(torch.from_numpy(found.x)[None]))
    # The gradient is p - q_ls, so p is off by its size g, and the entropy by sum |log q| g and a
    # second order g^2 / q.
    off = float(np.abs(found.jac).max())
    least = alpha / classes
    bound = classes * (abs(math.log(least)) + 1) * off + classes * off**2 / least + 1e-12
    assert bound < 1e-2, found.message
    assert abs(entropy_found - theory.smoothing_entropy_floor(alpha, classes)) <= bound


@given(alphas, posteriors())
def test_no_mixture_of_a_posterior_with_the_uniform_lies_below_the_floor(alpha, p_NK):
    classes = p_NK.shape[1]
    mixed_NK = (1 - alpha) * p_NK + alpha / classes
    bound = 4 * (classes + 8) * EPS * (1 + math.log(classes))
    floor = theory.smoothing_entropy_floor(alpha, classes)
    assert (information.entropy(mixed_NK / mixed_NK.sum(-1, keepdim=True)) >= floor - bound).all()


@given(st.tuples(alphas, alphas).map(sorted), class_counts)
def test_the_floor_grows_with_alpha_from_0_to_log_k(pair, classes):
    lower, upper = (theory.smoothing_entropy_floor(alpha, classes) for alpha in pair)
    bound = 4 * EPS * (1 + math.log(classes))
    assert -bound <= lower <= upper + bound <= math.log(classes) + 2 * bound


@given(probabilities, class_counts)
def test_alpha_for_entropy_inverts_the_floor(fraction, classes):
    wanted = fraction * math.log(classes)
    alpha = theory.alpha_for_entropy(wanted, classes)
    assert 0.0 <= alpha <= 1.0
    # alpha is right to half an epsilon (or 2^-60 near 0), where the floor is at most
    # log(K / alpha) < 50 times as steep; its own rounding is 4 eps.
    bound = 50 * EPS + 4 * EPS * (1 + math.log(classes))
    assert abs(theory.smoothing_entropy_floor(alpha, classes) - wanted) <= bound


@given(st.floats(0.0, 0.9), class_counts)
def test_alpha_for_entropy_gives_back_the_alpha_of_a_floor(alpha, classes):
    floor = theory.smoothing_entropy_floor(alpha, classes)
    # Where alpha <= 0.9 the floor has at least the slope log(top / rest) (K - 1) / K with
    # top / rest = 1 + K (1 - alpha) / alpha >= 1 + K / 9; rounding of the floor over that slope.
    slope = math.log1p(classes / 9) * (classes - 1) / classes
    bound = 8 * EPS * (1 + math.log(classes)) / slope + 4 * EPS
    assert abs(theory.alpha_for_entropy(floor, classes) - alpha) <= bound


# Two classes


@given(batches(classes=two_classes), alphas)
def test_at_two_classes_distillation_is_label_smoothing_of_an_amount_per_example(batch, alpha):
    label_p_N = batch.teacher_NK.softmax(-1).gather(-1, batch.labels_N[:, None]).squeeze(-1)
    amounts_N = theory.equivalent_smoothing_at_two_classes(alpha, label_p_N.numpy())
    view = objectives.target_view(
        Distillation(alpha), batch.logits_NK, batch.labels_N, batch.teacher_NK
    )
    one_hot_NK = np.eye(2)[batch.labels_N.numpy()]
    smoothed_NK = (1 - amounts_N[:, None]) * one_hot_NK + amounts_N[:, None] / 2
    bound = 4 * rounding.log_posterior(torch.float64, classes=2, largest=batch.largest)
    agree(view.targets_NK, smoothed_NK, bound)


@given(batches(classes=two_classes, rows=st.just(1)), alphas)
def test_at_two_classes_that_label_smoothing_has_the_gradient_of_distillation(batch, alpha):
    label_p = batch.teacher_NK.softmax(-1)[0, batch.labels_N[0]].item()
    amount = float(theory.equivalent_smoothing_at_two_classes(alpha, [label_p])[0])
    assume(amount <= 1.0)  # above it the teacher outvotes the label, which no smoothing does
    agree(
        descent_step(Distillation(alpha), batch, 1.0),
        descent_step(LabelSmoothing(amount), batch, 1.0),
        # The steps are sums with the logits: two more roundings of them.
        rounding.gradient(torch.float64, classes=2, largest=batch.largest)
        + 2 * EPS * (batch.largest + 1),
    )


@given(batches(classes=two_classes), alphas)
def test_at_two_classes_instance_smoothing_is_distillation_where_the_teacher_is_right(batch, alpha):
    right_N = batch.teacher_NK.argmax(-1) == batch.labels_N
    bound = rounding.loss(torch.float64, classes=2, largest=max(batch.largest, 745.0))
    agree(
        loss_of(InstanceSmoothing(alpha), batch)[right_N],
        loss_of(Distillation(alpha), batch)[right_N],
        bound,
    )
