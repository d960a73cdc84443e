"""t intervals: one task, and the effect that a quantifier over tasks speaks of."""

# T = tasks, S = seeds (of one claim)

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.looks import parts_of
from kdcheck.verdict.spread import Floats


class Interval(NamedTuple):
    """An interval, in the unit of its claim.

    >>> low, high = Interval(-0.1, 0.3)
    >>> low, high
    (-0.1, 0.3)
    """

    low: float
    high: float


def t_bounds(effects_TS: Floats, tail: float) -> tuple[Floats, Floats]:
    """Lower and upper bounds mean -+ t_{S-1}(1 - tail) sd / sqrt S, each missing with chance ``tail``.

    Args:
        effects_TS: shape (T, S), paired differences, S >= 2.
        tail: chance to miss on one side.

    Returns:
        Two arrays of shape (T,), in the unit of the effects.

    Source: Student 1908.

    >>> low, high = t_bounds(np.array([[0.4, 0.5, 0.6]]), 0.025)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.252], [0.748])
    """
    from scipy.special import stdtrit

    seeds = effects_TS.shape[-1]
    mean_T = effects_TS.mean(axis=-1)
    reach_T = stdtrit(seeds - 1, 1 - tail) * effects_TS.std(axis=-1, ddof=1) / np.sqrt(seeds)
    return mean_T - reach_T, mean_T + reach_T


def quantified_effect(criterion: Criterion, effects_TS: Floats) -> float:
    """The mean effect on which the claim turns: its u-th best task, u the number it needs.

    "On every task" turns on the smallest effect, "on some" on the largest, "on average" on the mean
    over tasks; a claim "within" turns on the u-th closest to zero.

    Args:
        criterion: says the quantifier.
        effects_TS: shape (T, S), paired differences.

    Returns:
        In the unit of the claim.

    Source: decision 0042, what a verdict counts and shows.

    >>> one = Criterion(claim="c", tasks=("a", "b"), margin=0, because="x", unit="nats")
    >>> round(quantified_effect(one, np.array([[0.4, 0.6], [0.1, 0.3]])), 3)
    0.2
    """
    effects_TS = parts_of(criterion, effects_TS)
    return float(effects_TS.mean(axis=-1)[_turning_task(criterion, effects_TS)])


def quantified_interval(criterion: Criterion, effects_TS: Floats, level: float) -> Interval:
    """Interval of the effect on which the claim turns; no price for looks or family.

    It inverts the partial conjunction tests: the u-th largest lower bound at tail / (T - u + 1) and
    the u-th largest upper bound at tail / u, tail = (1 - level) / 2. For "within" it is the turning
    task's own interval, simultaneous over the tasks (tail / T), since the data chose that task.

    Args:
        criterion: says the quantifier.
        effects_TS: shape (T, S), paired differences, S >= 2.
        level: between 0 and 1.

    Returns:
        In the unit of the claim.

    Source: decision 0042; Benjamini and Heller 2008 for the tests it inverts.

    >>> one = Criterion(claim="c", tasks=("a", "b"), margin=0, because="x", unit="nats")
    >>> low, high = quantified_interval(one, np.array([[4.0, 6.0, 5.0], [1.0, 3.0, 2.0]]), 0.95)
    >>> round(low, 2), round(high, 2)
    (-0.48, 5.58)
    """
    effects_TS = parts_of(criterion, effects_TS)
    tail, tasks, needed = (1 - level) / 2, len(effects_TS), criterion.needed
    if criterion.direction == "within":
        turning = _turning_task(criterion, effects_TS)
        low_T, high_T = t_bounds(effects_TS, tail / tasks)
        return Interval(float(low_T[turning]), float(high_T[turning]))
    low_T, _ = t_bounds(effects_TS, tail / (tasks - needed + 1))
    _, high_T = t_bounds(effects_TS, tail / needed)
    return Interval(float(np.sort(low_T)[-needed]), float(np.sort(high_T)[-needed]))


def _turning_task(criterion: Criterion, effects_TS: Floats) -> int:
    mean_T = effects_TS.mean(axis=-1)
    merit_T = -np.abs(mean_T) if criterion.direction == "within" else mean_T
    return int(np.argsort(merit_T)[-criterion.needed])
