"""What the checks of a loss rest on: whom they apply to, what they compare, and what they tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from kdcheck.conform.loss import checking, equations, robustness, terms
from kdcheck.conform.loss.behaviour import Behaviour, same, short, soft_gradient, weight_of, why_not
from kdcheck.conform.loss.binding import bindings
from kdcheck.conform.loss.checking import checked_loss
from kdcheck.conform.loss.fitting import draw
from kdcheck.conform.loss.formulas import Case
from kdcheck.conform.loss.laws import Weight, constant
from kdcheck.conform.loss.marking import Check, parametrize_with_checks
from kdcheck.conform.loss.terms import library
from kdcheck.conform.results import Status
from tests import foreign_losses as foreign
from tests.conform_doubles import ALPHA, BETA, ONE, REST, found, hard, part, soft


def of(target, *parts):
    """The convention of a real loss, with parts that a test says."""
    loss = next(bindings(target, name="loss", arguments={}, names={}))
    told = found(*parts)
    return replace(told, loss=loss, fit=replace(told.fit, loss=loss))


# Comparing


@pytest.mark.parametrize(
    ("got", "wanted", "told"),
    [
        (1.0, 1.0 + 0.9e-6, None),
        (1.0, 1.0 + 1.2e-6, "sum: 1. where 1. was wanted"),
        (100.0, 100.0 + 0.9e-4, None),
        (100.0, 100.0 + 1.2e-4, "sum: 100. where 100.0001 was wanted"),
        (0.0, 0.9e-8, None),
        (0.0, 1.2e-8, "sum: 0. where 1.2e-08 was wanted"),
        ([1.0, 2.0], [1.0, 2.5], "sum: [1., 2.] where [1. , 2.5] was wanted"),
        (np.nan, 1.0, "sum: nan where 1. was wanted"),
        ([], [], None),
        (-100.0, -100.0 - 0.9e-4, None),
    ],
)
def test_values_are_the_same_up_to_a_share_of_their_size(got, wanted, told):
    if told is None:
        same(got, wanted, "sum")
        return
    with pytest.raises(AssertionError) as caught:
        same(got, wanted, "sum")
    assert str(caught.value) == told


def test_tolerance_and_size_may_be_given():
    same(1.0, 1.09, "sum", tolerance=0.1)
    same(1.0, 1.0 + 0.9e-5, "sum", size=10.0)
    for given in ({"tolerance": 0.1, "size": 0.5}, {"size": 0.5}):
        with pytest.raises(AssertionError):
            same(1.0, 1.2, "sum", **given)


def test_an_array_is_told_in_one_short_line():
    assert (
        short(np.array([[1.23456, 0.5], [2.0, -1.0]])) == "[[ 1.2346,  0.5   ], [ 2.    , -1.    ]]"
    )
    assert short(np.arange(12.0)).count(",") == 11
    assert "..." in short(np.arange(13.0))


# Whom a law applies to

TEACHER = "it has no teacher: map it with --map if it does"
WEIGHT = "it has no weight to set: map it with --map if it does"
TWO_TERMS = "it is not made of a hard and a soft term"
ANOTHER = "its soft term is not that of Eq. 2"
BUILT_IN = "its temperature is built in"
WITHOUT_TEACHER = "no term of it is drawn towards the teacher"
UNKNOWN = "its convention is not known"
SMOOTHING = found(hard(), part("kl_uniform"), roles="student labels alpha")
KD = found(hard(), soft())


@pytest.mark.parametrize(
    ("told", "need", "why"),
    [
        (KD, "teacher", ""),
        (SMOOTHING, "teacher", TEACHER),
        (KD, "tau", ""),
        (SMOOTHING, "tau", TEACHER.replace("teacher", "tau")),
        (KD, "labels", ""),
        (found(soft(), roles="student teacher"), "labels", "it has no labels"),
        (SMOOTHING, "alpha", ""),
        (found(hard(), roles="student labels beta"), "alpha", ""),
        (found(hard(), roles="student labels"), "alpha", WEIGHT),
        (replace(KD, fit=None), "teacher", ""),
        (replace(KD, fit=None), "hard", UNKNOWN),
        (replace(KD, fit=None), "fit", UNKNOWN),
        (KD, "fit", ""),
        (KD, "from teacher", ""),
        (SMOOTHING, "from teacher", WITHOUT_TEACHER),
        (found(hard(), part("reverse_kl")), "from teacher", ""),
        (KD, "hard", ""),
        (found(hard()), "hard", TWO_TERMS),
        (found(soft()), "hard", TWO_TERMS),
        (KD, "Eq. 2", ""),
        (found(hard(), soft(kind="ce")), "Eq. 2", ""),
        (SMOOTHING, "Eq. 2", ANOTHER),
        (found(hard()), "Eq. 2", ANOTHER),
        (KD, "at tau 1", ""),
        (found(hard()), "at tau 1", ""),
        (found(soft(taus=("1", "1"))), "at tau 1", ""),
        (found(soft(taus=("1/tau", "1/tau"))), "at tau 1", ""),
        (found(soft(taus=("4", "4"))), "at tau 1", BUILT_IN),
        (found(soft(taus=("1", "4"))), "at tau 1", BUILT_IN),
    ],
)
def test_a_law_does_not_apply_to_what_lacks_what_it_is_about(told, need, why):
    law = Behaviour("law", "It holds.", lambda found, case: None, (need,))
    assert why_not(told, law) == why


def test_of_several_reasons_the_first_is_told():
    law = Behaviour("law", "It holds.", lambda found, case: None, ("labels", "teacher", "tau"))
    assert why_not(SMOOTHING, law) == TEACHER
    assert why_not(KD, replace(law, needs=())) == ""


# Gradients


CASE = draw(5, examples=4, classes=5, alpha=0.25, tau=3.0)


def gradient_of(target):
    student = torch.tensor(CASE.student_NK, requires_grad=True)
    (gradient,) = torch.autograd.grad(target(student), student)
    return gradient.numpy()


@pytest.mark.parametrize("tau", ["1", "tau"])
def test_the_soft_gradient_is_what_the_hard_term_leaves(tau):
    teacher, labels = torch.tensor(CASE.teacher_NK), torch.tensor(CASE.labels_N)
    by = 3.0 if tau == "tau" else 1.0

    def loss(student, teacher, labels, alpha, T):
        hard_term = functional.cross_entropy(student / (T if tau == "tau" else 1.0), labels)
        return (1 - alpha) * hard_term + alpha * foreign.kl(teacher, student, T)

    told = of(loss, hard(REST, tau=tau), soft(ALPHA, tau=0))
    wanted = gradient_of(lambda student: 0.25 * foreign.kl(teacher, student, 3.0))
    np.testing.assert_allclose(soft_gradient(told, CASE), wanted, rtol=1e-9, atol=1e-12)
    assert weight_of(told, CASE, "hard") == pytest.approx(0.75 / 4)
    assert weight_of(told, CASE, "soft") == pytest.approx(0.25 / 4)
    alone = of(loss, soft(ALPHA, tau=0))
    whole = gradient_of(
        lambda s: (
            0.75 * functional.cross_entropy(s / by, labels) + 0.25 * foreign.kl(teacher, s, 3.0)
        )
    )
    np.testing.assert_allclose(soft_gradient(alone, CASE), whole, rtol=1e-9, atol=1e-12)
    assert weight_of(alone, CASE, "hard") == 0.0
    assert weight_of(of(loss, hard(REST)), CASE, "soft") == 0.0


def test_the_softmax_of_large_logits_does_not_overflow():
    told = of(foreign.plain_cross_entropy, hard())
    large = Case(1e4 * CASE.student_NK, CASE.teacher_NK, CASE.labels_N)
    np.testing.assert_allclose(soft_gradient(told, large), np.zeros((4, 5)), atol=1e-12)


# Edges


@pytest.mark.parametrize(
    ("parts", "term", "edge"),
    [
        ((hard(REST), soft(ALPHA)), "soft", (0.0, 0.0)),
        ((hard(REST), soft(ALPHA)), "hard", (1.0, 0.0)),
        ((hard(ALPHA), soft(REST)), "soft", (1.0, 0.0)),
        ((hard(ALPHA), soft(REST)), "hard", (0.0, 0.0)),
        ((hard(BETA), soft(ALPHA)), "soft", (0.0, 1.0)),
        ((hard(BETA), soft(ALPHA)), "hard", (1.0, 0.0)),
        ((hard(ONE), soft(ALPHA)), "hard", None),
        ((hard(ALPHA), soft(ALPHA)), "hard", None),
        ((hard(BETA), soft(Weight((0.0, 0.0, 0.0, 1.0)))), "soft", (0.0, 1.0)),
        ((hard(Weight((1.0, 0.0, -1.0, 0.0))), soft(ALPHA)), "hard", (1.0, 1.0)),
    ],
)
def test_an_edge_is_where_one_term_weighs_nothing_and_the_other_something(parts, term, edge):
    got = equations._without(found(*parts), CASE, term)
    assert got == edge if edge is None else (got.alpha, got.beta) == edge
    if got is not None:
        assert got.tau == CASE.tau
        np.testing.assert_array_equal(got.student_NK, CASE.student_NK)


def test_a_weight_that_the_loss_does_not_take_is_not_moved():
    parts = (hard(constant(0.0)), soft(ALPHA))
    got = equations._without(found(*parts, roles="student teacher labels"), CASE, "hard")
    assert (got.alpha, got.beta) == (CASE.alpha, CASE.beta)
    parts = (hard(BETA), soft(ALPHA))
    assert (
        equations._without(found(*parts, roles="student teacher labels alpha"), CASE, "hard")
        is None
    )
    got = equations._without(found(*parts, roles="student teacher labels beta"), CASE, "hard")
    assert (got.alpha, got.beta) == (CASE.alpha, 0.0)


def smoothing(student, labels, alpha):
    return functional.cross_entropy(student, labels, label_smoothing=alpha)


def against(target, *parts, uniform=True, **numbers):
    """What is said of a gradient beside that of torch's cross-entropy; nothing where they agree."""
    told, case = of(target, *parts), replace(CASE, **numbers)
    try:
        equations._against_cross_entropy(told, case, uniform=uniform)
    except AssertionError as error:
        return str(error).partition(":")[0]
    return None


def test_a_gradient_is_held_against_cross_entropy_at_the_fitted_weights():
    parts = hard(REST), part("kl_uniform", ALPHA)
    assert against(smoothing, *parts) is None
    assert against(smoothing, *parts, alpha=0.9) is None
    assert against(smoothing, *parts, uniform=False) == "gradient"
    doubled = hard(REST.scaled(2)), part("kl_uniform", ALPHA.scaled(2))
    assert (
        against(lambda student, labels, alpha: 2 * smoothing(student, labels, alpha), *doubled)
        is None
    )
    assert against(smoothing, *doubled) == "gradient"
    assert against(foreign.plain_cross_entropy, hard(), uniform=False) is None
    for off, told in ((1.0015, None), (1.003, "gradient")):
        assert (
            against(lambda student, labels, off=off: off * smoothing(student, labels, 0.25), *parts)
            == told
        )


def test_where_weights_make_no_smoothing_nothing_is_held():
    def wrong(student, labels, alpha):
        return student.sum()

    for weights in ((-1.0, 1.0), (-0.5, 1.0), (1.0, -0.5)):
        parts = hard(constant(weights[0])), part("kl_uniform", constant(weights[1]))
        assert against(wrong, *parts) is None
    assert against(wrong, hard(constant(0.0)), part("kl_uniform")) == "gradient"
    assert against(wrong, hard()) == "gradient"


def test_the_gradient_of_a_row_under_a_label_that_is_refused_is_none():
    told = of(foreign.plain_cross_entropy, hard())
    row = robustness._row_gradient(told, CASE, 2)
    wanted = gradient_of(
        lambda student: functional.cross_entropy(student, torch.tensor([2, *CASE.labels_N[1:]]))
    )
    np.testing.assert_allclose(row, wanted[0])
    assert robustness._row_gradient(told, CASE, 7) is None


# What is told


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (hard(), "(1) 1/N cross-entropy with the label"),
        (hard(ALPHA, examples="1"), "(w) cross-entropy with the label"),
        (
            soft(REST, classes="1/{}", examples="1/{}^2"),
            "(1 - w) tau^2 1/K 1/N^2 KL(teacher, student) [student at tau, teacher at tau]",
        ),
        (soft(taus=("1", "1"), tau=-1), "(1) tau^-1 1/N KL(teacher, student)"),
        (
            soft(taus=("1", "tau"), tau=0),
            "(1) 1/N KL(teacher, student) [student at 1, teacher at tau]",
        ),
        (
            soft(taus=("tau", "1"), tau=0),
            "(1) 1/N KL(teacher, student) [student at tau, teacher at 1]",
        ),
    ],
)
def test_a_part_is_told_with_all_its_factors(told, words):
    both = found(told, part("one", examples="1"), alpha="w")
    assert checking._fitted(both) == f"{words} + (1) a constant"


def test_of_a_case_only_what_the_loss_takes_is_told():
    case = Case(np.array([[1.0]]), np.array([[2.0]]), np.array([0]), 0.25, 2.0, 4.0)
    told = found(hard(), alpha="w", tau="T")
    assert list(checking._of_interest(told, case)) == [
        "student [[1.0]]",
        "teacher [[2.0]]",
        "labels [0]",
        "w 0.25",
        "beta 2",
        "T 4",
    ]
    assert list(checking._of_interest(found(hard(), roles="student"), case)) == ["student [[1.0]]"]


def failing(law, **sizes):
    """What is told where this law is broken."""
    checked = Behaviour("law", "It holds.", law, **sizes)
    return checking._of_behaviour(of(foreign.hinton, hard(REST), soft(ALPHA)), checked)


def test_a_broken_law_is_told_with_its_smallest_case_and_the_first_line_of_why():
    def broken(told, case):
        if case.alpha == 0.5:
            raise AssertionError("it is odd\nand more")

    result = failing(broken)
    assert (result.name, result.says, result.status, result.detail) == (
        "law",
        "It holds.",
        Status.FAILED,
        "it is odd",
    )
    assert result.counterexample == (
        "student [[0.0, 0.0]], teacher [[0.0, 0.0]], labels [0], alpha 0.5, T 2"
    )


def test_sizes_of_cases_are_those_of_the_law():
    seen = set()

    def law(told, case):
        seen.add(case.student_NK.shape)

    result = failing(law, classes=(4, 4), examples=(2, 3))
    assert (result.status, result.detail, result.counterexample) == (Status.PASSED, "", None)
    assert seen == {(2, 4), (3, 4)}


def test_a_law_that_cannot_be_tried_or_ends_in_another_error_is_told_as_such():
    def cannot(told, case):
        raise NotImplementedError("there is nothing to try")

    def breaks(told, case):
        raise KeyError("x")

    result = failing(cannot)
    assert (result.status, result.detail) == (Status.NOT_RUN, "Not run: there is nothing to try.")
    result = failing(breaks)
    assert (result.status, result.detail) == (Status.FAILED, "KeyError: 'x'")
    result = failing(cannot, needs=("classes",))
    assert (result.name, result.says, result.status) == ("law", "It holds.", Status.NOT_RUN)


def test_a_law_that_fails_now_and_then_is_told_all_the_same():
    turns = iter(range(10**6))

    def moody(told, case):
        if next(turns) % 3 == 1:
            raise AssertionError("not now")

    result = failing(moody)
    assert (result.status, result.detail) == (Status.FAILED, "not now")


def test_checks_of_an_unknown_convention_are_not_run():
    told = checked_loss(foreign.strange)
    result = told.run("in_nats")
    assert (result.name, result.says, result.status, result.detail) == (
        "in_nats",
        "Logarithms are natural.",
        Status.NOT_RUN,
        "Not run: its convention is not known.",
    )
    result = told.run("convention_is_known")
    assert result.detail == (
        "no combination of up to three known terms gives its values. If it is a known loss, say what its "
        "arguments are with --map, or fix them with --arg."
    )
    assert result.counterexample is None
    assert result.says == "Its convention was fitted, and confirmed on fresh data."


def test_checks_of_what_a_loss_does_not_have_are_not_run():
    told = checked_loss(foreign.plain_cross_entropy)
    result = told.run("tau_squared_once")
    assert (result.status, result.detail) == (Status.NOT_RUN, "Not run: it has no teacher.")
    result = told.run("teacher_shift")
    assert (result.status, result.detail) == (Status.NOT_RUN, f"Not run: {TEACHER}.")
    result = told.run("in_nats")
    assert (result.status, result.detail, result.counterexample) == (Status.PASSED, "", None)
    result = told.run("convention_is_known")
    assert (result.status, result.detail) == (
        Status.PASSED,
        "(1) 1/N cross-entropy with the label",
    )


def test_a_failed_convention_is_told_with_what_was_fitted():
    result = checked_loss(foreign.tau_squared_dropped).run("tau_squared_once")
    assert result.counterexample == (
        "(1 - alpha) 1/N cross-entropy with the label + (alpha) 1/N KL(teacher, student) "
        "[student at tau, teacher at tau]"
    )
    result = checked_loss(foreign.reverse_kl).run("from_teacher_to_student")
    assert result.detail.startswith("Swap the arguments")


def test_a_loss_is_made_ready_once_and_called_as_it_calls_itself():
    ready = checked_loss(foreign.hinton)
    assert checked_loss(ready) is ready
    assert (ready.name, checked_loss(foreign.hinton, name="mine").name) == ("hinton", "mine")
    assert checked_loss(foreign.KeepsSettings()).name == "KeepsSettings"
    told = checked_loss(
        foreign.hinton,
        arguments={"T": 2.0},
        names={"alpha": "alpha"},
        expected_failures={"in_nats": "x"},
    )
    assert (told.arguments, told.names, told.expected_failures) == (
        {"T": 2.0},
        {"alpha": "alpha"},
        {"in_nats": "x"},
    )
    assert (ready.arguments, ready.names, ready.expected_failures) == ({}, {}, {})


def test_code_that_breaks_on_being_looked_at_is_refused_by_its_name():
    class Breaks:
        def __call__(self, student, labels):
            return student.sum()

        @property
        def __signature__(self):
            raise RuntimeError("none of your business")

    with pytest.raises(Exception) as caught:  # noqa: PT011 - the words are below
        checked_loss(Breaks()).convention  # noqa: B018
    assert str(caught.value) == (
        "Breaks: got code that ends with RuntimeError: none of your business; wanted a loss that can be called. "
        "Call it a few hundred times with logits of its own, and see what it says."
    )


def test_a_check_as_a_test_tells_what_was_found():
    told = checked_loss(foreign.tau_squared_dropped)
    with pytest.raises(AssertionError) as caught:
        Check("tau_squared_once")(told)
    first, second = str(caught.value).splitlines()
    assert first == (
        "The soft term is multiplied by tau squared, once. tau squared missing. Multiply the soft term by tau "
        "squared, once: its gradient keeps its size as tau grows."
    )
    assert second.startswith("smallest: (1 - alpha) 1/N")
    with pytest.raises(AssertionError) as caught:
        Check("convention_is_known")(checked_loss(foreign.strange))
    assert "\n" not in str(caught.value)
    with pytest.raises(pytest.skip.Exception, match=r"Not run: it has no labels"):
        Check("smooths_over_all_classes")(checked_loss(foreign.reverse_kl))
    Check("in_nats")(told)


def test_a_decorator_has_a_test_for_each_check_in_order():
    mark = parametrize_with_checks(
        [checked_loss(foreign.hinton, expected_failures={"in_nats": "x"})]
    ).mark
    assert mark.args[0] == ("loss", "check")
    assert [each.id for each in mark.args[1]] == [f"hinton-{name}" for name in checking.CHECKS]
    assert [each.values[1].name for each in mark.args[1]] == list(checking.CHECKS)
    assert {each.values[0].name for each in mark.args[1]} == {"hinton"}


# The library of terms

LABELLED = [(t[0], t[1], t[3]) for t in terms.HARD]
SMOOTH_TERMS = [(t[0], t[1], t[3]) for t in terms.SMOOTH]
SOFT_TERMS = [(t[0], t[1], t[3]) for t in terms.SOFT]
VIRTUAL = "KL(softmax of a virtual teacher's probabilities, student)"
SMOOTHED_BCE = "binary cross-entropy of each class with the smoothed label"
SMOOTHED_TARGET = "minus the entropy of the mixed target"
STANDARDISED = "KL of standardised logits"


def listed(**given):
    found_terms = library(**given)
    return [(t.kind, t.words, t.family, t.student_tau, t.teacher_tau, t.flaw) for t in found_terms]


def twice(name, words, sides):
    flaw = f"softmax is taken twice of {sides}"
    told = f"{words} with softmax taken twice of {sides}"
    return [
        (f"{name}_twice_{sides}", told, "soft", "1", "1", flaw),
        (f"{name}_twice_{sides}", told, "soft", "tau", "tau", flaw),
        (f"{name}_tempered_twice_{sides}", told, "soft", "tau", "tau", flaw),
    ]


def with_labels():
    for tau in ("1", "tau"):
        yield from ((kind, words, "hard", tau, "1", flaw) for kind, words, flaw in LABELLED)
        yield from ((kind, words, "smooth", tau, "1", flaw) for kind, words, flaw in SMOOTH_TERMS)
    yield ("bce_smoothed", SMOOTHED_BCE, "smooth", "1", "1", "")
    for correct in (0.9, 0.95, 0.99):
        for tempered, tau in ((True, "tau"), (False, "1")):
            kind = f"virtual_softmax_{correct}_{tempered}"
            yield (kind, VIRTUAL, "smooth", tau, "1", "")


def with_teacher():
    for kind, words, flaw in SOFT_TERMS:
        sides = [("1", "1"), ("tau", "tau")]
        sides += [("1", "tau"), ("tau", "1")] if kind in terms.ONE_SIDED else []
        yield from ((kind, words, "soft", s, t, flaw) for s, t in sides)
    for ddof in (0, 1):
        yield (f"kl_standardised_tempered_{ddof}", STANDARDISED, "soft", "tau", "tau", "")
    for name, words in (("kl", "KL"), ("ce", "cross-entropy")):
        for sides in ("student", "teacher", "student and teacher"):
            yield from twice(name, words, sides)


def constants(*mixed, taus=()):
    yield ("one", "a constant", "constant", "1", "1", "")
    yield ("log_k", "log K", "constant", "1", "1", "")
    for tau in taus:
        yield ("teacher_entropy", "entropy of the teacher", "constant", "1", tau, "")
    for kind in mixed:
        yield (kind, SMOOTHED_TARGET, "constant", "1", "1", "")


SMOOTHED = ("smoothed_entropy", "smoothed_entropy_others", "smoothed_entropy_opposite")
MIXED = ("mixed_entropy", "mixed_entropy_opposite")
TAUS = ("1", "tau")


def test_every_term_of_the_library_is_listed_the_plain_ones_first():
    assert listed(labels=True, teacher=True) == [
        *with_labels(),
        *with_teacher(),
        *constants(*SMOOTHED, *MIXED, taus=TAUS),
    ]
    assert listed(labels=True, teacher=False) == [*with_labels(), *constants(*SMOOTHED)]
    alone = [
        (kind, words, "smooth", tau, "1", flaw)
        for tau in TAUS
        for kind, words, flaw in SMOOTH_TERMS
        if kind in ("kl_uniform", "ce_uniform", "entropy")
    ]
    assert listed(labels=False, teacher=True) == [*alone, *with_teacher(), *constants(taus=TAUS)]


def test_a_term_that_needs_the_settings_of_the_call_has_no_formula_of_logits():
    (term,) = [t for t in library(labels=True, teacher=False) if t.kind == "bce_smoothed"]
    with pytest.raises(
        AssertionError, match=r"^a term of MIXED has no formula of tempered logits alone$"
    ):
        term.formula(None, None, None)


def test_logits_are_divided_by_what_a_term_says():
    assert [terms.divisor(name, 4.0) for name in ("1", "tau", "1/tau", "2.5")] == [
        1.0,
        4.0,
        0.25,
        2.5,
    ]
    wanted = functional.kl_div(
        torch.tensor(CASE.student_NK * 3.0).log_softmax(-1),
        torch.tensor(CASE.teacher_NK / 2.5).softmax(-1),
        reduction="none",
    ).sum(-1)
    known = library(labels=False, teacher=True, temperatures=("1/tau", "2.5"))
    (term,) = [t for t in known if (t.kind, t.student_tau, t.teacher_tau) == ("kl", "1/tau", "2.5")]
    np.testing.assert_allclose(term.per_example(CASE), wanted.numpy(), rtol=1e-9)
    assert str(term) == "KL(teacher, student)"
