"""Contrasts: their values by another route, their words, and their way through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from kdcheck.errors import ClaimError, EvidenceError
from kdcheck.paper.arms import ERM, LS
from kdcheck.study.measures import Constant, Read, Reduction, Relation, from_dict
from tests.study_doubles import question

RUNS = {"a/smaller": (0.7, [0.9, 0.8, 0.7]), "b/smaller": (0.2, [0.6, 0.1, 0.2])}
A, B = (Read(arm, "test/mean_entropy_nats") for arm in RUNS)
CURVE_A, CURVE_B = (Read(arm, "test/mean_entropy_nats", curve=True) for arm in RUNS)


class View:
    def __init__(self, arm):
        self.final, self.points = RUNS[arm]

    def metric(self, name):
        return self.final

    def curve(self, name):
        return np.array(self.points)


CASES = [
    (A - B, 0.5),
    (A / B, 3.5),
    (A / B - 3.0, 0.5),
    ((A - B) * 100.0, 50.0),
    (A - (B - Constant(0.1)), 0.6),
    (1.0 - A, 0.3),
    (1.0 + B, 1.2),
    (-(B - A), 0.5),
    (Reduction("least", CURVE_A - CURVE_B), 0.3),
    (Reduction("first", CURVE_A - CURVE_B), 0.3),
    (Reduction("mean", CURVE_A), 0.8),
]


@pytest.mark.parametrize(("contrast", "value"), CASES, ids=lambda case: getattr(case, "text", ""))
def test_a_contrast_is_worth_what_a_hand_computes(contrast, value):
    assert contrast.value(View) == pytest.approx(value)


@pytest.mark.parametrize("contrast", [contrast for contrast, _ in CASES], ids=lambda c: c.text)
def test_a_contrast_survives_json(contrast):
    again = from_dict(json.loads(json.dumps(contrast.to_dict())))
    assert again == contrast
    assert again.text == contrast.text


def test_brackets_in_words_follow_the_order_of_computation():
    text = (A - (B - A)).text
    assert text == (
        "mean_entropy_nats(a/smaller) - "
        "(mean_entropy_nats(b/smaller) - mean_entropy_nats(a/smaller))"
    )


@pytest.mark.parametrize("kind", ["slope", "rank correlation"])
def test_relations_agree_with_scipy(kind):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6))
    xs, ys = (tuple(Constant(float(v)) for v in values) for values in (x, y))
    oracle = {
        "slope": stats.linregress(x, y).slope,
        "rank correlation": stats.spearmanr(x, y).statistic,
    }[kind]
    assert Relation(kind, xs, ys).value(View) == pytest.approx(oracle, abs=1e-12)
    assert from_dict(Relation(kind, xs, ys).to_dict()) == Relation(kind, xs, ys)


def test_a_rank_correlation_of_equal_values_is_no_number():
    same = (Constant(1.0), Constant(1.0))
    assert np.isnan(Relation("rank correlation", same, (A, B)).value(View))


def test_curves_of_other_lengths_are_refused_with_the_cure():
    class Short(View):
        def curve(self, name):
            return np.array(self.points[: 2 if self.final > 0.5 else 3])

    with pytest.raises(EvidenceError, match="on_budget_of"):
        (CURVE_A - CURVE_B).value(Short)


def test_an_expression_of_another_version_is_refused():
    with pytest.raises(EvidenceError, match="newer kdcheck"):
        from_dict({"integral": []})


def both(study, **options):
    return [study.entropy(arm("smaller"), **options) for arm in (LS, ERM)]


def curves(study):
    return [study.entropy_curve(arm("smaller")) for arm in (LS, ERM)]


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda study: True, "got the contrast True; wanted a contrast that reads"),
        (lambda study: study.number(3), "got the contrast 3; wanted a contrast that reads"),
        (lambda study: curves(study)[0] - curves(study)[1], "a curve; wanted one number"),
        (lambda study: both(study)[0] - curves(study)[1], r"Take study.least\(...\)"),
        (lambda study: study.first(both(study)[0]), r"Read it with study.entropy_curve\(...\)"),
        (lambda study: study.least(both(study)[0] * 2.0), "one number; wanted a curve"),
        (
            lambda study: study.slope(both(study), curves(study)),
            "two lists of equally many numbers",
        ),
        (lambda study: study.slope(both(study), both(study)[:1]), "equally many numbers"),
        (lambda study: study.rank_correlation([], []), "at least 2"),
        (lambda study: both(study, split="train")[0], "one of test, validation, train_sample"),
        (lambda study: study.accuracy(ERM("smaller"), split="dev"), "split='dev'"),
        (lambda study: study.entropy_curve(ERM("smaller"), split="dev"), "split='dev'"),
        (lambda study: both(study, split="train_sample", temperature=2.0)[0], "temperature=2 on"),
    ],
)
def test_a_contrast_that_could_not_be_computed_is_refused_while_it_is_planned(make, fact):
    with pytest.raises(ClaimError, match=fact):
        question(make)


def test_contrasts_of_curves_made_numbers_and_of_every_split_are_planned():
    for make in (
        lambda study: study.least(curves(study)[0] - curves(study)[1]) - both(study)[1],
        lambda study: study.slope(both(study), both(study)[::-1]),
        lambda study: both(study, split="train_sample")[0],
        lambda study: both(study, split="validation", temperature=2.0)[0],
        lambda study: both(study)[0] - study.smoothing_floor(LS("smaller")),
    ):
        assert question(make).contrast.arms()
