"""What a number of seeds can show of a claim, at the spread that was seen and the price of its family."""

# N = numbers of seeds

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kdcheck.verdict.criterion import MAIN_SHARE
from kdcheck.verdict.guards import as_arrays
from kdcheck.verdict.looks import parts_of
from kdcheck.verdict.seeds_needed import POWER, chance_to_show, spread_of
from kdcheck.verdict.spread import Floats
from kdcheck.verdict.verdict import Verdict
from kdcheck.verdict.words import REGIONS, Word

SEEDS_TRIED = (3, 5, 7, 10, 15, 20, 30)
FARTHEST_SDS = 100.0
"""Beyond so many standard deviations we say that nothing is shown."""
STEPS = 40
"""Halvings of the interval in which a distance is sought."""


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What one claim's experiment can resolve.

    Source: decision 0103, power before seeds.
    """

    claim: str
    word: Word
    unit: str
    margin: float
    effect: float
    spread: float
    """Standard deviation over seeds, beside the spread of like claims, of the task where it is widest."""
    smallest: dict[int, float | None]
    """By number of seeds: how far beyond the margin an effect must lie to be shown with power 80 %."""
    decided_at: int | None
    """About how many seeds would decide at the effect seen; None: decided already, or out of reach."""


def resolution(verdict: Verdict, seeds: tuple[int, ...] = SEEDS_TRIED) -> Resolution | None:
    """What an experiment of each size could show of a claim; None without two seeds to judge by.

    Args:
        verdict: on the claim, from the seeds that there are.
        seeds: sizes to try, each as the main look of its own plan.

    Returns:
        Distances in the claim's unit, on the task with the widest spread.

    Source: Johnson and Welch 1940 for the noncentral t.

    >>> from kdcheck.verdict import Criterion, Measured, TaskEffects, judge
    >>> one = Criterion(claim="c", tasks=("a",), margin=0.1, because="x", unit="nats")
    >>> effects = TaskEffects(seeds=(0, 1, 2, 3, 4), effects=(0.1, 0.2, 0.3, 0.2, 0.2))
    >>> found = resolution(judge(one, Measured(tasks={"a": effects})), seeds=(5, 20))
    >>> round(found.spread, 3), {n: round(x, 3) for n, x in found.smallest.items()}
    (0.071, {5: 0.136, 20: 0.05})
    """
    if verdict.seeds < 2 or verdict.measured is None or verdict.effect is None:
        return None
    criterion = verdict.criterion
    effects_TS = parts_of(criterion, as_arrays(criterion, verdict.measured).effects)
    spread = float(spread_of(effects_TS, verdict.prior).max())
    more = verdict.more_seeds
    return Resolution(
        claim=criterion.claim,
        word=verdict.word,
        unit=criterion.unit,
        margin=criterion.margin,
        effect=verdict.effect,
        spread=spread,
        smallest=dict(zip(seeds, _smallest(verdict, spread, np.array(seeds, float)), strict=True)),
        decided_at=None if more is None else verdict.seeds + more,
    )


def _smallest(verdict: Verdict, spread: float, seeds_N: Floats) -> list[float | None]:
    """Distances beyond the margin, each found by halving."""
    criterion = verdict.criterion
    sign, times = REGIONS[criterion.direction][Word.SUPPORTED].halves[-1]
    # Inside a margin on both sides nothing lies farther from it than its middle.
    within = criterion.direction == "within"
    farthest = criterion.margin if within else FARTHEST_SDS * spread
    return [
        _halved(
            lambda distance, at=at: chance_to_show(  # type: ignore[misc]
                criterion,
                Word.SUPPORTED,
                mean=times * criterion.margin + sign * distance,
                sd=spread,
                seeds_N=seeds_N[at : at + 1],
                shares_N=np.array([MAIN_SHARE]),
                rivals=verdict.family_size,
                prior_df=float(verdict.prior.df),
            ).item(),
            farthest,
        )
        for at in range(len(seeds_N))
    ]


def _halved(chance: Callable[[float], float], farthest: float) -> float | None:
    """The smallest distance with enough power, or None if the farthest has too little."""
    if chance(farthest) < POWER:
        return None
    low, high = 0.0, farthest
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) < POWER else (low, middle)
    return high
