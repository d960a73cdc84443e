"""Contrasts: their values by another route, their words, and their way through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from kdcheck.errors import EvidenceError
from kdcheck.study.measures import Constant, Read, Reduction, Relation, from_dict

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
