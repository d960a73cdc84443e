"""Contrasts: their values by another route, their words, and their way through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from kdcheck.claims import OPERATIONS, Arm, Contrast, Reading, apply, reading
from kdcheck.claims.contrast import lists
from kdcheck.errors import ClaimError, EvidenceError
from tests.study_doubles import ERM_SMALL, KD, LS_SMALL, planned

RUNS = {"a": (0.7, [0.9, 0.8, 0.7]), "b": (0.2, [0.6, 0.1, 0.2]), "c": (0.5, [0.3, 0.4, 0.5])}
A, B, C = (reading("mean_entropy_nats", Arm(name, "smaller")) for name in RUNS)
CURVE_A, CURVE_B, _ = (
    reading("mean_entropy_nats", Arm(name, "smaller"), split="test_sample", point="every")
    for name in RUNS
)


def look_up(found: Reading):
    final, curve = RUNS[found.arm.method]
    return np.array(curve) if found.point == "every" else final


CASES = [
    (A - B, 0.5),
    (A / B, 3.5),
    (A / B - 3.0, 0.5),
    ((A - B) * 100.0, 50.0),
    (A - (B - 0.1), 0.6),
    (1.0 - A, 0.3),
    (1.0 + B, 1.2),
    (2.0 * B, 0.4),
    (1.0 / B, 5.0),
    (-(B - A), 0.5),
    (apply("minimum", A, B, C), 0.2),
    (apply("maximum", A, B, 0.9), 0.9),
    (apply("between", C, A, B), 0.2),
    (apply("between", C, B, A), 0.2),
    (apply("between", B, A, C), -0.3),
    (apply("between", A, B, C), -0.2),
    (apply("least", CURVE_A - CURVE_B), 0.3),
    (apply("greatest", CURVE_A - CURVE_B), 0.7),
    (apply("first", CURVE_A - CURVE_B), 0.3),
    (apply("mean", CURVE_A), 0.8),
    (apply("least", apply("minimum", CURVE_A, 0.75)), 0.7),
    (apply("fisher z", B), 0.5 * np.log(1.2 / 0.8)),
    # x .2 .5 1.1 with y .7 .2 .5: products of deviations sum to -.05, squares of x's to .42
    (lists("slope", [A, B, C], [B, C, 1.1 + 0.0 * A]), -0.05 / 0.42),
    (lists("rank correlation", [A, B, C], [B, C, A]), -0.5),
]


@pytest.mark.parametrize(("contrast", "value"), CASES, ids=lambda case: getattr(case, "text", ""))
def test_a_contrast_is_worth_what_a_hand_computes(contrast, value):
    assert contrast.value(look_up) == pytest.approx(value)


@pytest.mark.parametrize("contrast", [contrast for contrast, _ in CASES], ids=lambda c: c.text)
def test_a_contrast_survives_json(contrast):
    again = Contrast.from_dict(json.loads(json.dumps(contrast.to_dict())))
    assert again == contrast
    assert again.text == contrast.text


def test_every_operation_is_computed_by_hand_above():
    def names(contrast):
        return {contrast.operation}.union(*map(names, contrast.parts))

    assert set().union(*(names(contrast) for contrast, _ in CASES)) >= set(OPERATIONS)


def test_brackets_in_words_follow_the_order_of_computation():
    a, b = "mean_entropy_nats(a/smaller)", "mean_entropy_nats(b/smaller)"
    assert (A - (B - A)).text == f"{a} - ({b} - {a})"
    assert ((A - B) * 2.0).text == f"({a} - {b}) * 2"
    assert lists("slope", [A, B], [B, A]).text == f"slope of ([{a}, {b}], [{b}, {a}])"


def test_a_reading_in_words_says_whatever_is_not_usual():
    odd = reading("brier", KD, split="train_sample", temperature=4, point="first")
    assert odd.text == "first look at train_sample brier(kd/smaller<-erm/larger) at temperature 4"


def test_readings_differ_in_every_one_of_their_parts():
    usual = Reading("brier", KD)
    others = [
        Reading("accuracy", KD),
        Reading("brier", ERM_SMALL),
        Reading("brier", KD, "validation"),
        Reading("brier", KD, "test", 2),
        *(
            Reading("brier", KD, split, point=point)
            for split in ("test_sample", "train_sample")
            for point in ("last", "first", "every")
        ),
    ]
    assert len({each.text for each in (usual, *others)}) == 11
    assert len({json.dumps(each.to_dict()) for each in (usual, *others)}) == 11


@pytest.mark.parametrize("kind", ["slope", "rank correlation"])
def test_relations_agree_with_scipy(kind):
    x, y = np.random.default_rng(0).normal(size=(2, 6))
    oracle = {
        "slope": stats.linregress(x, y).slope,
        "rank correlation": stats.spearmanr(x, y).statistic,
    }[kind]
    assert apply(kind, *y, *x).value(look_up) == pytest.approx(oracle, abs=1e-12)


@pytest.mark.parametrize("kind", ["slope", "rank correlation"])
def test_a_relation_to_equal_values_is_no_number(kind):
    assert not np.isfinite(lists(kind, [A, B], [A * 0.0, B * 0.0]).value(look_up))


def test_a_perfect_correlation_has_no_finite_z_nor_has_what_is_none():
    values = [apply("fisher z", A * 0.0 + r).value(look_up) for r in (1.0, -1.0, 1.5)]
    assert values[:2] == [np.inf, -np.inf]
    assert np.isnan(values[2])


def test_curves_of_other_lengths_are_refused_with_the_cure():
    def short(found):
        return look_up(found)[: 2 if found.arm.method == "a" else 3]

    with pytest.raises(EvidenceError, match="on_budget_of"):
        (CURVE_A - CURVE_B).value(short)


@pytest.mark.parametrize(
    ("stored", "fact"),
    [
        ({"integral": []}, "integral"),
        ({"operation": "integral", "of": []}, "the operation 'integral'"),
        ({"operation": "reading", "of": [{"metric": "brier"}]}, "'brier'"),
        (A.to_dict() | {"of": [A.of[0].to_dict() | {"metric": "charm"}]}, "kdcheck --load FILE"),
    ],
)
def test_an_expression_of_another_version_is_refused(stored, fact):
    with pytest.raises(EvidenceError, match="newer kdcheck") as caught:
        Contrast.from_dict(stored)
    assert fact in str(caught.value)


def both(study, **options):
    return [study.entropy(arm, **options) for arm in (LS_SMALL, ERM_SMALL)]


def curves(study):
    return [study.entropy_curve(arm) for arm in (LS_SMALL, ERM_SMALL)]


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda study: True, "got the contrast True; wanted a contrast that reads"),
        (lambda study: apply("-", 3, 0), "got the contrast 3 - 0; wanted a contrast that reads"),
        (lambda study: curves(study)[0] - curves(study)[1], "a curve; wanted one number"),
        (lambda study: both(study)[0] - curves(study)[1], r"Take study.least\(...\)"),
        (lambda study: study.first(both(study)[0]), r"Read it with study.entropy_curve\(...\)"),
        (lambda study: study.least(both(study)[0] * 2.0), "one number; wanted a curve"),
        (lambda study: study.slope(both(study), curves(study)), "a curve; wanted numbers"),
        (lambda study: study.slope(both(study), both(study)[:1]), "equally many numbers"),
        (lambda study: study.rank_correlation([], []), "at least 2"),
        (lambda study: study.apply("between", *both(study)), "2 values; wanted 3"),
        (lambda study: study.apply("median", *both(study)), "the operation 'median'"),
        (lambda study: both(study, split="train")[0], "one of test, validation, test_sample"),
        (lambda study: study.entropy_curve(KD, split="test"), "Say split='test_sample'"),
        (lambda study: study.entropy_curve(KD, split="validation"), "before the end on validation"),
        (
            lambda study: study.read("ece", KD, point="first"),
            "wanted one of test_sample, train_sam",
        ),
        (lambda study: study.apply("fisher z", curves(study)[0]), "a curve; wanted numbers"),
        (lambda study: study.accuracy(ERM_SMALL, split="dev"), "split='dev'"),
        (lambda study: study.entropy_curve(ERM_SMALL, split="dev"), "split='dev'"),
        (lambda study: study.read("charm", ERM_SMALL), "metric='charm'"),
        (lambda study: study.read("teacher_agreement", ERM_SMALL), "that nobody teaches"),
    ],
)
def test_a_contrast_that_could_not_be_computed_is_refused_while_it_is_planned(make, fact):
    with pytest.raises(ClaimError, match=fact):
        planned(make)


def test_contrasts_of_curves_made_numbers_and_of_every_split_are_planned():
    for make in (
        lambda study: study.least(curves(study)[0] - curves(study)[1]) - both(study)[1],
        lambda study: study.slope(both(study), both(study)[::-1]),
        lambda study: both(study, split="train_sample", temperature=2.0)[0],
        lambda study: both(study)[0] - study.smoothing_floor(LS_SMALL),
        lambda study: study.read("teacher_agreement", KD) - study.read("kl_from_teacher_nats", KD),
    ):
        assert planned(make).measures.arms()
