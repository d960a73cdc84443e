"""Formulas that losses are held against, each against scipy, torch or a loop over one example at a time."""

# Shapes: N examples, K classes.

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy.spatial import distance
from scipy.special import softmax
from scipy.stats import entropy, pearsonr, zscore
from torch.nn import functional

from kdcheck.conform.loss import formulas as of
from kdcheck.conform.loss.terms import library

RNG = np.random.default_rng(3)
A, B = RNG.normal(0.0, 2.0, (2, 4, 5))
LABELS = np.array([3, 0, 4, 1])
HOT = np.eye(5)[LABELS]
P, Q = softmax(A, axis=-1), softmax(B, axis=-1)
CASE = of.Case(student_NK=A, teacher_NK=B, labels_N=LABELS, alpha=0.3, tau=2.5)


def smooth_label(label, correct, others):
    """One row: so much of the label, the rest by what ``others`` leaves to each."""
    return np.array([correct if k == label else others for k in range(5)])


def rows(of_label):
    return np.array([of_label(label) for label in LABELS])


def label_against_rest(p_K, label):
    return [p_K[label], np.delete(p_K, label).sum()]


def others_of(logits_K, label):
    return softmax(np.delete(logits_K, label))


def each(value):
    """A value for each example from its row of P, Q, A and B and its label."""
    return np.array([value(*row) for row in zip(P, Q, A, B, LABELS, strict=True)])


VIRTUAL = rows(lambda label: smooth_label(label, 0.9, 0.1 / 4))
SMOOTHED = rows(lambda label: smooth_label(label, 0.7 + 0.3 / 5, 0.3 / 5))
SMOOTHED_OTHERS = rows(lambda label: smooth_label(label, 0.7, 0.3 / 4))
OTHERS = rows(lambda label: smooth_label(label, 0.0, 0.25))


def binary(logits, target):
    made = functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logits), torch.from_numpy(target), reduction="none"
    )
    return made.sum(-1).numpy()


def cross_entropy(target, logits):
    return entropy(target, axis=-1) + entropy(target, softmax(logits, axis=-1), axis=-1)


def standardised(logits, ddof, tau):
    return softmax(zscore(logits, axis=-1, ddof=ddof) / tau, axis=-1)


MIX = 0.2 * Q + 0.8 * P
DIVERGENCES = {"kl": of.kl, "ce": of.ce}
ROUTES = {
    "kl": (lambda: of.kl(np.log(Q), np.log(P)), entropy(Q, P, axis=-1)),
    "ce": (lambda: of.ce(np.log(Q), np.log(P)), cross_entropy(Q, A)),
    "log-softmax": (
        lambda: of.log_posteriors_of(A),
        functional.log_softmax(torch.from_numpy(A), dim=-1).numpy(),
    ),
    "entropy": (lambda: of.entropy(np.vstack([Q, HOT])), entropy(np.vstack([Q, HOT]), axis=-1)),
    "js": (
        lambda: of.js(0.2, A, B, HOT),
        0.2 * entropy(Q, MIX, axis=-1) + 0.8 * entropy(P, MIX, axis=-1),
    ),
    "js of two halves": (
        lambda: of.js(0.5, A, B, HOT),
        each(lambda p, q, *_: distance.jensenshannon(p, q) ** 2),
    ),
    "skew": (lambda: of.skew(0.2, A, B, HOT), entropy(Q, MIX, axis=-1)),
    "skew, reversed": (lambda: of.skew_reverse(0.8, A, B, HOT), entropy(P, MIX, axis=-1)),
    "tckd": (
        lambda: of.tckd(A, B, HOT),
        each(lambda p, q, a, b, y: entropy(label_against_rest(q, y), label_against_rest(p, y))),
    ),
    "nckd": (
        lambda: of.nckd(A, B, HOT),
        each(lambda p, q, a, b, y: entropy(others_of(b, y), others_of(a, y))),
    ),
    "cosine": (lambda: of.cosine(A, B), each(lambda p, q, a, b, y: distance.cosine(a, b))),
    "cosine of nothing": (lambda: of.cosine(0 * A, B), np.ones(4)),
    "pearson over the batch": (
        lambda: of.pearson_over_batch(A, B, HOT),
        np.full(4, sum(1 - pearsonr(P[:, k], Q[:, k])[0] for k in range(5)) / 4),
    ),
    "standardised": (
        lambda: of.standardised(1, A, B, HOT),
        entropy(standardised(B, 1, 1), standardised(A, 1, 1), axis=-1),
    ),
    "standardised, at tau": (
        lambda: of.standardised_then_tempered(0, CASE),
        entropy(standardised(B, 0, 2.5), standardised(A, 0, 2.5), axis=-1),
    ),
    "standardised logits that are all alike": (
        lambda: of.standardised(0, 0 * A + 3, B, HOT),
        entropy(standardised(B, 0, 1), np.full((4, 5), 0.2), axis=-1),
    ),
    "binary": (lambda: of.bernoulli_ce(A, Q), binary(A, Q)),
    "huber": (
        lambda: of.huber(A - B),
        functional.smooth_l1_loss(torch.from_numpy(A), torch.from_numpy(B), reduction="none")
        .sum(-1)
        .numpy(),
    ),
    "virtual": (lambda: of.virtual(0.9, HOT), VIRTUAL),
    "uniform": (lambda: np.exp(of.uniform(A)), np.full((4, 5), 0.2)),
    "others": (lambda: of.ce_others(A, B, HOT), cross_entropy(OTHERS, A)),
    "smoothed": (lambda: of.smoothed(CASE, 0.3, others=False), -entropy(SMOOTHED, axis=-1)),
    "smoothed over the others": (
        lambda: of.smoothed(CASE, 0.3, others=True),
        -entropy(SMOOTHED_OTHERS, axis=-1),
    ),
    "binary, smoothed": (lambda: of.bce_smoothed(CASE), binary(A, SMOOTHED)),
    "mixed": (lambda: of.mixed_target(CASE, 0.4), -entropy(0.6 * HOT + 0.4 * Q, axis=-1)),
    "virtual probabilities for logits": (
        lambda: of.of_virtual_probabilities(0.9, False, CASE),
        entropy(softmax(VIRTUAL / 2.5, axis=-1), P, axis=-1),
    ),
    "the same with the student at tau": (
        lambda: of.of_virtual_probabilities(0.9, True, CASE),
        entropy(softmax(VIRTUAL / 2.5, axis=-1), softmax(A / 2.5, axis=-1), axis=-1),
    ),
}
for sides in ("student", "teacher", "student and teacher"):
    a, b = P if "student" in sides else A, Q if "teacher" in sides else B
    ROUTES[f"twice, {sides}"] = (
        partial(of.twice, of.kl, sides, A, B),
        entropy(softmax(b, axis=-1), softmax(a, axis=-1), axis=-1),
    )
    ROUTES[f"twice, then tempered, {sides}"] = (
        partial(of.twice_then_tempered, of.ce, sides, CASE),
        cross_entropy(softmax(b / 2.5, axis=-1), a / 2.5),
    )


@pytest.mark.parametrize("name", ROUTES)
def test_a_formula_equals_what_another_route_gives(name):
    formula, wanted = ROUTES[name]
    # Some ten operations on numbers below 30, at 2e-16 each.
    np.testing.assert_allclose(formula(), wanted, rtol=1e-12, atol=1e-12)


def test_log_softmax_of_large_logits_is_finite():
    assert of.log_posteriors_of(np.array([[1e4, -1e4]])).tolist() == [[0.0, -2e4]]


def test_a_case_is_told_as_a_reader_would_type_it():
    case = of.Case(np.array([[0.0, 0.5]]), np.array([[1.0, 0.0]]), np.array([1]), tau=2.0)
    assert str(case) == (
        "student [[0.0, 0.5]], teacher [[1.0, 0.0]], labels [1], alpha 0.3, beta 0.7, tau 2"
    )


def terms(**given):
    return [(t.kind, t.family, t.student_tau, t.teacher_tau) for t in library(**given)]


def test_a_loss_has_the_terms_of_what_it_is_given():
    everything, labels, teacher = (
        terms(labels=True, teacher=True),
        terms(labels=True, teacher=False),
        terms(labels=False, teacher=True),
    )
    assert {family for _, family, *_ in everything} == {"hard", "smooth", "soft", "constant"}
    assert {family for _, family, *_ in labels} == {"hard", "smooth", "constant"}
    assert {family for _, family, *_ in teacher} == {"smooth", "soft", "constant"}
    assert set(labels) | set(teacher) < set(everything)
    assert len(set(everything)) == len(everything)
    kinds = {kind for kind, *_ in everything}
    assert {kind for kind, *_ in everything if kind not in {k for k, *_ in labels + teacher}} == {
        "mixed_entropy",
        "mixed_entropy_opposite",
    }
    alone = {kind for kind, family, *_ in teacher if family == "smooth"}
    assert alone == {"kl_uniform", "ce_uniform", "entropy"}
    assert {k for k in kinds if k.startswith("virtual_softmax")} == {
        f"virtual_softmax_{c}_{t}" for c in (0.9, 0.95, 0.99) for t in (True, False)
    }


def test_one_sided_temperatures_are_tried_after_those_of_both_sides_and_for_few_terms():
    taus = [(s, t) for kind, _, s, t in terms(labels=False, teacher=True) if kind == "kl"]
    assert taus == [("1", "1"), ("tau", "tau"), ("1", "tau"), ("tau", "1")]
    taus = [
        (s, t) for kind, _, s, t in terms(labels=False, teacher=True) if kind == "cosine_logits"
    ]
    assert taus == [("1", "1"), ("tau", "tau")]


@pytest.mark.parametrize("name", ["kl", "ce"])
@pytest.mark.parametrize("sides", ["student", "teacher", "student and teacher"])
def test_a_softmax_taken_twice_is_told_with_its_side_and_is_the_formula(name, sides):
    found = [t for t in library(labels=False, teacher=True) if t.flaw.endswith(f"twice of {sides}")]
    found = [term for term in found if term.kind.startswith(name)]
    assert [(t.kind, t.student_tau) for t in found] == [
        (f"{name}_twice_{sides}", "1"),
        (f"{name}_twice_{sides}", "tau"),
        (f"{name}_tempered_twice_{sides}", "tau"),
    ]
    told = "KL" if name == "kl" else "cross-entropy"
    assert {term.words for term in found} == {f"{told} with softmax taken twice of {sides}"}
    divergence = DIVERGENCES[name]
    for term, wanted in zip(
        found,
        (
            of.twice(divergence, sides, A, B),
            of.twice(divergence, sides, A / 2.5, B / 2.5),
            of.twice_then_tempered(divergence, sides, CASE),
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(term.per_example(CASE), wanted)
