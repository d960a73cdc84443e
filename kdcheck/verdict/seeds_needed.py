"""How many seeds a claim would need, if its effects and their spread are as seen so far."""

# N = candidate numbers of seeds

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.looks import parts_of
from kdcheck.verdict.spread import NO_PRIOR, Floats, Prior, raised
from kdcheck.verdict.words import REGIONS, Region, Word

POWER = 0.8
FARTHEST = 200
"""Beyond so many seeds we say "not reachable" rather than a number nobody would train."""


def power(
    region: Region,
    margin: float,
    *,
    mean: float,
    sd: float,
    rate: float | Floats,
    seeds_N: Floats,
    prior_df: float = 0.0,
) -> Floats:
    """Chance that n seeds show the region at a rate, for normal differences: noncentral t.

    One half-line: 1 - F_{df, d}(t_crit), d = sign (mean - threshold) sqrt(n) / sd, df = n - 1 and what
    the spread of like claims counts for. "and" takes the sum of the misses from 1, a lower bound;
    "or" the likelier half at its Bonferroni share.

    Args:
        region: where the effect must lie.
        margin: in the claim's unit.
        mean: true effect, in the margin's unit.
        sd: standard deviation of the differences, > 0.
        rate: one-sided error rate after all prices, or one for each n.
        seeds_N: shape (N,), each at least 2.
        prior_df: degrees of freedom of the class, see ``Prior``.

    Returns:
        Shape (N,), from 0 to 1.

    Source: Johnson and Welch 1940 for the noncentral t.

    >>> above = Region(((1, 1),))
    >>> power(above, 0.0, mean=1.0, sd=1.0, rate=0.025, seeds_N=np.array([5.0, 10.0])).round(3)
    array([0.401, 0.803])
    """
    from scipy.special import nctdtr, stdtrit

    rate = rate / len(region.halves) if region.joined == "or" else rate
    df_N = seeds_N - 1 + prior_df
    critical_N = stdtrit(df_N, 1 - rate)
    halves = []
    for sign, times in region.halves:
        noncentral_N = sign * (mean - times * margin) / sd * np.sqrt(seeds_N)
        missed_N = nctdtr(df_N, noncentral_N, critical_N)
        # Far out on either side scipy's noncentral t is NaN here and there, where nothing is in doubt.
        sure_N = noncentral_N > critical_N
        halves.append(np.where(np.isnan(missed_N), sure_N, 1 - missed_N))
    power_HN = np.array(halves)
    if region.joined == "or":
        return np.asarray(power_HN.max(axis=0))
    return np.asarray(np.maximum(0.0, 1 - (1 - power_HN).sum(axis=0)))


def seeds_to_decide(
    criterion: Criterion,
    effects_TS: Floats,
    rivals: Mapping[Word, int],
    prior: Prior = NO_PRIOR,
) -> int | None:
    """The smallest number of seeds at which some word would be shown with power 80 %.

    A planned look where one suffices, else a number beyond the plan, else None. It takes estimates
    for truth, so it is a rough guide: "about", never a promise.

    Args:
        criterion: gives margin, quantifier and plan.
        effects_TS: shape (T, S), finite and not constant on any task.
        rivals: per word, among how many claims Holm still divides its rate.
        prior: what the spread of like claims said.

    Returns:
        A number of seeds, or None where more than ``FARTHEST`` would be needed.

    Source: Johnson and Welch 1940; decision 0100 for the prices.

    >>> one = Criterion(claim="c", tasks=("a",), margin=0.0, because="x", unit="nats")
    >>> seeds_to_decide(one, np.array([[1.0, 2.0, 3.0]]), dict.fromkeys(REGIONS["above"], 1))
    5
    """
    effects_TS = parts_of(criterion, effects_TS)
    candidates_N, shares_N = _candidates(criterion, effects_TS.shape[-1])
    sd_T = spread_of(effects_TS, prior)
    found = []
    for word in REGIONS[criterion.direction]:
        chances_TN = [
            chance_to_show(
                criterion,
                word,
                mean=mean,
                sd=sd,
                seeds_N=candidates_N,
                shares_N=shares_N,
                rivals=rivals[word],
                prior_df=float(prior.df),
            )
            for mean, sd in zip(effects_TS.mean(axis=-1), sd_T, strict=True)
        ]
        enough_N = (np.array(chances_TN) >= POWER).sum(axis=0) >= criterion.needed_for(word)
        found += candidates_N[enough_N][:1].tolist()
    return int(min(found)) if found else None


def spread_of(effects_TS: Floats, prior: Prior) -> Floats:
    """Standard deviation over seeds of each part of a claim, beside its class.

    Args:
        effects_TS: shape (T, S), S >= 2.
        prior: of the class.

    Returns:
        Shape (T,), in the unit of the effects.

    Source: decision 0100.

    >>> spread_of(np.array([[1.0, 2.0, 3.0]]), Prior(2.0, 7.0)).tolist()
    [2.0]
    """
    variance_T, _ = raised(effects_TS.var(axis=-1, ddof=1), effects_TS.shape[-1] - 1, prior)
    return np.sqrt(variance_T)


def chance_to_show(
    criterion: Criterion,
    word: Word,
    *,
    mean: float,
    sd: float,
    seeds_N: Floats,
    shares_N: Floats,
    rivals: int,
    prior_df: float,
) -> Floats:
    """Chance that one task shows a word with n seeds, all prices paid: that of the harder of both tests.

    The one stands beside the spread of like claims and pays for its family, the other by itself.

    Args:
        criterion: gives margin, kind, quantifier and plan.
        word: to be shown.
        mean: true effect, in the claim's unit.
        sd: of the differences, see ``spread_of``.
        seeds_N: shape (N,), each at least 2.
        shares_N: shape (N,), what a look at so many seeds may spend of the rate.
        rivals: claims among which the rate is divided.
        prior_df: of the class.

    Returns:
        Shape (N,), from 0 to 1.

    Source: decision 0100 for both tests.

    >>> one = Criterion(claim="c", tasks=("a",), margin=0.0, because="x", unit="nats")
    >>> chance_to_show(one, Word.SUPPORTED, mean=1.0, sd=1.0, seeds_N=np.array([5.0, 10.0]),
    ...                shares_N=np.array([1.0, 1.0]), rivals=1, prior_df=0.0).round(2).tolist()
    [0.38, 0.79]
    """
    region, parts = REGIONS[criterion.direction][word], criterion.parts
    rate_N = criterion.plan.rate(word) * shares_N / (parts - criterion.needed_for(word) + 1)
    chances = [
        power(region, criterion.margin, mean=mean, sd=sd, seeds_N=seeds_N, rate=rate, prior_df=df)
        for rate, df in ((rate_N / max(1, rivals), prior_df), (rate_N, 0.0))
    ]
    return np.minimum(*chances)


def _candidates(criterion: Criterion, seeds: int) -> tuple[Floats, Floats]:
    """Numbers of seeds to try, and the share of the error rate that each may spend.

    Beyond the plan a new plan would be needed; it is taken to have one look, at the main share.
    """
    plan = criterion.plan
    planned = {n: w for n, w in zip(plan.looks, plan.weights, strict=True) if n > seeds}
    beyond = dict.fromkeys(range(max(seeds, plan.looks[-1]) + 1, FARTHEST + 1), max(plan.weights))
    found = planned | beyond
    return np.array([*found], dtype=np.float64), np.array([*found.values()])
