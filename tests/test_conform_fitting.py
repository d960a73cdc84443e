"""From values to terms and weights: what is found, what is not, and in which words."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import find, given
from torch.nn import functional

from kdcheck.conform.loss import fitting
from kdcheck.conform.loss.binding import bindings
from kdcheck.conform.loss.fitting import Fit, NoFit, Part, confirmed, draw, exact_sets, fit
from kdcheck.conform.loss.laws import Law, constant
from kdcheck.conform.loss.terms import library
from tests import foreign_losses as foreign


def loss_of(target):
    """The loss, called in the likeliest way."""
    return next(bindings(target, name="loss", arguments={}, names={}))


def fitted(target):
    return fit(loss_of(target))


def cross_entropy(student, labels):
    return functional.cross_entropy(student, labels)


HARD, SOFT = "cross-entropy with the label", "KL(teacher, student)"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (
            lambda student, labels: cross_entropy(student, labels) * torch.inf,
            "its value is not finite on ordinary logits",
        ),
        (foreign.strange, "no combination of up to three known terms gives its values"),
        (
            lambda student, labels: student.sum() * 0.0,
            "no combination of up to three known terms gives its values",
        ),
        (
            lambda student, labels, alpha: alpha**3 * cross_entropy(student, labels),
            f"the weight of {HARD} does not depend on its settings in any known way",
        ),
        (
            lambda student, teacher, T: T**2.5 * foreign.kl(teacher, student, T),
            f"the weight of {SOFT} does not depend on tau in any known way",
        ),
        (
            lambda student, labels: student.shape[1] ** 1.5 * cross_entropy(student, labels),
            f"the weight of {HARD} does not depend on K in any known way",
        ),
        (
            lambda student, labels: len(student) ** 1.5 * cross_entropy(student, labels),
            f"the weight of {HARD} does not depend on N in any known way",
        ),
    ],
)
def test_what_cannot_be_followed_is_told_with_what_it_depends_on(target, why):
    found = fitted(target)
    assert isinstance(found, NoFit)
    assert (found.why, found.counterexample) == (why, "")


def test_a_loss_that_changes_while_it_is_looked_at_is_told():
    calls = []

    def moody(student, labels):
        calls.append(1)
        return cross_entropy(student, labels) + (len(calls) > 24) * student.abs().sum()

    found = fitted(moody)
    assert isinstance(found, NoFit)
    assert found.why == "its values do not repeat"


def test_what_fails_on_fresh_data_is_told_with_the_smallest_case_that_it_fails_on():
    def clipped(student, labels):
        return cross_entropy(student.clamp(-3.9, 3.9), labels)

    found = fitted(clipped)
    assert isinstance(found, NoFit)
    figures = r"what was fitted fails on fresh data: \d\.\d+ where \d\.\d+ was fitted"
    assert re.fullmatch(figures, found.why)
    assert found.counterexample.startswith("student [[")
    assert found.counterexample.endswith("alpha 0.3, beta 0.7, tau 2.5")
    assert "4.0" in found.counterexample


def parts_of(found):
    return [
        (part.term.kind, part.term.student_tau, part.law.weight.line, part.law.tau_power)
        for part in found.parts
    ]


def test_parts_are_found_with_their_laws():
    found = fitted(foreign.hinton)
    assert parts_of(found) == [
        ("ce_label", "1", (1.0, -1.0, 0.0, 0.0), 0),
        ("kl", "tau", (0.0, 1.0, 0.0, 0.0), 2),
    ]
    assert [(p.law.of_classes, p.law.of_examples) for p in found.parts] == [("1", "1/{}")] * 2
    assert found.error < 1e-12
    assert found.flaws == ()


def test_the_number_of_classes_and_of_examples_are_told_apart_from_the_weight():
    def loss(student, teacher, labels, alpha, T):
        soft = alpha * foreign.kl(teacher, student, T) / student.shape[1] / T
        return soft + len(student) * (1 - alpha) / 4 * cross_entropy(student, labels)

    hard, soft = fitted(loss).parts
    assert (hard.law.weight.line, hard.law.of_examples) == ((0.25, -0.25, 0.0, 0.0), "1")
    assert (soft.law.weight.line, soft.law.of_classes) == ((0.0, 1.0, 0.0, 0.0), "1/{}")
    assert (soft.law.tau_power, soft.law.of_examples) == (-1, "1/{}")


@pytest.mark.parametrize("name", fitting.BUILT_IN)
def test_every_temperature_that_may_be_built_in_is_found(name):
    def loss(student, teacher):
        return foreign.kl(teacher, student, float(name))

    (part,) = fitted(loss).parts
    assert (part.term.kind, part.term.student_tau, part.term.teacher_tau) == ("kl", name, name)


def test_temperatures_are_those_that_a_loss_may_have():
    def sides(target):
        return list(fitting._temperatures(loss_of(target)))

    assert sides(foreign.hinton) == [("1", "tau"), ("1", "1/tau")]
    assert sides(foreign.plain_cross_entropy) == [("1",)]
    assert sides(foreign.reverse_kl) == [("1",), *(("1", each) for each in fitting.BUILT_IN)]


def test_what_is_known_holds_no_term_twice_and_all_constants():
    terms, columns_MT = fitting._known(True, True, ("1", "tau"))
    assert columns_MT.shape == (24, len(terms))
    assert {t.kind for t in terms if t.family == "constant"} >= {"one", "log_k", "teacher_entropy"}
    assert not [t.kind for t in terms if t.kind == "js_0.5" and t.student_tau != t.teacher_tau]
    narrow, _ = fitting._known(False, True, ("1", "4"))
    assert {t.kind for t in narrow if t.family != "constant"} == {
        *fitting.ONE_SIDED,
        "js_0.5",
    }
    values_M = [sum(terms[0].per_example(case)) for case in (draw(0), draw(1))]
    np.testing.assert_allclose(columns_MT[:2, 0], values_M)


def test_columns_that_repeat_others_or_are_nothing_are_left_out():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, -1.0, 0.5])
    columns_MT = np.stack([a, 0 * a, -2 * a, b, 3 * b, a + b, 1e-13 * b, a + 1e-3 * b], axis=1)
    assert fitting._distinct(columns_MT) == [0, 3, 5, 7]


# Sets of terms

KINDS = ("ce_label", "kl_uniform", "kl", "brier", "js_0.5")
TERMS = [next(t for t in library(labels=True, teacher=True) if t.kind == kind) for kind in KINDS]
COLUMNS_MT = np.random.default_rng(5).normal(size=(24, 5))


def sets(*coefficients, terms=TERMS, noise=0.0):
    values_M = COLUMNS_MT @ np.array(coefficients)
    values_M = values_M + noise * np.linspace(-1, 1, 24) * np.abs(values_M).max()
    return [tuple(term.kind for term in found) for found in exact_sets(terms, COLUMNS_MT, values_M)]


@pytest.mark.parametrize(
    ("coefficients", "found"),
    [
        ((0.0, 0.0, -2.0, 0.0, 0.0), ("kl",)),
        ((0.0, 1.0, 0.0, 0.0, 0.5), ("kl_uniform", "js_0.5")),
        ((0.3, 0.0, 0.0, 0.0, 1e-3), ("ce_label", "js_0.5")),
        ((0.3, 0.5, 0.0, 0.0, 7.0), ("ce_label", "kl_uniform", "js_0.5")),
        ((0.0, 0.5, -1.0, 0.0, 7.0), ("kl", "kl_uniform", "js_0.5")),
        ((0.0, 0.5, 0.0, 2.0, 7.0), ("brier", "kl_uniform", "js_0.5")),
    ],
)
def test_the_smallest_set_that_gives_the_values_is_found(coefficients, found):
    got = sets(*coefficients)
    assert len(set(map(frozenset, got))) == 1
    assert set(got[0]) == set(found)


def test_of_three_terms_one_is_a_usual_one():
    terms = [replace(term, family="soft", kind=f"odd_{n}") for n, term in enumerate(TERMS)]
    assert sets(0.3, 0.5, 0.0, 0.0, 7.0, terms=terms) == []
    for usual in ("one", "log_k", "kl", "ce"):
        terms[0] = replace(terms[0], kind=usual)
        assert sets(0.3, 0.5, 0.0, 0.0, 7.0, terms=terms) == [(usual, "odd_1", "odd_4")]


def test_what_needs_four_terms_or_gives_nothing_has_no_set():
    assert sets(0.3, 0.5, 2.0, 0.0, 7.0) == []
    assert sets(0.0, 0.0, 0.0, 0.0, 0.0) == []


def test_values_may_lie_as_far_off_as_single_precision_does_and_no_further():
    assert sets(0.0, 0.0, 1.0, 0.0, 0.0, noise=2e-5) == [("kl",)]
    assert sets(0.0, 0.0, 1.0, 0.0, 0.0, noise=6e-5) == []


def test_exact_values_go_before_near_ones_and_sound_terms_before_flawed_ones():
    near = COLUMNS_MT[:, 2] * (1 + 1e-6 * np.linspace(-1, 1, 24))
    columns_MT = np.stack([near, COLUMNS_MT[:, 2], COLUMNS_MT[:, 2]], axis=1)
    terms = [TERMS[0], replace(TERMS[1], flaw="twice"), TERMS[2]]
    found = exact_sets(terms, columns_MT, COLUMNS_MT[:, 2])
    assert [each[0].kind for each in found] == ["kl", "kl_uniform", "ce_label"]


# Fresh data


def test_the_error_on_fresh_data_is_kept():
    def nearly(student, labels):
        return cross_entropy(student, labels) * (1 + 1e-5)

    loss = loss_of(nearly)
    hard = Part(TERMS[0], Law(constant(1.0), 0, "1", "1/{}"))
    found = confirmed(Fit(loss, (hard,), 0.0))
    assert isinstance(found, Fit)
    assert found.error == pytest.approx(1e-5, rel=1e-3)
    wrong = Part(TERMS[0], Law(constant(1.001), 0, "1", "1/{}"))
    assert isinstance(confirmed(Fit(loss, (wrong,), 0.0)), NoFit)


def test_a_fit_adds_up_its_parts_at_the_settings_of_a_case():
    hard = Part(TERMS[0], Law(constant(2.0), 1, "{}", "1/{}"))
    soft = Part(TERMS[2], Law(constant(3.0)))
    case = draw(3, tau=4.0)
    both = Fit(loss_of(cross_entropy), (hard, soft), 0.0)
    assert both.coefficient(hard, case) == pytest.approx(2 * 4 * 5 / 3)
    each = [TERMS[0].per_example(case).sum(), TERMS[2].per_example(case).sum()]
    assert both.total(case) == pytest.approx(2 * 4 * 5 / 3 * each[0] + 3 * each[1])


def test_cases_are_ordinary_logits_and_labels_that_a_seed_decides():
    case = draw(7)
    assert (case.student_NK.shape, case.teacher_NK.shape, case.labels_N.shape) == (
        (3, 5),
        (3, 5),
        (3,),
    )
    assert (case.alpha, case.beta, case.tau) == (0.3, 0.7, 2.5)
    other = draw(7, examples=500, classes=4, alpha=0.6)
    assert (other.student_NK.shape, other.alpha, other.beta) == ((500, 4), 0.6, 0.7)
    assert set(other.labels_N) == {0, 1, 2, 3}
    # 2,000 draws: a standard deviation is known to 1.6 %
    assert other.student_NK.std() == pytest.approx(1.0, rel=0.08)
    assert other.teacher_NK.std() == pytest.approx(1.5, rel=0.08)
    np.testing.assert_array_equal(draw(7).student_NK, case.student_NK)
    assert not np.array_equal(draw(8).student_NK, case.student_NK)
    assert not np.array_equal(case.student_NK, case.teacher_NK / 1.5)


def drawn(target, **sizes):
    """What fresh cases of a loss are made of."""
    cases = []

    @fitting.QUICK
    @given(fitting.fresh_cases(loss_of(target), **sizes))
    def gather(case):
        cases.append(case)

    gather()
    return cases


def test_fresh_cases_are_quarters_within_reach_at_settings_apart_from_the_ones_fitted_at():
    def takes_all(student, teacher, labels, alpha, beta, T):
        return student

    cases, fresh = drawn(takes_all), fitting.fresh_cases(loss_of(takes_all))
    for case in cases:
        for logits_NK in (case.student_NK, case.teacher_NK):
            assert np.abs(logits_NK).max() <= 4.0
            assert (logits_NK * 4 == np.round(logits_NK * 4)).all()
            assert logits_NK.shape == (len(case.labels_N), case.student_NK.shape[1])
        assert 2 <= len(case.labels_N) <= 5
        assert 3 <= case.student_NK.shape[1] <= 7
        assert 0 <= case.labels_N.min() <= case.labels_N.max() < case.student_NK.shape[1]
    settings = {
        "alpha": {0.5, 0.25, 0.1, 0.9},
        "beta": {0.5, 2.0, 0.25},
        "tau": {2.0, 3.0, 0.75, 8.0},
    }
    for name, values in settings.items():
        assert {getattr(case, name) for case in cases} <= values
        for value in values:
            find(fresh, lambda case, name=name, value=value: getattr(case, name) == value)
    assert max(np.abs(case.student_NK).max() for case in cases) > 3
    assert any((case.student_NK % 1).any() for case in cases)
    assert any(case.labels_N.max() == case.student_NK.shape[1] - 1 for case in cases)
    assert any(not np.array_equal(case.student_NK, case.teacher_NK) for case in cases)


def test_fresh_cases_of_what_a_loss_does_not_take_are_those_of_the_fit():
    cases = drawn(cross_entropy, classes=(2, 2), examples=(4, 4))
    assert {case.student_NK.shape for case in cases} == {(4, 2)}
    assert {(case.alpha, case.beta, case.tau) for case in cases} == {(0.3, 0.7, 2.5)}


def test_the_smallest_of_fresh_cases_is_as_small_as_can_be():
    smallest = []

    @fitting.QUICK
    @given(fitting.fresh_cases(loss_of(foreign.hinton)))
    def fails(case):
        smallest[:] = [case]
        raise AssertionError

    with pytest.raises(AssertionError):
        fails()
    (case,) = smallest
    assert str(case) == (
        f"student {[[0.0] * 3] * 2}, teacher {[[0.0] * 3] * 2}, labels [0, 0], "
        "alpha 0.5, beta 0.7, tau 2"
    )
