"""p values: one task, across tasks, over looks, over a family; all vectorised over leading axes.

One code path serves a single claim (no leading axes) and ``kdcheck calibrate`` (thousands).
"""

# X = any leading axes, T = tasks, S = seeds, L = looks, C = claims of a family,
# W = words: SUPPORTED, REFUTED, EQUIVALENT

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.words import DECIDING, REGIONS, Region

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROUNDING = 64 * np.finfo(np.float64).eps
"""Values that differ by less than this share of their size are equal: a difference of two means
over some thousand examples carries a few dozen roundings."""


def spread_is_rounding(values_XS: Floats, size_X: Floats) -> Bools:
    """Whether the values differ by no more than floating point makes them differ.

    Args:
        values_XS: shape (..., S).
        size_X: shape (...), magnitude of the figures that the values were computed from.

    Returns:
        Shape (...).

    Source: Higham 2002, chapter 4, on the rounding of sums.

    >>> spread_is_rounding(np.array([0.1, 0.1 + 1e-17, 0.1]), np.array(0.1)).item()
    True
    """
    return np.asarray(np.ptp(values_XS, axis=-1) <= ROUNDING * size_X)


def t_p_value(effects_XS: Floats, sign: int, threshold: float, size_X: Floats) -> Floats:
    """One-sided one-sample t: p of the null ``sign * (mean - threshold) <= 0``.

    p = F_{S-1}(-sign * (mean - threshold) / (sd / sqrt S)), F Student's distribution function.

    Args:
        effects_XS: shape (..., S), S >= 2, paired differences.
        sign: +1 to show an effect above the threshold, -1 below.
        threshold: in the unit of the effects.
        size_X: see ``spread_is_rounding``. Without spread p is 1: scipy would say 0.

    Returns:
        Shape (...).

    Source: Student 1908.

    >>> round(float(t_p_value(np.array([0.4, 0.5, 0.6]), 1, 0.0, np.array(0.6))), 6)
    0.006536
    """
    from scipy.special import stdtr

    seeds = effects_XS.shape[-1]
    error_X = effects_XS.std(axis=-1, ddof=1) / np.sqrt(seeds)
    judged_X = np.isfinite(error_X) & ~spread_is_rounding(effects_XS, size_X)
    distance_X = sign * (effects_XS.mean(axis=-1) - threshold)
    t_X = np.divide(distance_X, error_X, out=np.zeros_like(error_X), where=judged_X)
    return np.where(judged_X, stdtr(seeds - 1, -t_X), 1.0)


def region_p_value(effects_XS: Floats, region: Region, margin: float, size_X: Floats) -> Floats:
    """The p of the null that the effect lies outside a region.

    "and": the larger p (for -margin..margin this is TOST); "or": Bonferroni, twice the smaller.

    Args:
        effects_XS: shape (..., S), S >= 2, paired differences.
        region: where the effect is to be shown.
        margin: in the unit of the effects.
        size_X: see ``spread_is_rounding``.

    Returns:
        Shape (...).

    Source: Schuirmann 1987 for TOST; Berger 1982 for intersection-union tests.

    >>> within = Region(((1, -1), (-1, 1)), "and")
    >>> effects = np.array([0.01, -0.02, 0.0])
    >>> round(float(region_p_value(effects, within, 0.1, np.array(0.02))), 4)
    0.0041
    """
    p_HX = np.stack(
        [t_p_value(effects_XS, sign, times * margin, size_X) for sign, times in region.halves]
    )
    if region.joined == "and":
        return np.asarray(p_HX.max(axis=0))
    return np.asarray(np.minimum(1.0, len(p_HX) * p_HX.min(axis=0)))


def partial_conjunction(p_XT: Floats, needed: int) -> Floats:
    """The p of the null that fewer than ``needed`` of the T tasks show the effect.

    p = min(1, (T - u + 1) p_(u)), p_(u) the u-th smallest. All tasks: the largest p; one: Bonferroni.

    Args:
        p_XT: shape (..., T), one p for each task.
        needed: u, from 1 to T.

    Returns:
        Shape (...).

    Source: Benjamini and Heller 2008, the Bonferroni form: valid however the tasks depend.

    >>> partial_conjunction(np.array([0.001, 0.04, 0.01]), 2).item()
    0.02
    """
    tasks = p_XT.shape[-1]
    smallest_XT = np.sort(p_XT, axis=-1)
    return np.asarray(np.minimum(1.0, (tasks - needed + 1) * smallest_XT[..., needed - 1]))


def task_p_values(criterion: Criterion, effects_XTS: Floats, size_XT: Floats) -> Floats:
    """The p of each task for each word, from all seeds given: no price for looks or family.

    Args:
        criterion: gives margin and kind.
        effects_XTS: shape (..., T, S), S >= 2.
        size_XT: shape (..., T), see ``spread_is_rounding``.

    Returns:
        Shape (..., T, W); 1 for a word that this kind of claim does not use.

    Source: decision 0040, what the words of a verdict mean.

    >>> one = Criterion(claim="c", tasks=("a",), margin=0.1, because="x", unit="nats")
    >>> effects, size = np.array([[0.4, 0.5, 0.6]]), np.array([0.6])
    >>> dict(zip(DECIDING, task_p_values(one, effects, size)[0].round(4).tolist()))["SUPPORTED"]
    0.0101
    """
    regions = REGIONS[criterion.direction]
    return np.stack(
        [
            region_p_value(effects_XTS, regions[word], criterion.margin, size_XT)
            if word in regions
            else np.ones(effects_XTS.shape[:-1])
            for word in DECIDING
        ],
        axis=-1,
    )


def sequential_p_values(criterion: Criterion, effects_XTS: Floats, size_XT: Floats) -> Floats:
    """The p of a claim for each word after each planned look, the price of all looks paid.

    p after look k = min over the looks so far of (number of planned looks) * p at that look.
    A minimum of L valid p values, times L, is valid by the union bound; so the claim may be judged
    after any look and the first decision stands. A look that is not reached adds nothing.

    Args:
        criterion: gives margin, kind, quantifier and looks.
        effects_XTS: shape (..., T, S), seeds in registered order.
        size_XT: shape (..., T), see ``spread_is_rounding``.

    Returns:
        Shape (..., L, W), falling along L.

    Source: decision 0041, looks first, then Holm.

    >>> one = Criterion(claim="c", tasks=("a",), margin=0.0, because="x", unit="nats")
    >>> effects, size = np.array([[0.4, 0.5, 0.6, 0.5, 0.4]]), np.array([0.6])
    >>> sequential_p_values(one, effects, size)[:, 0].round(4)  # looks at 3, 5, 7 and 10
    array([0.0261, 0.0004, 0.0004, 0.0004])
    """
    looks = criterion.plan.looks
    p_XLW = np.ones((*effects_XTS.shape[:-2], len(looks), len(DECIDING)))
    for k, seeds in enumerate(looks):
        if seeds > effects_XTS.shape[-1]:
            break
        p_XTW = task_p_values(criterion, effects_XTS[..., :seeds], size_XT)
        for w, word in enumerate(DECIDING):
            p_X = partial_conjunction(p_XTW[..., w], criterion.needed_for(word))
            p_XLW[..., k, w] = np.minimum(1.0, len(looks) * p_X)
    return np.minimum.accumulate(p_XLW, axis=-2)


def holm(p_XC: Floats) -> Floats:
    """Holm's adjusted p values: rejecting those <= rate bounds the chance of any false rejection.

    Sorted, adjusted_(i) = max over j <= i of min(1, (C - j + 1) p_(j)).

    Args:
        p_XC: shape (..., C), one p for each claim.

    Returns:
        Shape (..., C), in the order of the claims.

    Source: Holm 1979.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    claims = p_XC.shape[-1]
    order_XC = np.argsort(p_XC, axis=-1)
    stepped_XC = np.take_along_axis(p_XC, order_XC, axis=-1) * np.arange(claims, 0, -1)
    adjusted_XC = np.empty_like(p_XC)
    climbing_XC = np.minimum(1.0, np.maximum.accumulate(stepped_XC, axis=-1))
    np.put_along_axis(adjusted_XC, order_XC, climbing_XC, axis=-1)
    return adjusted_XC
