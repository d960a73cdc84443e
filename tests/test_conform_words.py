"""What is said of a convention: the whole words, for terms and weights that are put together by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from kdcheck.conform.loss import convention, remarks
from kdcheck.conform.loss.convention import Convention, Remark
from kdcheck.conform.loss.fitting import Fit
from kdcheck.conform.loss.laws import (
    KNOWN,
    SIZES,
    Law,
    Weight,
    constant,
    number,
    power_of,
    size_law,
    weight_law,
)
from kdcheck.conform.loss.subject import Loss, Slot
from tests.conform_doubles import ALPHA, BETA, BITS, ONE, REST, ZERO, found, hard, part, soft


@pytest.mark.parametrize(
    ("line", "curve", "words"),
    [
        ((0, 0, 0, 0), "", "0"),
        ((1, 0, 0, 0), "", "1"),
        ((0.3, 0, 0, 0), "", "0.3"),
        ((0, 1, 0, 0), "", "a"),
        ((0, 0, 1, 0), "", "b"),
        ((0, 0, 0, 1), "", "a b"),
        ((0, 0.5, 0, 0), "", "0.5 a"),
        ((1, -1, 0, 0), "", "1 - a"),
        ((0.5, -0.5, 0, 0), "", "0.5 (1 - a)"),
        ((-1, 1, 0, 0), "", "-1 (1 - a)"),
        ((1, -0.5, 0, 0), "", "1 - 0.5 a"),
        ((1, -1, 1, 0), "", "1 - 1 a + b"),
        ((1, -1, 0, 1), "", "1 - 1 a + a b"),
        ((0, 0, 1, -1), "", "b - 1 a b"),
        ((BITS, -BITS, 0, 0), "", "1/log 2 (1 - a)"),
        ((0, 1 / 3, 2, 0), "", "1/3 a + 2 b"),
        ((1, 0, 0, 0), "{}^2", "a^2"),
        ((0.5, 0, 0, 0), "{0}/(1 - {0})", "0.5 a/(1 - a)"),
    ],
)
def test_a_weight_is_told_in_the_names_of_the_loss(line, curve, words):
    assert Weight(tuple(map(float, line)), curve).words("a", "b") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1 / 3, "1/3"),
        (-2 / 3, "-2/3"),
        (1 / 12, "1/12"),
        (1 / 13, "0.07692"),
        (0.5, "0.5"),
        (0.0123, "0.0123"),
        (0.01234567, "0.01235"),
        (12345.678, "1.235e+04"),
        (2.0, "2"),
        (0.0, "0"),
        (BITS, "1/log 2"),
        (-BITS, "-1/log 2"),
        (1 / math.log(10), "1/log 10"),
        (1 / 7 * (1 + 1e-4), "1/7"),
        (1 / 7 * (1 + 3e-4), "0.1429"),
    ],
)
def test_a_factor_is_told_as_a_reader_would_write_it(value, words):
    assert number(value) == words


def test_a_weight_is_what_its_words_say():
    assert Weight((1.0, 2.0, 4.0, 8.0))(0.5, 0.25) == 1 + 2 * 0.5 + 4 * 0.25 + 8 * 0.125
    assert Weight((2.0, 0.0, 0.0, 0.0), "{}^2")(0.5, 9.0) == 0.5
    law = Law(ALPHA, 2, "1/{}", "{}")
    assert law(alpha=0.5, beta=9.0, tau=3.0, classes=4, examples=8) == 0.5 * 9 / 4 * 8
    assert [ONE.is_constant, ALPHA.is_constant, Weight((1.0, 0, 0, 0), "{}^2").is_constant] == [
        *(True, False, False)
    ]


def test_a_scaled_weight_is_snapped_to_simple_numbers():
    assert Weight((0.3, 0.2, 0.1, 0.7), "{}^2").scaled(1 / 0.9) == Weight(
        (1 / 3, 2 / 9, 1 / 9, 7 / 9), "{}^2"
    )
    assert constant(1 / 3 * (1 + 1e-4)) == constant(1 / 3)
    assert constant(1.4427) == constant(KNOWN["1/log 2"])
    assert constant(-1.4427).line[0] == -KNOWN["1/log 2"]
    assert constant(1 / 3 * (1 + 3e-4)).line[0] == 1 / 3 * (1 + 3e-4)
    assert constant(1e-9).line[0] == 1e-9


@pytest.mark.parametrize("power", [0, 1, 2, 3, 4, -1, -2, -3, -4])
def test_a_power_of_tau_is_found(power):
    assert power_of({tau: tau**power for tau in (0.64, 1.6)}) == power


def test_no_power_of_tau_goes_through_what_follows_none():
    assert power_of({0.64: 0.64, 1.6: 1.6**2}) is None
    assert power_of({0.64: 0.64**2.5}) is None
    assert power_of({}) == 0
    assert power_of({1.6: math.nan}) is None


@pytest.mark.parametrize("name", SIZES)
def test_a_factor_of_classes_or_examples_is_found(name):
    law = SIZES[name]
    assert size_law(5, {n: law(n) / law(5) for n in (4, 8)}) == name


def test_no_factor_goes_through_what_follows_none():
    assert size_law(5, {4: (4 / 5) ** 1.5}) is None
    assert size_law(5, {4: 4 / 5, 8: 5 / 8}) is None


POINTS = [(a, b) for a in (0.3, 0.6, 0.85) for b in (0.7, 0.4, 1.3)]


def through(weight, points=POINTS):
    return [weight(a, b) for a, b in points]


@pytest.mark.parametrize(
    "weight",
    [
        *(constant(0.25), ALPHA, BETA, REST, Weight((0.5, 2.0, -1.0, 3.0))),
        *(Weight((2.0, 0.0, 0.0, 0.0), curve) for curve in ("{}^2", "1/(1 + {})", "sqrt {}")),
    ],
)
def test_a_weight_is_found_from_its_values(weight):
    assert weight_law(POINTS, through(weight), moving=("alpha", "beta")) == weight


def test_a_weight_moves_with_what_the_loss_has_alone():
    along = [(a, 0.7) for a in (0.3, 0.6, 0.85)]
    assert weight_law(along, through(ALPHA, along), moving=("alpha",)) == ALPHA
    beside = [(0.3, b) for b in (0.7, 0.4, 1.3)]
    assert weight_law(beside, through(BETA, beside), moving=("beta",)) == BETA
    assert weight_law([(0.3, 0.7)], [0.4], moving=()) == constant(0.4)


def test_what_is_next_to_nothing_in_a_weight_is_nothing_and_other_curves_are_none():
    nearly = Weight((1e-4, 1.0, -1e-4, 1e-4))
    assert weight_law(POINTS, through(nearly), moving=("alpha", "beta")) == ALPHA
    assert weight_law(POINTS, [a**3 for a, _ in POINTS], moving=("alpha", "beta")) is None
    assert weight_law(POINTS, [3e-10 * a for a, _ in POINTS], moving=("alpha", "beta")) == constant(
        9e-11
    )


SIZE_OF = {"classes": "1/{}"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (found(part("one")), "no loss: nothing in it moves with the student"),
        (found(hard(), part("one")), "plain cross-entropy (ERM)"),
        (found(soft(), roles="student teacher tau"), "Eq. 2's soft term alone"),
        (
            found(soft(ALPHA), roles="student teacher alpha tau"),
            "Eq. 2's soft term alone, times alpha",
        ),
        (
            found(soft(**SIZE_OF), roles="student teacher tau"),
            "1/K of Eq. 2's soft term alone",
        ),
        (found(hard(REST), soft(ALPHA), alpha="w"), "Eq. 2 with alpha = w"),
        (found(hard(ALPHA), soft(REST), part("one")), "Eq. 2 with alpha = 1 - alpha"),
        (
            found(hard(REST, **SIZE_OF), soft(ALPHA, **SIZE_OF)),
            "1/K of Eq. 2 with alpha = alpha",
        ),
        (found(hard(REST), soft(ALPHA, **SIZE_OF)), "Eq. 2 with alpha = alpha"),
        (found(hard(constant(0.3)), soft(constant(0.7))), "Eq. 2 with alpha = 0.7 built in"),
        (
            found(hard(REST.scaled(2)), soft(ALPHA.scaled(2))),
            "Eq. 2 with alpha = alpha, all times 2",
        ),
        (
            found(hard(BETA), soft(ALPHA), alpha="w", beta="v"),
            "Eq. 2 with both weights free: soft weight w, hard weight v",
        ),
        (
            found(hard(BETA), soft(ONE), roles="student teacher labels beta"),
            "Eq. 2 with soft weight 1, hard weight beta",
        ),
        (
            found(hard(ONE), soft(ALPHA), roles="student teacher labels alpha"),
            "Eq. 2 with soft weight alpha, hard weight 1",
        ),
        (
            found(hard(ALPHA), soft(ALPHA), roles="student teacher labels alpha"),
            "Eq. 2 with soft weight alpha, hard weight alpha",
        ),
        (
            found(hard(Weight((0.0, -1.0, 0.0, 0.0))), soft(ALPHA)),
            "Eq. 2 with both weights free: soft weight alpha, hard weight -1 alpha",
        ),
        (
            found(hard(REST), soft(Weight((1.0, 0.0, 0.0, 0.0), "{}^2"))),
            "Eq. 2: soft weight alpha^2, hard weight 1 - alpha",
        ),
        (
            found(hard(Weight((1.0, 0.0, 0.0, 0.0), "{}^2")), soft(ALPHA)),
            "Eq. 2: soft weight alpha, hard weight alpha^2",
        ),
        (
            found(hard(REST), soft(Weight((6e-5, 1.0, 0.0, 0.0)))),
            "Eq. 2 with alpha = 6e-05 + alpha",
        ),
        (
            found(hard(REST), part("kl_uniform", ALPHA), roles="student labels alpha"),
            "Eq. 1 with alpha = alpha",
        ),
        (
            found(hard(REST), part("ce_uniform", ALPHA), roles="student labels alpha"),
            "Eq. 1 with alpha = alpha",
        ),
        (
            found(hard(REST), part("ce_others", ALPHA), roles="student labels alpha"),
            "Eq. 1 with alpha = alpha",
        ),
        (
            found(
                part("ce_others", ALPHA), part("ce_uniform", ALPHA), roles="student labels alpha"
            ),
            "Eq. 1's soft term alone, times alpha",
        ),
        (
            found(hard(), soft(), part("kl_uniform")),
            "no distillation loss: cross-entropy with the label and KL(teacher, student) and KL(uniform, student)",
        ),
        (
            found(hard(), part("entropy"), part("one"), roles="student labels"),
            "no smoothing loss: cross-entropy with the label and entropy of the student",
        ),
        (
            found(soft(kind="ce"), soft(kind="ce", taus=("1", "1")), soft(kind="kl")),
            "no distillation loss: cross-entropy with the teacher and KL(teacher, student)",
        ),
    ],
)
def test_a_loss_is_told_by_its_terms_and_weights(told, words):
    assert convention.base_of(told) == words


BUILT_IN = ("4", "4")


@pytest.mark.parametrize(
    ("parts", "tau", "factor"),
    [
        ((hard(REST), soft(ALPHA)), None, 1.0),
        ((hard(REST), soft(ALPHA, taus=("1", "1"))), None, 1.0),
        ((soft(taus=("1/tau", "1/tau")),), None, 1.0),
        ((hard(),), None, 1.0),
        ((soft(constant(16.0), taus=BUILT_IN),), 4.0, 16.0),
        ((soft(constant(1.0), taus=BUILT_IN),), 4.0, 1.0),
        ((soft(constant(256.0), taus=BUILT_IN),), 4.0, 256.0),
        ((soft(constant(4.0), taus=BUILT_IN),), 4.0, 4.0),
        ((soft(constant(5.0), taus=BUILT_IN),), 4.0, 1.0),
        ((hard(constant(0.3)), soft(constant(0.7 * 16), taus=BUILT_IN)), 4.0, 16.0),
        ((hard(constant(0.3)), soft(constant(0.7 * 4), taus=BUILT_IN)), 4.0, 4.0),
        ((hard(constant(0.3)), soft(constant(0.7), taus=BUILT_IN)), 4.0, 1.0),
        ((hard(constant(0.3)), soft(constant(0.5 * 16), taus=BUILT_IN)), 4.0, 1.0),
        ((hard(REST), soft(ALPHA.scaled(16), taus=BUILT_IN)), 4.0, 16.0),
        ((hard(REST), soft(REST.scaled(-16), taus=BUILT_IN)), 4.0, 16.0),
    ],
)
def test_a_temperature_that_is_built_in_is_told_apart_from_the_weight(parts, tau, factor):
    told = found(*parts)
    assert (convention.built_in_tau(told), convention.built_in_factor(told)) == (tau, factor)


def test_weights_are_told_without_what_tau_and_the_logarithm_put_into_them():
    told = found(hard(REST.scaled(BITS)), soft(ALPHA.scaled(BITS), "ce"))
    assert convention.plain_weights(told) == (ALPHA, REST)
    told = found(hard(constant(0.3)), soft(constant(0.7 * 16), taus=BUILT_IN))
    assert convention.plain_weights(told) == (constant(0.7), constant(0.3))
    assert convention.plain_weights(found(part("entropy"))) == (ZERO, ZERO)
    assert convention.plain_weights(found(hard(ALPHA))) == (ZERO, ALPHA)
    assert convention.base_of_logarithm(Weight((0.0, -BITS, 0.0, 0.0))) == BITS
    assert convention.base_of_logarithm(Weight((0.0, BITS * (1 + 1e-4), 0.0, 0.0))) == 1.0


def returning(shape, *parts):
    """The reduction of a loss that returns zeros of this shape."""
    roles = {role: Slot("call", role) for role in ("student", "labels")}
    loss = Loss(
        name="loss", target=lambda student, labels: torch.zeros(shape), slots=roles, forms={}
    )
    return convention.reduction_of(Fit(loss, parts, 0.0))


def test_a_reduction_is_told_by_what_is_returned_and_how_it_moves():
    """The cases have three examples and five classes."""
    assert returning((3,), hard()) == "one value per example"
    assert returning((3, 1), hard()) == "one value per example"
    assert returning((3, 5), hard()) == "one value per example and class"
    assert returning((15,), hard()) == "one value per example and class"
    assert returning((), hard()) == "mean over examples"
    assert returning((1,), hard(), soft()) == "mean over examples"
    assert returning((), hard(examples="1"), soft(examples="1")) == "sum over examples"
    assert returning((), hard(), soft(examples="1")) == "differs between terms"
    assert returning((), hard(), part("one", ZERO, examples="1")) == "mean over examples"
    assert returning((), hard(examples="1/{}^2")) == "another"


def test_everything_is_told_as_json():
    told = found(
        *(
            hard(REST),
            soft(ALPHA, classes="1/{}"),
            part("teacher_entropy", ALPHA, taus=("1", "tau")),
        ),
        roles="student teacher labels alpha tau",
        error=1e-7,
        alpha="w",
        student=0,
    )
    told = replace(
        told,
        loss=replace(told.loss, forms={"student": "probabilities"}),
        remarks=(Remark("one_reduction", "twice", "Once."),),
    )
    place = {"place": "call"}
    shared = {"of_examples": "1/N", "student_temperature": "1", "teacher_temperature": "1"}
    assert told.as_json() == {
        "arguments": {
            "student": {"name": "0", "form": "probabilities", **place},
            "teacher": {"name": "teacher", **place},
            "labels": {"name": "labels", **place},
            "alpha": {"name": "w", **place},
            "tau": {"name": "tau", **place},
        },
        "layout": "(N, K)",
        "terms": [
            {
                "kind": "ce_label",
                "words": "cross-entropy with the label",
                "weight": "1 - w",
                "tau_power": 0,
                "of_classes": "1",
                **shared,
            },
            {
                "kind": "kl",
                "words": "KL(teacher, student)",
                "weight": "w",
                "tau_power": 2,
                "of_classes": "1/K",
                **shared,
                "student_temperature": "tau",
                "teacher_temperature": "tau",
            },
            {
                "kind": "teacher_entropy",
                "words": "entropy of the teacher",
                "weight": "w",
                "tau_power": 0,
                "of_classes": "1",
                **shared,
                "teacher_temperature": "tau",
            },
        ],
        "reduction": "mean over examples",
        "largest_relative_error": 1e-7,
        "differs": [{"check": "one_reduction", "words": "twice", "change": "Once."}],
    }
    unknown = replace(told, fit=None, unknown="odd", counterexample="student [[0.0]]")
    assert unknown.as_json() == {
        "arguments": told.as_json()["arguments"],
        "layout": "(N, K)",
        "unknown": "odd",
        "counterexample": "student [[0.0]]",
    }
    assert (told.verdict, unknown.verdict) == (", twice", "unknown convention: odd")
    assert unknown.part("kl") is None


def test_only_arguments_that_are_called_logits_are_against_their_names():
    forms = {"student": "log-probabilities", "teacher": "probabilities", "labels": "one-hot"}
    slots = {
        "student": Slot("call", "Student_Logits"),
        "teacher": Slot("call", "soft_targets"),
        "labels": Slot("call", "logit_labels"),
    }
    loss = Loss(name="loss", target=print, slots=slots, forms=forms)
    assert convention.against_its_names(loss) == ["student"]
    assert convention.against_its_names(replace(loss, forms={"student": "logits"})) == []


ONCE = "Multiply the soft term by tau squared, once: its gradient keeps its size as tau grows."
PRESENT = ("", "tau squared present", "")
REDUCE = "Reduce both terms alike, or their ratio moves with the batch."
SUM = "Sum over classes: reduction='batchmean', or .sum(-1).mean()."
MEAN = "Take the mean over examples once."
NATS = "Use the natural logarithm, or divide by log 2."
SOFTMAX = "Hand log_softmax of the logits to the divergence, taken once."
ADD_UP = "do not add up to 1; the paper's are alpha and 1 - alpha."
SWAP = "Swap the arguments of the divergence: the paper's is D_KL(teacher, student)."
EFFECT = "settings_have_an_effect"
PAPERS = "the paper's soft term is D_KL(teacher, student) or D_KL(u, student)."
ALONE = "student teacher tau"
SMOOTHING = "student labels alpha"


def tau_power(power, words):
    return [("tau_squared_once", words, ONCE)], found(soft(tau=power))


@pytest.mark.parametrize(
    ("finder", "told", "wanted"),
    [
        # weights
        ("_names_of_alpha", found(hard(REST), soft(ALPHA)), []),
        (
            "_names_of_alpha",
            found(hard(ALPHA), soft(REST), alpha="w"),
            [("", "", "Pass w = 1 - alpha: here it weighs the hard term.")],
        ),
        (
            "_names_of_alpha",
            found(hard(BETA), soft(ALPHA), alpha="w", beta="v"),
            [("", "", f"The weights w and v {ADD_UP}")],
        ),
        (
            "_names_of_alpha",
            found(hard(ALPHA), soft(constant(0.5))),
            [("", "", f"The weights 0.5 and alpha {ADD_UP}")],
        ),
        (
            "_names_of_alpha",
            found(hard(ONE), soft(REST)),
            [("", "", f"The weights 1 - alpha and 1 {ADD_UP}")],
        ),
        ("_names_of_alpha", found(hard(REST), soft(Weight((6e-5, 1.0, 0.0, 0.0)))), []),
        ("_names_of_alpha", found(hard(ALPHA)), []),
        ("_names_of_alpha", found(soft(ALPHA)), []),
        ("_names_of_alpha", found(hard(), soft(Weight((1.0, 0.0, 0.0, 0.0), "{}^2"))), []),
        # settings
        ("_no_effect", found(hard(REST), soft(Weight((0.0, 0.0, 0.0, 1.0)))), []),
        ("_no_effect", found(hard(BETA), soft(ALPHA)), []),
        (
            "_no_effect",
            found(hard(), soft(BETA), alpha="w"),
            [(EFFECT, "w has no effect", "Use w, or drop it.")],
        ),
        (
            "_no_effect",
            found(hard(), soft(ALPHA), beta="v"),
            [(EFFECT, "v has no effect", "Use v, or drop it.")],
        ),
        ("_no_effect", found(hard(), soft(), roles=ALONE), []),
        ("_no_effect", found(hard(), soft(Weight((1.0, 0.0, 0.0, 0.0), "{}^2"))), []),
        (
            "_no_effect",
            found(hard(), part("smoothed_entropy"), roles="student labels alpha beta"),
            [],
        ),
        ("_no_effect", found(hard(), part("mixed_entropy"), roles="student labels alpha"), []),
        (
            "_no_effect",
            found(soft(taus=("1", "1"), tau=0), roles=ALONE, tau="T"),
            [(EFFECT, "T has no effect", "Use T, or drop it.")],
        ),
        ("_no_effect", found(soft(taus=("1", "1"), tau=1), roles=ALONE), []),
        ("_no_effect", found(soft(taus=("1", "tau"), tau=0), roles=ALONE), []),
        ("_no_effect", found(soft(taus=("tau", "1"), tau=0), roles=ALONE), []),
        (
            "_no_effect",
            found(part("kl_standardised_tempered_0", taus=("tau", "tau")), roles=ALONE),
            [],
        ),
        ("_no_effect", found(hard(), roles="student labels tau"), []),
        # terms
        ("_direction", found(hard(), soft()), []),
        (
            "_direction",
            found(hard(), part("reverse_kl")),
            [("from_teacher_to_student", "", SWAP)],
        ),
        ("_terms", found(hard(), soft(), part("one")), []),
        (
            "_terms",
            found(hard(), part("entropy"), part("brier"), part("one")),
            [
                (
                    "terms_of_the_paper",
                    "",
                    f"It has entropy of the student and Brier score; {PAPERS}",
                )
            ],
        ),
        ("_terms", found(part("ce_label_twice")), []),
        (
            "_terms",
            found(hard(), soft(kind="ce")),
            [
                (
                    "",
                    "soft cross-entropy for KL",
                    "The value lies H(teacher) times the weight above Eq. 2; gradients agree.",
                )
            ],
        ),
        (
            "_terms",
            found(hard(), part("ce_uniform")),
            [("", "", "The value lies alpha log K above Eq. 1; gradients agree.")],
        ),
        ("_terms", found(part("ce_uniform"), part("ce_others")), []),
        ("_terms", found(part("kl_uniform")), []),
        ("_flaws", found(hard(), soft()), []),
        (
            "_flaws",
            found(part("ce_label_twice"), part("kl_raw")),
            [
                ("one_softmax", "softmax is taken twice in the hard term", SOFTMAX),
                ("softmax_is_taken", "no log-softmax is taken of the student", SOFTMAX),
            ],
        ),
        (
            "_smoothing",
            found(hard(), part("ce_others"), roles=SMOOTHING, alpha="eps"),
            [
                (
                    "smooths_over_all_classes",
                    "smoothing over the K - 1 other classes",
                    "Pass eps = alpha (K - 1) / K for Eq. 1's alpha, or spread it over all K.",
                )
            ],
        ),
        ("_smoothing", found(hard(), part("ce_uniform")), []),
        # sums and means
        ("_classes", found(hard(), soft()), []),
        (
            "_classes",
            found(hard(), soft(classes="1/{}")),
            [("sums_over_classes", "1/K of the soft term", SUM)],
        ),
        (
            "_classes",
            found(hard(classes="{}"), soft()),
            [("sums_over_classes", "K of the hard term", SUM)],
        ),
        (
            "_classes",
            found(hard(classes="1/{}"), soft(classes="1/{}")),
            [("sums_over_classes", "", SUM)],
        ),
        (
            "_classes",
            found(hard(classes="1/{}")),
            [("sums_over_classes", "1/K of the hard term", SUM)],
        ),
        ("_classes", found(hard(), part("pearson_batch", classes="1/{}")), []),
        ("_examples", found(hard(), soft()), []),
        (
            "_examples",
            found(hard(), soft(examples="1")),
            [
                (
                    "one_reduction",
                    "reductions differ (hard term times 1/N, soft term times 1)",
                    REDUCE,
                )
            ],
        ),
        (
            "_examples",
            found(hard(examples="1/{}^2"), soft(examples="1/{}^2")),
            [("one_reduction", "divided by N twice (1/N^2)", MEAN)],
        ),
        (
            "_examples",
            found(hard(examples="1/sqrt {}")),
            [("one_reduction", "times 1/sqrt N", MEAN)],
        ),
        ("_examples", found(hard(examples="1"), soft(examples="1")), []),
        (
            "_examples",
            replace(found(hard(examples="1"), soft(examples="1")), reduction="sum over examples"),
            [("", "summed over examples", "The gradient grows with the batch: divide by N.")],
        ),
        ("_examples", replace(found(hard(), soft()), reduction="sum over examples"), []),
        ("_examples", replace(found(hard(examples="1")), reduction="sum over examples"), []),
        ("_examples", found(part("pearson_batch", examples="{}")), []),
        ("_examples", found(hard(), part("pearson_batch", examples="1")), []),
        # temperatures
        ("_temperatures", found(hard(), soft()), []),
        (
            "_temperatures",
            found(hard(tau="tau"), soft()),
            [
                (
                    "hard_term_untempered",
                    "hard term tempered too",
                    "The hard term takes the logits as they are: temperature 1.",
                )
            ],
        ),
        (
            "_temperatures",
            found(soft(taus=("1", "tau"))),
            [
                (
                    "sides_tempered_alike",
                    "student not tempered",
                    "Divide the student's logits by tau as well.",
                )
            ],
        ),
        (
            "_temperatures",
            found(soft(taus=("tau", "1"))),
            [
                (
                    "sides_tempered_alike",
                    "teacher not tempered",
                    "Divide the teacher's logits by tau as well.",
                )
            ],
        ),
        ("_temperatures", found(soft(taus=("1", "1"))), []),
        (
            "_temperatures",
            found(soft(taus=("1/tau", "1/tau")), tau="beta_"),
            [("", "beta_ is the inverse of tau", "Pass beta_ = 1 / tau.")],
        ),
        ("_temperatures", found(part("kl_uniform", taus=("tau", "1")), roles=SMOOTHING), []),
        ("_temperatures", found(hard()), []),
        ("_tau_squared", found(hard()), []),
        ("_tau_squared", found(part("kl_uniform", taus=("tau", "1"))), []),
        ("_tau_squared", found(soft(), roles="student tau"), []),
        ("_tau_squared", found(soft()), [PRESENT]),
        ("_tau_squared", found(soft(kind="ce")), [PRESENT]),
        ("_tau_squared", found(soft(tau=0)), [("tau_squared_once", "tau squared missing", ONCE)]),
        ("_tau_squared", found(soft(tau=4)), [("tau_squared_once", "tau squared twice", ONCE)]),
        ("_tau_squared", found(soft(tau=1)), [("tau_squared_once", "tau to the power 1", ONCE)]),
        ("_tau_squared", found(soft(taus=("1", "1"))), []),
        ("_tau_squared", found(soft(taus=("1", "tau"))), [PRESENT]),
        ("_tau_squared", found(soft(taus=("tau", "1"))), [PRESENT]),
        ("_tau_squared", found(soft(taus=("1/tau", "1/tau"), tau=-2)), [PRESENT]),
        (
            "_tau_squared",
            found(soft(taus=("1/tau", "1/tau"))),
            [("tau_squared_once", "tau to the power -2", ONCE)],
        ),
        (
            "_tau_squared",
            found(soft(constant(16.0), taus=BUILT_IN, tau=0)),
            [("", "tau = 4 built in", ""), PRESENT],
        ),
        (
            "_tau_squared",
            found(soft(taus=BUILT_IN, tau=0)),
            [
                ("", "tau = 4 built in", ""),
                ("tau_squared_once", "tau squared missing", ONCE),
            ],
        ),
        (
            "_tau_squared",
            found(soft(constant(256.0), taus=BUILT_IN, tau=0)),
            [("", "tau = 4 built in", ""), ("tau_squared_once", "tau squared twice", ONCE)],
        ),
        # precision
        ("_logarithm", found(hard(), soft()), []),
        (
            "_logarithm",
            found(hard(constant(BITS)), soft(constant(BITS))),
            [("in_nats", "in bits", NATS)],
        ),
        (
            "_logarithm",
            found(hard(constant(BITS)), soft()),
            [("in_nats", "hard term in bits", NATS)],
        ),
        (
            "_logarithm",
            found(hard(), soft(constant(BITS))),
            [("in_nats", "soft term in bits", NATS)],
        ),
        ("_logarithm", found(hard(constant(BITS))), [("in_nats", "in bits", NATS)]),
        ("_accuracy", found(hard(), error=1e-9), []),
        (
            "_accuracy",
            found(hard(), error=2.4e-6),
            [
                (
                    "",
                    "to 2e-06",
                    "It is the formula up to an epsilon inside a logarithm, or single precision.",
                )
            ],
        ),
    ],
)
def test_what_differs_from_the_paper_is_told_with_what_to_change(finder, told, wanted):
    got = [(each.check, each.words, each.change) for each in getattr(remarks, finder)(told)]
    assert got == wanted


def test_logits_that_are_taken_for_posteriors_are_told_by_name():
    told = found(soft(taus=("1", "1")), roles="student teacher", student="logits")
    told = replace(told, loss=replace(told.loss, forms={"student": "probabilities"}))
    assert list(remarks._flaws(told)) == [
        Remark(
            "softmax_is_taken",
            "if logits are probabilities",
            "Take the softmax of logits inside, or call it what it is: with logits it is no known loss.",
        )
    ]


def at_edges(target):
    """What is told of the edges of a loss that is alpha times the cross-entropy elsewhere."""
    slots = {role: Slot("call", role) for role in ("student", "labels", "alpha", "tau")}
    slots["alpha"] = Slot("call", "w")

    def loss(student, labels, w, tau):
        plain = torch.nn.functional.cross_entropy(student, labels) * (1 + w)
        return target(plain, w, tau, student)

    made = Loss(name="loss", target=loss, slots=slots, forms={})
    fit = Fit(made, (hard(Weight((1.0, 1.0, 0.0, 0.0))),), 0.0)
    told = Convention(made, fit, "", "", (), "", "")
    return [(each.check, each.words, each.change) for each in remarks._edges(told)]


def refuse(plain, w, tau, student):
    if tau == 1:
        raise ValueError("none of these")
    return plain


SAME_AT = "same_at_edges"


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (lambda plain, w, tau, student: plain, []),
        (lambda plain, w, tau, student: plain * (1 + 1e-4 * (w == 0)), []),
        (
            lambda plain, w, tau, student: plain * (1 + 1e-3 * (w == 0)),
            [(SAME_AT, "at w = 0 it is 1.001 times what it is elsewhere", "w = 0")],
        ),
        (
            lambda plain, w, tau, student: plain / (3 if w == 1 else 1),
            [(SAME_AT, "at w = 1 it is 1/3 times what it is elsewhere", "w = 1")],
        ),
        (
            lambda plain, w, tau, student: plain * (float("nan") if tau == 1 else 1.0),
            [(SAME_AT, "at tau = 1 it is not finite", "tau = 1")],
        ),
        (
            lambda plain, w, tau, student: plain + (student.sum() if w == 0 else 0.0),
            [(SAME_AT, "at w = 0 it follows another formula", "w = 0")],
        ),
        (refuse, [("", "tau = 1 is refused", "")]),
    ],
)
def test_an_edge_at_which_a_loss_is_another_is_told(target, wanted):
    told = [
        (check, words, f"Let the formula hold at {where} too." if where else "")
        for check, words, where in wanted
    ]
    assert at_edges(target) == told


def test_the_edges_of_what_a_loss_does_not_take_are_not_asked_for():
    def never(student, labels):
        raise AssertionError("it was called")

    slots = {role: Slot("call", role) for role in ("student", "labels")}
    loss = Loss(name="loss", target=never, slots=slots, forms={})
    assert (
        list(remarks._edges(Convention(loss, Fit(loss, (hard(),), 0.0), "", "", (), "", ""))) == []
    )
