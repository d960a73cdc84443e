"""The t test, TOST, partial conjunction, looks and Holm, against other routes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kdcheck.verdict import Criterion, Plan, Word
from kdcheck.verdict.family import NONE_YET, settle
from kdcheck.verdict.p_values import (
    holm,
    partial_conjunction,
    region_p_value,
    sequential_p_values,
    t_p_value,
)
from kdcheck.verdict.words import DECIDING, REGIONS

CRITERION = Criterion(
    claim="c", tasks=("a",), margin=0.05, because="a test", unit="nats", direction="above"
)
SUPPORTED, REFUTED, EQUIVALENT = range(3)


def size(effects):
    return np.abs(effects).max(axis=-1)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_t_p_values_equal_scipy_from_certain_to_hopeless(seeds, alternative):
    rng = np.random.default_rng(seeds)
    effects = rng.normal(size=(60, seeds)) + np.geomspace(1e-3, 1e3, 60)[:, None]
    ours = t_p_value(effects, {"greater": 1, "less": -1}[alternative], 0.3, size(effects))
    theirs = stats.ttest_1samp(effects, 0.3, axis=-1, alternative=alternative).pvalue
    # Both evaluate one incomplete beta function; its relative error grows with t like rounding.
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_five_identical_differences_are_no_certainty_as_they_are_for_scipy():
    effects = np.full(5, 0.25)
    with np.errstate(divide="ignore"), pytest.warns(RuntimeWarning):
        assert stats.ttest_1samp(effects, 0.0, alternative="greater").pvalue == 0
    assert t_p_value(effects, 1, 0.0, size(effects)) == 1


def test_differences_that_are_equal_up_to_rounding_are_no_certainty_either():
    plain = np.array([0.61, 0.34, 0.7, 0.55, 0.48])
    effects = (plain + 0.1) - plain
    assert np.ptp(effects) > 0
    assert t_p_value(effects, 1, 0.0, plain.max()) == 1


def test_a_claim_of_more_needs_more_than_its_margin():
    effects = np.array([0.050, 0.051, 0.049, 0.052, 0.048])
    region = REGIONS["above"][Word.SUPPORTED]
    assert region_p_value(effects, region, 0.05, size(effects)) == pytest.approx(0.5)


def test_an_effect_beyond_the_margin_on_either_side_pays_for_two_tries():
    effects = np.array([0.4, 0.5, 0.6])
    region = REGIONS["within"][Word.REFUTED]
    one_sided = stats.ttest_1samp(effects, 0.1, alternative="greater").pvalue
    for turned in (effects, -effects):
        assert region_p_value(turned, region, 0.1, size(effects)) == pytest.approx(2 * one_sided)


def test_partial_conjunction_is_the_worst_bonferroni_over_subsets_that_may_all_be_null():
    # Another route: "fewer than u tasks show it" means some m - u + 1 tasks are all null. Each such
    # subset is refused by Bonferroni over its members; the claim needs all subsets refused.
    p_T = np.array([0.001, 0.2, 0.03, 0.004, 0.7])
    for needed in range(1, 6):
        null_tasks = 5 - needed + 1
        worst = max(
            min(1.0, null_tasks * min(subset)) for subset in itertools.combinations(p_T, null_tasks)
        )
        assert partial_conjunction(p_T, needed) == pytest.approx(worst)


def test_each_look_uses_only_its_first_seeds_and_costs_the_number_of_looks():
    rng = np.random.default_rng(3)
    effects = rng.normal(0.2, 0.1, size=(1, 10))
    p_LW = sequential_p_values(CRITERION, effects, size(effects))
    at_look = [
        4 * stats.ttest_1samp(effects[0, :n], 0.05, alternative="greater").pvalue
        for n in (3, 5, 7, 10)
    ]
    np.testing.assert_allclose(p_LW[:, SUPPORTED], np.minimum.accumulate(at_look).clip(max=1))


def test_a_look_that_is_not_reached_costs_its_price_and_adds_nothing():
    effects = np.random.default_rng(4).normal(0.2, 0.1, size=(1, 6))
    p_LW = sequential_p_values(CRITERION, effects, size(effects))
    at_5 = sequential_p_values(CRITERION, effects[:, :5], size(effects))
    np.testing.assert_array_equal(p_LW, at_5)
    assert (p_LW[3] == p_LW[1]).all()


def test_words_that_a_kind_of_claim_does_not_use_are_never_shown():
    effects = np.random.default_rng(5).normal(0.0, 1e-6, size=(1, 10))
    for direction in ("within", "not_below"):
        p_LW = sequential_p_values(replace(CRITERION, direction=direction), effects, size(effects))
        assert (p_LW[:, EQUIVALENT] == 1).all()
        assert p_LW[-1, SUPPORTED] < 1e-6


def family(*claims):
    """p values of claims that differ by (word, p at each of the four looks)."""
    p_CLW = np.ones((len(claims), 4, 3))
    for c, words in enumerate(claims):
        for word, p_L in words.items():
            p_CLW[c, :, word] = p_L
    return p_CLW


def test_the_first_look_that_decides_stands():
    p = family({SUPPORTED: [1, 0.01, 0.01, 0.01], REFUTED: [1, 1, 1e-9, 1e-9]})
    settled = settle(p, Plan())
    assert settled.words.tolist() == [SUPPORTED]
    assert settled.looks.tolist() == [1]
    assert settled.adjusted_p[0].tolist() == [0.01, 1, 1]


def test_a_claim_is_decided_later_when_the_others_stop_competing():
    # .02 is not <= .025 / 2, but once the other claim is shown Holm asks for .025 only.
    p = family({SUPPORTED: [0.02] * 4}, {SUPPORTED: [1, 1, 0.001, 0.001]})
    settled = settle(p, Plan())
    assert settled.looks.tolist() == [2, 2]
    assert settled.rivals.tolist() == [0, 2, 2]


def test_each_word_has_its_own_holm():
    p = family({SUPPORTED: [0.02] * 4}, {REFUTED: [0.001] * 4})
    assert settle(p, Plan()).words.tolist() == [NONE_YET, REFUTED]


def test_each_word_has_its_own_rate():
    plan = Plan(supported=0.01, refuted=0.03, equivalent=0.1)
    for p, shown in ((0.02, [REFUTED, EQUIVALENT]), (0.05, [EQUIVALENT]), (0.01, range(3))):
        found = [settle(family({word: [p] * 4}), plan).words.item() for word in range(3)]
        assert found == [word if word in shown else NONE_YET for word in range(3)]


def test_refuted_says_more_than_equivalent_and_the_smaller_p_wins_a_contradiction():
    both = family({REFUTED: [0.02] * 4, EQUIVALENT: [1e-6] * 4})
    assert settle(both, Plan()).words.tolist() == [REFUTED]
    contradiction = family({SUPPORTED: [0.02] * 4, REFUTED: [0.01] * 4})
    assert settle(contradiction, Plan()).words.tolist() == [REFUTED]


def test_many_families_are_settled_as_one_by_one():
    p = np.random.default_rng(6).uniform(0, 0.05, size=(50, 4, 4, 3)) ** 2
    p = np.minimum.accumulate(p, axis=-2)
    together = settle(p, Plan())
    for f, alone in enumerate(settle(family_p, Plan()) for family_p in p):
        assert together.words[f].tolist() == alone.words.tolist()
        assert together.looks[f].tolist() == alone.looks.tolist()
        assert together.adjusted_p[f].tolist() == alone.adjusted_p.tolist()
        assert together.rivals[f].tolist() == alone.rivals.tolist()


def test_holm_without_its_running_maximum_would_be_caught():
    p = np.array([0.01, 0.011])
    assert holm(p).tolist() == [0.02, 0.02]


def test_the_words_of_an_array_are_in_the_order_of_their_axis():
    assert DECIDING == (Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT)
