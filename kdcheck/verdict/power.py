"""How many seeds a claim would need, if its effects and their spread are as seen so far."""

# N = candidate numbers of seeds

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.p_values import Floats
from kdcheck.verdict.words import REGIONS, Region, Word

POWER = 0.8
FARTHEST = 200
"""Beyond so many seeds we say "not reachable" rather than a number nobody would train."""


def power(
    region: Region, margin: float, *, mean: float, sd: float, rate: float, seeds_N: Floats
) -> Floats:
    """Chance that n seeds show the region at a rate, for normal differences: noncentral t.

    One half-line: 1 - F_{n-1, d}(t_crit), d = sign (mean - threshold) sqrt(n) / sd. "and" takes the
    sum of the misses from 1, a lower bound; "or" the likelier half at its Bonferroni share.

    Args:
        region: where the effect must lie.
        margin: in the claim's unit.
        mean: true effect, in the margin's unit.
        sd: standard deviation of the differences, > 0.
        rate: one-sided error rate after all prices.
        seeds_N: shape (N,), each at least 2.

    Returns:
        Shape (N,), from 0 to 1.

    Source: Johnson and Welch 1940 for the noncentral t.

    >>> above = Region(((1, 1),))
    >>> power(above, 0.0, mean=1.0, sd=1.0, rate=0.025, seeds_N=np.array([5.0, 10.0])).round(3)
    array([0.401, 0.803])
    """
    from scipy.special import nctdtr, stdtrit

    rate = rate / len(region.halves) if region.joined == "or" else rate
    critical_N = stdtrit(seeds_N - 1, 1 - rate)
    halves = []
    for sign, times in region.halves:
        noncentral_N = sign * (mean - times * margin) / sd * np.sqrt(seeds_N)
        halves.append(1 - nctdtr(seeds_N - 1, noncentral_N, critical_N))
    power_HN = np.array(halves)
    if region.joined == "or":
        return np.asarray(power_HN.max(axis=0))
    return np.asarray(np.maximum(0.0, 1 - (1 - power_HN).sum(axis=0)))


def seeds_to_decide(
    criterion: Criterion, effects_TS: Floats, rivals: Mapping[Word, int]
) -> int | None:
    """The smallest number of seeds at which some word would be shown with power 80 %.

    A planned look where one suffices, else a number beyond the plan, else None. It takes estimates
    for truth, so it is a rough guide: "about", never a promise.

    Args:
        criterion: gives margin, quantifier and plan.
        effects_TS: shape (T, S), finite and not constant on any task.
        rivals: per word, among how many claims Holm still divides its rate.

    Returns:
        A number of seeds, or None where more than ``FARTHEST`` would be needed.

    Source: Johnson and Welch 1940; decision 0041 for the prices.

    >>> one = Criterion(claim="c", tasks=("a",), margin=0.0, because="x", unit="nats")
    >>> seeds_to_decide(one, np.array([[1.0, 2.0, 3.0]]), dict.fromkeys(REGIONS["above"], 1))
    7
    """
    candidates_N = _candidates(criterion, effects_TS.shape[-1])
    found = []
    for word, region in REGIONS[criterion.direction].items():
        needed = criterion.needed_for(word)
        shares = len(criterion.plan.looks) * rivals[word] * (len(criterion.tasks) - needed + 1)
        enough_TN = [
            power(
                region,
                criterion.margin,
                mean=effects_S.mean(),
                sd=effects_S.std(ddof=1),
                rate=criterion.plan.rate(word) / shares,
                seeds_N=candidates_N,
            )
            >= POWER
            for effects_S in effects_TS
        ]
        found += candidates_N[np.sum(enough_TN, axis=0) >= needed][:1].tolist()
    return int(min(found)) if found else None


def _candidates(criterion: Criterion, seeds: int) -> Floats:
    looks = criterion.plan.looks
    beyond = range(max(seeds, looks[-1]) + 1, FARTHEST + 1)
    return np.array([*(n for n in looks if n > seeds), *beyond], dtype=np.float64)
