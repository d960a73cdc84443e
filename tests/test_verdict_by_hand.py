"""Settling, power and intervals beside plain loops over scipy: one family, one claim, one task at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy
from scipy import optimize, special, stats

from kdcheck.verdict import (
    Criterion,
    Interval,
    Measured,
    Plan,
    TaskEffects,
    Word,
    intervals,
    judge,
    judge_family,
    p_values,
    seeds_needed,
)
from kdcheck.verdict import resolution as module
from kdcheck.verdict.decide import NOT_REACHED, _look_used
from kdcheck.verdict.family import NONE_YET, settle, word_at
from kdcheck.verdict.guards import Arrays, as_arrays
from kdcheck.verdict.looks import Evidence, look_at
from kdcheck.verdict.p_values import holm, partial_conjunction, region_p_value, sample_of
from kdcheck.verdict.spread import NO_PRIOR, Prior
from kdcheck.verdict.words import DECIDING, REGIONS, Region

CRITERION = Criterion(
    claim="c", tasks=("a",), margin=0.25, because="x", unit="nats", plan=Plan.of(5)
)
TWO = replace(CRITERION, tasks=("a", "b"))
THREE = replace(CRITERION, tasks=("a", "b", "c"))

# Settling


def holm_by_hand(p):
    order = sorted(range(len(p)), key=lambda c: p[c])
    adjusted, climbing = [0.0] * len(p), 0.0
    for place, c in enumerate(order):
        climbing = max(climbing, min(1.0, (len(p) - place) * p[c]))
        adjusted[c] = climbing
    return adjusted


def settled_by_hand(p_CLW, own_CLW, plan):
    """Decision 0041, claim by claim: words, looks, adjusted p and rivals."""
    claims, looks = p_CLW.shape[:2]
    rates = [plan.rate(word) for word in DECIDING]
    words, at, adjusted = [NONE_YET] * claims, [0] * claims, [[1.0] * 3 for _ in range(claims)]
    for k in range(looks):
        family = [holm_by_hand(p_CLW[:, k, w].tolist()) for w in range(3)]
        rivals = [claims - sum(p <= rates[w] for p in family[w]) for w in range(3)]
        for c in range(claims):
            if words[c] != NONE_YET:
                continue
            prices = [max(family[w][c], own_CLW[c, k, w]) for w in range(3)]
            shown = [w for w in range(3) if prices[w] <= rates[w]]
            if 1 in shown and 2 in shown:
                shown.remove(2)
            at[c], adjusted[c] = k, prices
            if shown:
                words[c] = min(shown, key=lambda w, prices=prices: prices[w])
    return words, at, adjusted, rivals


def test_a_family_is_settled_as_it_is_written():
    plan = Plan(looks=(3, 5, 8), supported=0.1, refuted=0.2, equivalent=0.3)
    rng = np.random.default_rng(21)
    p_XCLW = np.minimum.accumulate(rng.uniform(0, 1, (60, 5, 3, 3)) ** 4, axis=2)
    own_XCLW = np.where(rng.random(p_XCLW.shape) < 0.2, 1.0, p_XCLW)
    found = settle(Evidence(p_XCLW, own_XCLW, []), plan)
    seen = set()
    for x in range(60):
        words, at, adjusted, rivals = settled_by_hand(p_XCLW[x], own_XCLW[x], plan)
        assert found.words[x].tolist() == words
        assert found.looks[x].tolist() == at
        np.testing.assert_allclose(found.adjusted_p[x], adjusted, rtol=1e-12)
        assert found.rivals[x].tolist() == rivals
        alone = settle(Evidence(p_XCLW[x], own_XCLW[x], []), plan)
        assert (alone.words.tolist(), alone.rivals.tolist()) == (words, rivals)
        seen |= {(word, k) for word, k in zip(words, at, strict=True)}
    assert len(seen) > 8  # of ten: each word at each look, and none at the last


def test_holm_is_what_a_loop_gives_in_any_order_and_with_ties():
    rng = np.random.default_rng(22)
    p_XC = np.round(rng.uniform(0, 1, (2, 40, 6)) ** 2, 2)
    found = holm(p_XC)
    for x in np.ndindex(2, 40):
        np.testing.assert_allclose(found[x], holm_by_hand(p_XC[x].tolist()), rtol=1e-12)


def test_the_word_of_an_index():
    assert [word_at(index) for index in (NONE_YET, 0, 1, 2)] == [Word.UNDECIDED, *DECIDING]


def test_a_partial_conjunction_is_a_bonferroni_over_what_is_left():
    rng = np.random.default_rng(23)
    p_XT = rng.uniform(0, 1, (3, 7, 4))
    for needed in range(1, 5):
        found = partial_conjunction(p_XT, needed)
        assert found.shape == (3, 7)
        for x in np.ndindex(3, 7):
            wanted = min(1.0, (4 - needed + 1) * sorted(p_XT[x])[needed - 1])
            assert found[x] == pytest.approx(wanted)


@pytest.mark.parametrize("prior", [NO_PRIOR, Prior(3.0, 2.0)])
def test_a_region_is_shown_by_the_t_tests_of_its_halves(prior):
    rng = np.random.default_rng(24)
    effects_XTS = rng.normal(0.3, 1.0, (4, 2, 6))
    sample = sample_of(effects_XTS, np.ones((4, 2)), prior)
    for region in (
        *(Region(((1, 1),)), Region(((-1, -1),)), Region(((1, -1), (-1, 1)), "and")),
        Region(((1, 1), (-1, -1)), "or"),
    ):
        found = region_p_value(sample, region, 0.25)
        for x in np.ndindex(4, 2):
            values = effects_XTS[x]
            df = 5 + prior.df
            variance = max(
                (5 * values.var(ddof=1) + prior.df * prior.variance) / df, values.var(ddof=1)
            )
            halves = [
                stats.t(df).sf(sign * (values.mean() - times * 0.25) / math.sqrt(variance / 6))
                for sign, times in region.halves
            ]
            wanted = max(halves) if region.joined == "and" else min(1.0, 2 * min(halves))
            assert found[x] == pytest.approx(wanted, rel=1e-9)


def test_a_sample_without_spread_shows_nothing():
    sample = sample_of(np.array([[7.0, 7.0, 7.0 + 1e-15], [1.0, 2.0, 3.0]]), np.array([7.0, 3.0]))
    assert np.isnan(sample.error[0])
    assert sample.error[1] == pytest.approx(math.sqrt(1 / 3))
    assert p_values.t_p_value(sample, 1, 0.0)[0] == 1.0
    assert sample.df.tolist() == [2.0, 2.0]
    spreads = p_values.spread_is_rounding(np.array([1.0, 1.0 + 64 * 2.0**-52]), np.array([1.0]))
    assert spreads.tolist() == [True]
    wider = p_values.spread_is_rounding(np.array([1.0, 1.0 + 65 * 2.0**-52]), np.array([1.0]))
    assert wider.tolist() == [False]


# Power


def shown(sign, times, *, mean, sd, rate, n, prior_df=0.0, margin=0.25):
    """Chance that one half-line is shown, by scipy's noncentral t."""
    df = n - 1 + prior_df
    critical = stats.t(df).ppf(1 - rate)
    return stats.nct(df, sign * (mean - times * margin) / sd * math.sqrt(n)).sf(critical)


NEAR = {
    "rtol": 1e-6 if tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 15) else 1e-4,
    "atol": 1e-8,
}
"""How exact scipy's two ways to the noncentral t are."""


@pytest.mark.parametrize("prior_df", [0.0, 4.0])
def test_power_is_that_of_the_noncentral_t(prior_df):
    given = {"mean": 0.4, "sd": 0.5, "prior_df": prior_df}
    sizes, rates = np.array([3.0, 8.0, 20.0]), np.array([0.01, 0.02, 0.2])

    def power(region):
        return seeds_needed.power(region, 0.25, rate=rates, seeds_N=sizes, **given)

    pairs = list(zip(sizes, rates, strict=True))
    for sign, times in ((1, 1), (-1, -1), (1, -1)):
        wanted = [shown(sign, times, rate=r, n=n, **given) for n, r in pairs]
        np.testing.assert_allclose(power(Region(((sign, times),))), wanted, **NEAR)
    inside = power(REGIONS["within"][Word.SUPPORTED])
    wanted = [
        max(0.0, sum(shown(s, t, rate=r, n=n, **given) for s, t in ((1, -1), (-1, 1))) - 1)
        for n, r in pairs
    ]
    np.testing.assert_allclose(inside, wanted, **NEAR)
    beyond = power(REGIONS["within"][Word.REFUTED])
    wanted = [
        max(shown(s, t, rate=r / 2, n=n, **given) for s, t in ((1, 1), (-1, -1))) for n, r in pairs
    ]
    np.testing.assert_allclose(beyond, wanted, **NEAR)
    assert 0 < wanted[0] < 1


def test_where_scipys_noncentral_t_is_no_number_nothing_is_in_doubt(monkeypatch):
    critical, real = special.stdtrit(19, 1 - 1e-5), special.nctdtr

    def with_holes(df, noncentral, at):
        """As scipy's own before 1.18, which has them here and there."""
        return np.where(np.abs(noncentral - at) > 15, np.nan, real(df, noncentral, at))

    monkeypatch.setattr(special, "nctdtr", with_holes)
    below, above = [critical - 20, critical - 16], [critical + 16, critical + 20]
    given = {"sd": math.sqrt(20), "rate": 1e-5, "seeds_N": np.array([20.0])}
    for at, chance in [*((at, 0.0) for at in below), *((at, 1.0) for at in above)]:
        assert seeds_needed.power(Region(((1, 0),)), 0.0, mean=at, **given).tolist() == [chance]
    # Inside a margin with a side that is sure, the other one decides; beyond one, the likelier side.
    mean, margin = above[0], above[0] + 8.0
    near = seeds_needed.power(Region(((-1, 1),)), margin, mean=mean, **given)
    inside = seeds_needed.power(Region(((1, 0), (-1, 1)), "and"), margin, mean=mean, **given)
    assert 0 < inside[0] < 1
    assert inside == pytest.approx(near)
    beyond = Region(((1, 0), (-1, 0)), "or")
    for mean in (critical + 5, -critical - 5):
        assert 0.5 < seeds_needed.power(beyond, 0.0, mean=mean, **{**given, "rate": 2e-5})[0] < 1


@pytest.mark.parametrize(
    ("criterion", "word", "price"),
    [
        (CRITERION, Word.SUPPORTED, 1),
        (THREE, Word.SUPPORTED, 1),
        (THREE, Word.REFUTED, 3),
        (replace(THREE, holds="some"), Word.SUPPORTED, 3),
        (replace(THREE, holds="most"), Word.SUPPORTED, 2),
        (replace(THREE, holds="average"), Word.SUPPORTED, 1),
    ],
)
def test_the_chance_to_show_a_word_is_that_of_the_harder_test(criterion, word, price):
    sizes, shares = np.array([5.0, 8.0]), np.array([0.7, 0.1])
    sign = 1 if word is Word.SUPPORTED else -1
    given = {"mean": sign * 0.7, "sd": 0.4}

    def chance(rivals, prior_df):
        return seeds_needed.chance_to_show(
            criterion,
            word,
            seeds_N=sizes,
            shares_N=shares,
            rivals=rivals,
            prior_df=prior_df,
            **given,
        )

    for rivals, prior_df in ((1, 0.0), (0, 3.0), (12, 0.0), (2, 16.0), (40, 16.0)):
        for at, (n, share) in enumerate(zip(sizes, shares, strict=True)):
            rate = 0.0225 * share / price
            both = (
                shown(sign, sign, rate=rate / max(1, rivals), n=n, prior_df=prior_df, **given),
                shown(sign, sign, rate=rate, n=n, **given),
            )
            assert chance(rivals, prior_df)[at] == pytest.approx(min(both), rel=1e-6)


def decided_by_hand(criterion, effects_TS, rivals, prior=NO_PRIOR):
    """The smallest number of seeds at which enough tasks show some word with power 80 %."""
    seeds = effects_TS.shape[1]
    looks = [
        (n, w)
        for n, w in zip(criterion.plan.looks, criterion.plan.weights, strict=True)
        if n > seeds
    ]
    looks += [(n, 0.7) for n in range(max(seeds, 20) + 1, 201)]
    for n, share in looks:
        for word in REGIONS[criterion.direction]:
            ready = 0
            for values in effects_TS:
                own = values.var(ddof=1)
                df = seeds - 1 + prior.df
                variance = max(own, ((seeds - 1) * own + prior.df * prior.variance) / df)
                chance = seeds_needed.chance_to_show(
                    criterion,
                    word,
                    mean=values.mean(),
                    sd=math.sqrt(variance),
                    seeds_N=np.array([float(n)]),
                    shares_N=np.array([share]),
                    rivals=rivals[word],
                    prior_df=prior.df,
                )[0]
                ready += chance >= 0.8
            if ready >= criterion.needed_for(word):
                return n
    return None


@pytest.mark.parametrize("prior", [NO_PRIOR, Prior(6.0, 0.5)])
@pytest.mark.parametrize("holds", ["every", "some"])
def test_seeds_to_decide_are_the_fewest_that_any_word_needs(holds, prior):
    criterion = replace(TWO, holds=holds)
    rng = np.random.default_rng(25)
    found = set()
    for centre in (0.1, 0.45, 0.6, 0.9, -0.6, 0.26):
        effects_TS = centre + rng.normal(0, 0.4, (2, 5)) * np.array([[1.0], [0.5]])
        rivals = {Word.SUPPORTED: 3, Word.REFUTED: 9, Word.EQUIVALENT: 1}
        wanted = decided_by_hand(criterion, effects_TS, rivals, prior)
        assert seeds_needed.seeds_to_decide(criterion, effects_TS, rivals, prior) == wanted
        found.add(wanted)
    assert len(found) > 2


def test_seeds_of_a_claim_on_average_are_those_of_its_mean():
    average = replace(TWO, holds="average")
    effects_TS = np.array([[0.1, 0.9, 0.7, 0.2, 1.3], [0.8, 0.3, 0.2, 0.9, 0.4]])
    rivals = dict.fromkeys(DECIDING, 1)
    mean_1S = effects_TS.mean(axis=0, keepdims=True)
    alone = seeds_needed.seeds_to_decide(CRITERION, mean_1S, rivals)
    assert seeds_needed.seeds_to_decide(average, effects_TS, rivals) == alone


# What a size can resolve


def verdict_of(values, *, family=1, prior=None, **changes):
    criterion = replace(CRITERION, **changes)
    company = [replace(criterion, claim=f"absent {k}") for k in range(family - 1)]
    measured = Measured(tasks={"a": TaskEffects(seeds=tuple(range(5)), effects=values)})
    found = judge_family([criterion, *company], {"c": measured})["c"]
    return found if prior is None else replace(found, prior=prior)


@pytest.mark.parametrize("direction", ["above", "not_below", "within"])
def test_the_smallest_distance_has_power_80_and_no_smaller_one_has(direction):
    values = (0.3, 0.5, 0.1, 0.7, 0.4)
    margin = 1.5 if direction == "within" else 0.25
    verdict = verdict_of(
        values, family=4, prior=Prior(3.0, 0.1), direction=direction, margin=margin
    )
    sd = math.sqrt(max(np.var(values, ddof=1), (3 * 0.1 + 4 * np.var(values, ddof=1)) / 7))
    found = module.resolution(verdict, seeds=(3, 12)).smallest
    for n in (3, 12):
        sign, times = {"above": (1, 1), "not_below": (1, -1), "within": (-1, 1)}[direction]

        def missing(distance, n=n, sign=sign, times=times):
            return (
                seeds_needed.chance_to_show(
                    verdict.criterion,
                    Word.SUPPORTED,
                    mean=times * margin + sign * distance,
                    sd=sd,
                    seeds_N=np.array([float(n)]),
                    shares_N=np.array([0.7]),
                    rivals=4,
                    prior_df=3.0,
                )[0]
                - 0.8
            )

        farthest = margin if direction == "within" else 20 * sd
        assert found[n] == pytest.approx(optimize.brentq(missing, 0.0, farthest), rel=1e-6)


def test_a_distance_is_halved_until_it_is_known_and_none_where_the_farthest_has_too_little():
    assert module._halved(lambda distance: 1.0 if distance >= 3.0 else 0.0, 8.0) == pytest.approx(
        3.0
    )
    assert module._halved(lambda distance: 0.8, 8.0) == pytest.approx(0.0, abs=1e-10)
    assert module._halved(lambda distance: 0.79, 8.0) is None
    calls = []
    module._halved(lambda distance: calls.append(distance) or 0.9, 1.0)
    assert len(calls) == 41


# Intervals


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("holds", ["every", "most", "some", 1])
def test_bounds_of_a_quantified_claim_invert_its_partial_conjunctions(holds, level):
    criterion = replace(THREE, holds=holds)
    effects_TS = np.random.default_rng(26).normal([[0.2], [0.5], [0.9]], 0.2, (3, 6))
    needed, tail = criterion.needed, (1 - level) / 2

    def bounds(tail):
        found = [stats.ttest_1samp(row, 0).confidence_interval(1 - 2 * tail) for row in effects_TS]
        return sorted(b.low for b in found), sorted(b.high for b in found)

    low = bounds(tail / (3 - needed + 1))[0][-needed]
    high = bounds(tail / needed)[1][-needed]
    assert intervals.quantified_interval(criterion, effects_TS, level) == pytest.approx((low, high))
    means = sorted(effects_TS.mean(axis=1))
    assert intervals.quantified_effect(criterion, effects_TS) == pytest.approx(means[-needed])


@pytest.mark.parametrize(("holds", "place"), [("every", 2), ("most", 1), ("some", 0)])
def test_a_claim_within_turns_on_the_effect_that_is_far_enough_from_zero(holds, place):
    criterion = replace(THREE, holds=holds, direction="within")
    effects_TS = np.random.default_rng(27).normal([[-0.6], [0.1], [0.3]], 0.05, (3, 6))
    row = effects_TS[sorted(range(3), key=lambda t: abs(effects_TS[t].mean()))[place]]
    assert intervals.quantified_effect(criterion, effects_TS) == pytest.approx(row.mean())
    theirs = stats.ttest_1samp(row, 0).confidence_interval(1 - 0.1 / 3)
    found = intervals.quantified_interval(criterion, effects_TS, 0.9)
    assert isinstance(found, Interval)
    assert found == pytest.approx((theirs.low, theirs.high))


# Judging a family


def test_a_family_is_judged_with_all_that_each_verdict_keeps():
    plan = Plan(looks=(3, 5), weights=(0.6, 0.4))
    criteria = [replace(CRITERION, claim=name, plan=plan) for name in "pqrstuv"]
    rng = np.random.default_rng(28)

    def of(centre, seeds, **more):
        values = tuple((centre + 0.1 * rng.normal(size=seeds)).tolist())
        return Measured(tasks={"a": TaskEffects(seeds=tuple(range(seeds)), effects=values, **more)})

    measured = {
        "p": of(2.0, 5),
        "q": of(0.3, 5),
        "r": of(-2.0, 4),
        "s": of(0.5, 2),
        "t": of(0.5, 5, degenerate_runs=("x",)),
        "u": Measured(tasks={"a": TaskEffects(seeds=(), effects=())}),
    }
    exploratory = {"q": ("The margin was moved.",)}
    found = judge_family(criteria, measured, exploratory=exploratory)
    assert list(found) == list("pqrstuv")
    arrays = [as_arrays(c, measured[c.claim]) if c.claim in "pqrs" else None for c in criteria]
    evidence = look_at(criteria, arrays, plan)
    settled = settle(evidence, plan)
    for c, (claim, verdict) in enumerate(found.items()):
        assert verdict.criterion is criteria[c]
        assert verdict.measured is measured.get(claim)
        assert verdict.family_size == 7
        assert verdict.exploratory == exploratory.get(claim, ())
        assert [verdict.adjusted_p[w] for w in DECIDING] == settled.adjusted_p[c].tolist()
        assert [verdict.rivals[w] for w in DECIDING] == settled.rivals.tolist()
    words = [verdict.word.value for verdict in found.values()]
    assert words == [
        *("SUPPORTED", "UNDECIDED", "REFUTED", "UNDECIDED", "INVALID", "NOT_RUN", "NOT_RUN")
    ]
    assert [verdict.seeds_used for verdict in found.values()] == [3, 5, 3, 0, 0, 0, 0]
    assert [verdict.fault and verdict.fault.kind for verdict in found.values()] == [
        *(None, None, None, None, "DegenerateRun", None, None)
    ]
    for claim, look in (("p", 0), ("q", 1), ("r", 0)):
        prior = evidence.priors["pqrstuv".index(claim)][look]
        assert found[claim].prior == Prior(*map(float, prior))
        assert type(found[claim].prior.df) is float
    assert found["s"].prior == found["t"].prior == NO_PRIOR
    assert settled.rivals.tolist() != [7, 7, 7]


def test_the_look_that_is_used_is_the_one_that_decided_or_the_last_one_reached():
    plan = Plan(looks=(3, 5, 8))

    def used(look, seeds):
        return _look_used(plan, look, None if seeds is None else Arrays(np.zeros((1, seeds))))

    assert [used(0, 9), used(2, 9), used(2, 5), used(1, 4), used(0, 3)] == [0, 2, 1, 0, 0]
    assert [used(2, 2), used(0, None)] == [NOT_REACHED, NOT_REACHED] == [-1, -1]


def test_one_claim_is_judged_as_a_family_of_one():
    values = tuple(np.random.default_rng(29).normal(1.0, 0.1, 5).tolist())
    measured = Measured(tasks={"a": TaskEffects(seeds=tuple(range(5)), effects=values)})
    assert judge(CRITERION, measured) == judge_family([CRITERION], {"c": measured})["c"]
    assert judge(CRITERION, None).word is Word.NOT_RUN
