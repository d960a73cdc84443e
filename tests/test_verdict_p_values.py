"""The t test, TOST, partial conjunction, looks and Holm, against other routes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kdcheck.verdict import Criterion, Plan, Word
from kdcheck.verdict.family import NONE_YET
from kdcheck.verdict.family import settle as settle_evidence
from kdcheck.verdict.guards import Arrays
from kdcheck.verdict.looks import Evidence, look_at
from kdcheck.verdict.p_values import (
    holm,
    partial_conjunction,
    region_p_value,
    sample_of,
    t_p_value,
)
from kdcheck.verdict.spread import Prior, class_prior, raised
from kdcheck.verdict.words import DECIDING, REGIONS

PLAN = Plan(looks=(3, 5, 7, 10), weights=(0.4, 0.3, 0.2, 0.1))
CRITERION = Criterion(
    claim="c",
    tasks=("a",),
    margin=0.05,
    because="a test",
    unit="nats",
    direction="above",
    plan=PLAN,
)
SUPPORTED, REFUTED, EQUIVALENT = range(3)


def size(effects):
    return np.abs(effects).max(axis=-1)


def sample(effects):
    """Of tasks, or of one."""
    effects = np.atleast_2d(effects)
    return sample_of(effects, size(effects))


def at_looks(criterion, effects):
    """The p of a claim by itself after each look, shape (L, W)."""
    return look_at([criterion], [Arrays(effects)], criterion.plan).p[0]


def settle(p, plan):
    """A family settled, each claim's own spread saying the same."""
    return settle_evidence(Evidence(p, p, []), plan)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_t_p_values_equal_scipy_from_certain_to_hopeless(seeds, alternative):
    rng = np.random.default_rng(seeds)
    effects = rng.normal(size=(60, seeds)) + np.geomspace(1e-3, 1e3, 60)[:, None]
    ours = t_p_value(sample(effects), {"greater": 1, "less": -1}[alternative], 0.3)
    theirs = stats.ttest_1samp(effects, 0.3, axis=-1, alternative=alternative).pvalue
    # Both evaluate one incomplete beta function; its relative error grows with t like rounding.
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_five_identical_differences_are_no_certainty_as_they_are_for_scipy():
    effects = np.full(5, 0.25)
    with np.errstate(divide="ignore"), pytest.warns(RuntimeWarning):
        assert stats.ttest_1samp(effects, 0.0, alternative="greater").pvalue == 0
    assert t_p_value(sample(effects), 1, 0.0) == 1


def test_differences_that_are_equal_up_to_rounding_are_no_certainty_either():
    plain = np.array([0.61, 0.34, 0.7, 0.55, 0.48])
    effects = (plain + 0.1) - plain
    assert np.ptp(effects) > 0
    assert t_p_value(sample_of(effects[None], np.array([plain.max()])), 1, 0.0) == 1


def test_a_claim_of_more_needs_more_than_its_margin():
    effects = np.array([0.050, 0.051, 0.049, 0.052, 0.048])
    region = REGIONS["above"][Word.SUPPORTED]
    assert region_p_value(sample(effects), region, 0.05) == pytest.approx(0.5)


def test_an_effect_beyond_the_margin_on_either_side_pays_for_two_tries():
    effects = np.array([0.4, 0.5, 0.6])
    region = REGIONS["within"][Word.REFUTED]
    one_sided = stats.ttest_1samp(effects, 0.1, alternative="greater").pvalue
    for turned in (effects, -effects):
        assert region_p_value(sample(turned), region, 0.1) == pytest.approx(2 * one_sided)


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


def test_each_look_uses_only_its_first_seeds_and_pays_by_its_share():
    rng = np.random.default_rng(3)
    effects = rng.normal(0.2, 0.1, size=(1, 10))
    p_LW = at_looks(CRITERION, effects)
    at_look = [
        stats.ttest_1samp(effects[0, :n], 0.05, alternative="greater").pvalue / share
        for n, share in zip(PLAN.looks, PLAN.weights, strict=True)
    ]
    np.testing.assert_allclose(p_LW[:, SUPPORTED], np.minimum.accumulate(at_look).clip(max=1))


def test_a_look_that_is_not_reached_costs_its_share_and_adds_nothing():
    effects = np.random.default_rng(4).normal(0.2, 0.1, size=(1, 6))
    p_LW, at_5 = at_looks(CRITERION, effects), at_looks(CRITERION, effects[:, :5])
    np.testing.assert_array_equal(p_LW, at_5)
    assert (p_LW[3] == p_LW[1]).all()


def test_a_look_that_may_spend_next_to_nothing_decides_nothing_and_the_next_one_stands():
    effects = np.array([[0.2, 0.3, 0.1, 0.25, 0.15]])
    plans = Plan(looks=(3, 5), weights=(5e-324, 0.9)), Plan(looks=(5,), weights=(0.9,))
    two, one = (at_looks(replace(CRITERION, plan=plan), effects) for plan in plans)
    assert two[0].tolist() == [1, 1, 1]
    assert two[1].tolist() == one[0].tolist() != [1, 1, 1]


def test_words_that_a_kind_of_claim_does_not_use_are_never_shown():
    effects = np.random.default_rng(5).normal(0.0, 1e-6, size=(1, 10))
    for direction in ("within", "not_below"):
        p_LW = at_looks(replace(CRITERION, direction=direction), effects)
        assert (p_LW[:, EQUIVALENT] == 1).all()
        assert p_LW[-1, SUPPORTED] < 1e-6


def test_a_claim_on_average_is_a_t_test_of_one_mean_over_tasks_per_seed():
    effects = np.random.default_rng(7).normal([[0.3], [-0.1], [0.1]], 0.05, size=(3, 10))
    average = replace(CRITERION, tasks=("a", "b", "c"), holds="average")
    means = [sum(effects[t, s] for t in range(3)) / 3 for s in range(10)]
    p = stats.ttest_1samp(means[:3], 0.05, alternative="greater").pvalue
    assert at_looks(average, effects)[0, SUPPORTED] == pytest.approx(min(1, p / 0.4))
    p = stats.ttest_1samp(means[:3], -0.05, alternative="less").pvalue
    assert at_looks(average, effects)[0, REFUTED] == pytest.approx(min(1, p / 0.4))


# The spread of like claims


def log_moments(df):
    """Mean and variance of log(chi-square / df), by scipy's numerical integration."""
    chi = stats.chi2(df)
    mean = chi.expect(lambda x: np.log(x / df))
    return mean, chi.expect(lambda x: (np.log(x / df) - mean) ** 2)


@pytest.mark.parametrize(("prior_df", "prior_variance"), [(3.0, 0.25), (8.0, 4.0)])
def test_a_class_is_given_back_the_prior_that_it_was_drawn_from(prior_df, prior_variance):
    rng = np.random.default_rng(8)
    sigma2 = prior_df * prior_variance / rng.chisquare(prior_df, size=40_000)
    variances = sigma2 * rng.chisquare(4, size=sigma2.size) / 4
    found = class_prior(variances, 4)
    print(f"df {found.df:.3f} for {prior_df}, variance {found.variance:.4f} for {prior_variance}")
    # With 40,000 variances the df is known to some three percent at 8, less at 3.
    assert found.df == pytest.approx(prior_df, rel=0.12)
    assert found.variance == pytest.approx(prior_variance, rel=0.05)


def test_the_moments_that_a_prior_is_fitted_by_are_those_of_a_chi_square():
    # Two variances at mean +- d in logs, repeated: their moments are known by hand.
    mean, variance = log_moments(4)
    prior_mean, prior_variance = log_moments(6)
    apart = np.sqrt((variance + prior_variance) * 99 / 100)
    logs = np.log(2.0) + mean - prior_mean + apart * np.tile([-1, 1], 50)
    found = class_prior(np.exp(logs), 4)
    assert found.df == pytest.approx(6, rel=1e-6)
    assert found.variance == pytest.approx(2.0, rel=1e-6)


def test_a_class_counts_for_twenty_degrees_of_freedom_at_most_and_a_small_one_for_none():
    alike = np.full(30, 0.01)
    assert class_prior(alike, 4).df == 20
    assert class_prior(alike[:5], 4).df == 20
    few = class_prior(alike[:4], 4)
    assert (few.df, few.variance) == (0, 0)
    holes = class_prior(np.array([0.01] * 4 + [np.nan] * 6), 4)
    assert (holes.df, holes.variance) == (0, 0)
    full = np.random.default_rng(9).chisquare(4, size=8)
    with_holes = class_prior(np.append(full, [np.nan, 0.0]), 4)
    whole = class_prior(full, 4)
    # The same sum in another order.
    assert float(with_holes.df) == pytest.approx(float(whole.df), rel=1e-12)
    assert float(with_holes.variance) == pytest.approx(float(whole.variance), rel=1e-12)


def test_a_variance_is_raised_towards_its_class_and_never_lowered():
    prior = Prior(6.0, 2.0)
    variances, df = raised(np.array([0.5, 2.0, 50.0]), 4, prior)
    # Another route: the pooled variance of four own and six borrowed squares.
    assert variances.tolist() == [(4 * 0.5 + 6 * 2.0) / 10, 2.0, 50.0]
    assert df.tolist() == [10.0] * 3
    alone, df = raised(np.array([0.5, 50.0]), 4, Prior(0.0, 0.0))
    assert (alone.tolist(), df.tolist()) == ([0.5, 50.0], [4.0, 4.0])


def test_only_claims_of_one_unit_and_kind_that_reach_a_look_make_its_class():
    rng = np.random.default_rng(10)
    units = ["nats"] * 6 + ["points"] * 6
    criteria = [replace(CRITERION, claim=str(c), unit=unit) for c, unit in enumerate(units)]
    averages = [
        replace(CRITERION, claim=f"mean {c}", tasks=("a", "b"), holds="average") for c in range(5)
    ]
    effects = [rng.normal(0.0, 1.0 if unit == "nats" else 9.0, size=(1, 10)) for unit in units]
    effects[1] = effects[1][:, :5]
    of_means = [rng.normal(0.0, 0.1, size=(2, 10)) for _ in averages]
    arrays = [Arrays(each) for each in (*effects, *of_means)]
    found = look_at([*criteria, *averages], arrays, PLAN).priors
    for k, n in enumerate(PLAN.looks):
        nats = [e[0, :n].var(ddof=1) for e in effects[:6] if e.shape[1] >= n]
        points = [e[0, :n].var(ddof=1) for e in effects[6:]]
        means = [e[:, :n].mean(axis=0).var(ddof=1) for e in of_means]
        for claim, like in ((0, nats), (6, points), (12, means)):
            expected = class_prior(np.array(like), n - 1)
            assert tuple(map(float, found[claim][k])) == pytest.approx(tuple(map(float, expected)))
    assert found[1][2] == Prior(0.0, 0.0), "it reaches two looks"


def test_company_alone_never_shows_a_claim():
    # Beside a class of tiny spread its p is small; by itself it is far from its rate.
    beside, own = family({SUPPORTED: [1e-9] * 4}), family({SUPPORTED: [0.03] * 4})
    assert settle_evidence(Evidence(beside, own, []), PLAN).words.tolist() == [NONE_YET]
    own = family({SUPPORTED: [0.02] * 4})
    settled = settle_evidence(Evidence(beside, own, []), PLAN)
    assert settled.words.tolist() == [SUPPORTED]
    assert settled.adjusted_p[0, SUPPORTED] == 0.02


# Families


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
    # .02 is not <= .0225 / 2, but once the other claim is shown Holm asks for .0225 only.
    p = family({SUPPORTED: [0.02] * 4}, {SUPPORTED: [1, 1, 0.001, 0.001]})
    settled = settle(p, Plan())
    assert settled.looks.tolist() == [2, 2]
    assert settled.rivals.tolist() == [0, 2, 2]


def test_each_word_has_its_own_holm():
    p = family({SUPPORTED: [0.02] * 4}, {REFUTED: [0.001] * 4})
    assert settle(p, Plan()).words.tolist() == [NONE_YET, REFUTED]


def test_each_word_has_its_own_rate():
    plan = Plan(supported=0.01, refuted=0.03, equivalent=0.1)
    # A first attempt may spend nine tenths of each.
    for p, shown in ((0.02, [REFUTED, EQUIVALENT]), (0.05, [EQUIVALENT]), (0.009, range(3))):
        found = [settle(family({word: [p] * 4}), plan).words.item() for word in range(3)]
        assert found == [word if word in shown else NONE_YET for word in range(3)]


def test_all_attempts_together_spend_the_rate_and_no_more():
    rates = [Plan(attempt=k).rate(Word.SUPPORTED) for k in range(1, 12)]
    assert rates[:3] == pytest.approx([0.0225, 0.00225, 0.000225])
    assert sum(rates) == pytest.approx(0.025)
    p = family({SUPPORTED: [0.01] * 4})
    assert settle(p, Plan()).words.tolist() == [SUPPORTED]
    assert settle(p, Plan(attempt=2)).words.tolist() == [NONE_YET]


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
