"""What must not change a loss or a measure: shifts of logits, the order of classes, the batch."""

# Shapes: N examples, K classes.

from __future__ import annotations

import math

import numpy as np
import rounding
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    Batch,
    any_objective,
    batches,
    logits,
    loss_of,
    posterior_pairs,
    posteriors,
    temperature_of,
)

from kdcheck import information

EPS = torch.finfo(torch.float64).eps
shifts = st.floats(-1e4, 1e4)


def agree(ours, oracle, bound):
    np.testing.assert_allclose(ours.detach(), oracle.detach(), rtol=0, atol=bound)


def bound_of(objective, *sides):
    """Twice the rounding of a loss; log of a hand-made target reaches that of the least double."""
    largest = max(745.0, *(batch.largest for batch in sides))
    tau = temperature_of(objective)
    return rounding.loss(torch.float64, classes=sides[0].classes, largest=largest, tau=tau)


def gradient_of(objective, batch):
    logits_NK = batch.logits_NK.clone().requires_grad_()
    loss_of(objective, Batch(logits_NK, batch.labels_N, batch.teacher_NK)).sum().backward()
    return logits_NK.grad


@given(batches(), any_objective(), shifts, shifts)
def test_adding_a_constant_to_a_row_of_logits_changes_no_objective(batch, objective, mine, theirs):
    shifted = Batch(batch.logits_NK + mine, batch.labels_N, batch.teacher_NK + theirs)
    # The sum z + c rounds too, by eps / 2 of the larger logits, which the bound counts thrice.
    bound = bound_of(objective, batch, shifted)
    agree(loss_of(objective, shifted), loss_of(objective, batch), bound)


@given(batches(), any_objective(), st.randoms(use_true_random=False))
def test_permuting_the_classes_permutes_the_gradient_and_leaves_the_loss(batch, objective, random):
    order = list(range(batch.classes))
    random.shuffle(order)
    place_of = torch.tensor(order).argsort()
    permuted = Batch(
        batch.logits_NK[:, order], place_of[batch.labels_N], batch.teacher_NK[:, order]
    )
    bound = bound_of(objective, batch)
    agree(loss_of(objective, permuted), loss_of(objective, batch), bound)
    # The gradient of the confidence penalty is an expectation of log posteriors; the others' are
    # differences of probabilities. Both lie within the bound of the loss.
    agree(gradient_of(objective, permuted), gradient_of(objective, batch)[:, order], bound)


@given(batches(rows=st.integers(2, 6)), any_objective())
def test_a_loss_does_not_depend_on_the_batch_it_sits_in(batch, objective):
    together_N = loss_of(objective, batch)
    assert together_N.shape == batch.labels_N.shape
    bound = bound_of(objective, batch)
    for index in range(len(together_N)):
        agree(loss_of(objective, batch.row(index)), together_N[index : index + 1], bound)


@given(batches(rows=st.integers(2, 6)), any_objective())
def test_a_gradient_does_not_depend_on_the_batch_it_sits_in(batch, objective):
    together_NK = gradient_of(objective, batch)
    bound = bound_of(objective, batch)
    for index in range(len(together_NK)):
        agree(gradient_of(objective, batch.row(index)), together_NK[index : index + 1], bound)


@given(posteriors(rows=st.integers(2, 6)))
def test_the_entropy_of_a_row_does_not_depend_on_the_other_rows(p_NK):
    together_N = information.entropy(p_NK)
    bound = 2 * (p_NK.shape[1] + 2) * EPS * math.log(p_NK.shape[1])
    for index, row_K in enumerate(p_NK):
        agree(information.entropy(row_K[None]), together_N[index : index + 1], bound)


@given(posteriors())
def test_entropy_lies_between_0_and_log_k(p_NK):
    entropy_N = information.entropy(p_NK)
    assert (entropy_N >= 0).all()
    # Rows sum to 1 within (K + 8) eps, which moves the maximum by as much times (1 + log K).
    classes = p_NK.shape[1]
    slack = (classes + 8) * EPS * (1 + math.log(classes)) + 2 * classes * EPS
    assert (entropy_N <= math.log(classes) + slack).all()


@given(posteriors())
def test_what_entropy_lacks_to_log_k_is_the_divergence_from_the_uniform(p_NK):
    classes = p_NK.shape[1]
    uniform_NK = torch.full_like(p_NK, 1 / classes)
    gap_N = math.log(classes) - information.entropy(p_NK)
    bound = 4 * (classes + 8) * EPS * (1 + math.log(classes))
    agree(information.kl_divergence(p_NK, uniform_NK), gap_N, bound)


@given(posteriors())
def test_only_the_uniform_has_the_entropy_of_the_uniform(p_NK):
    classes = p_NK.shape[1]
    uniform_NK = torch.full_like(p_NK, 1 / classes)
    # Pinsker: D_KL(p, u) >= |p - u|_1^2 / 2, so a visible distance costs entropy.
    cost_N = (p_NK - uniform_NK).abs().sum(dim=-1).square() / 2
    bound = 4 * (classes + 8) * EPS * (1 + math.log(classes))
    gap_N = math.log(classes) - information.entropy(p_NK)
    assert (gap_N >= cost_N - bound).all()
    assert (gap_N[cost_N > bound] > 0).all()


@given(posterior_pairs())
def test_a_divergence_is_at_least_half_the_squared_distance_of_its_rows(pair):
    first_NK, second_NK = pair
    cost_N = (first_NK - second_NK).abs().sum(dim=-1).square() / 2  # Pinsker
    # K products of at most 745 (the largest log of a double), and rows that sum to 1 within
    # (K + 8) eps each, which moves the divergence by as much.
    bound = 2 * (first_NK.shape[1] + 8) * EPS * 745.0
    divergence_N = information.kl_divergence(first_NK, second_NK)
    assert (divergence_N >= cost_N - bound).all()
    assert (divergence_N[cost_N > bound] > 0).all()


@given(posteriors(), logits())
def test_a_divergence_from_itself_is_exactly_0(p_NK, logits_NK):
    assert (information.kl_divergence(p_NK, p_NK.clone()) == 0).all()
    assert (information.kl_divergence_from_logits(logits_NK, logits_NK.clone()) == 0).all()


@given(batches(), any_objective())
def test_every_loss_of_finite_logits_is_finite_and_bounded_below(batch, objective):
    loss_N = loss_of(objective, batch)
    assert torch.isfinite(loss_N).all()
    floor = -objective.alpha * math.log(batch.classes) if "penalty" in objective.name else 0.0
    assert (loss_N >= floor - bound_of(objective, batch)).all()
