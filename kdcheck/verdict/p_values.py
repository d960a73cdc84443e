"""p values: one task, across tasks, over a family; all vectorised over leading axes.

One code path serves a single claim (no leading axes) and ``kdcheck calibrate`` (thousands).
"""

# X = any leading axes, T = tasks, S = seeds, C = claims of a family,
# W = words: SUPPORTED, REFUTED, EQUIVALENT

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.spread import NO_PRIOR, Floats, Prior, Rule, raised
from kdcheck.verdict.words import DECIDING, REGIONS, Region

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


class Sample(NamedTuple):
    """What a t test needs of the paired differences of one task."""

    mean: Floats
    error: Floats
    """Standard error of the mean; NaN where the spread is rounding."""
    df: Floats
    """Degrees of freedom of the error."""


def sample_of(
    effects_XTS: Floats, size_XT: Floats, prior: Prior = NO_PRIOR, rule: Rule = raised
) -> Sample:
    """Mean, standard error sqrt(variance / S) and degrees of freedom of each task's differences.

    Args:
        effects_XTS: shape (..., T, S), S >= 2, paired differences.
        size_XT: see ``spread_is_rounding``. Without spread scipy would say p = 0.
        prior: of their class; none leaves the variance as it is, with S - 1 degrees of freedom.
        rule: how a variance stands beside its class; another one is for ``candidates`` alone.

    Returns:
        Parts of shape (..., T).

    Source: Student 1908; decision 0100 for the prior.

    >>> sample = sample_of(np.array([[0.4, 0.5, 0.6]]), np.array([0.6]))
    >>> sample.mean.round(3).tolist(), sample.error.round(4).tolist(), sample.df.tolist()
    ([0.5], [0.0577], [2.0])
    """
    seeds = effects_XTS.shape[-1]
    variance_XT, df_XT = rule(effects_XTS.var(axis=-1, ddof=1), seeds - 1, prior)
    judged_XT = np.isfinite(variance_XT) & ~spread_is_rounding(effects_XTS, size_XT)
    error_XT = np.where(judged_XT, np.sqrt(variance_XT / seeds), np.nan)
    return Sample(effects_XTS.mean(axis=-1), error_XT, df_XT)


def t_p_value(sample: Sample, sign: int, threshold: float) -> Floats:
    """One-sided one-sample t: p of the null ``sign * (mean - threshold) <= 0``.

    p = F_df(-sign * (mean - threshold) / error), F Student's distribution function.

    Args:
        sample: mean, error and degrees of freedom, each of shape (..., T).
        sign: +1 to show an effect above the threshold, -1 below.
        threshold: in the unit of the effects.

    Returns:
        Shape (..., T); 1 where there is no error to judge by.

    Source: Student 1908.

    >>> sample = sample_of(np.array([[0.4, 0.5, 0.6]]), np.array([0.6]))
    >>> t_p_value(sample, 1, 0.0).round(6).tolist()
    [0.006536]
    """
    from scipy.special import stdtr

    judged_X = np.isfinite(sample.error)
    distance_X = sign * (sample.mean - threshold)
    t_X = np.divide(distance_X, sample.error, out=np.zeros_like(sample.error), where=judged_X)
    return np.where(judged_X, stdtr(sample.df, -t_X), 1.0)


def region_p_value(sample: Sample, region: Region, margin: float) -> Floats:
    """The p of the null that the effect lies outside a region.

    "and": the larger p (for -margin..margin this is TOST); "or": Bonferroni, twice the smaller.

    Args:
        sample: mean, error and degrees of freedom, each of shape (..., T).
        region: where the effect is to be shown.
        margin: in the unit of the effects.

    Returns:
        Shape (..., T).

    Source: Schuirmann 1987 for TOST; Berger 1982 for intersection-union tests.

    >>> within = Region(((1, -1), (-1, 1)), "and")
    >>> sample = sample_of(np.array([[0.01, -0.02, 0.0]]), np.array([0.02]))
    >>> region_p_value(sample, within, 0.1).round(4).tolist()
    [0.0041]
    """
    p_HX = np.stack([t_p_value(sample, sign, times * margin) for sign, times in region.halves])
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


def task_p_values(criterion: Criterion, sample: Sample) -> Floats:
    """The p of each task for each word: no price for looks or family.

    Args:
        criterion: gives margin and kind.
        sample: mean, error and degrees of freedom, each of shape (..., T).

    Returns:
        Shape (..., T, W); 1 for a word that this kind of claim does not use.

    Source: decision 0040, what the words of a verdict mean.

    >>> one = Criterion(claim="c", tasks=("a",), margin=0.1, because="x", unit="nats")
    >>> sample = sample_of(np.array([[0.4, 0.5, 0.6]]), np.array([0.6]))
    >>> dict(zip(DECIDING, task_p_values(one, sample)[0].round(4).tolist()))["SUPPORTED"]
    0.0101
    """
    regions = REGIONS[criterion.direction]
    return np.stack(
        [
            region_p_value(sample, regions[word], criterion.margin)
            if word in regions
            else np.ones(sample.mean.shape)
            for word in DECIDING
        ],
        axis=-1,
    )


def claim_p_values(criterion: Criterion, sample: Sample) -> Floats:
    """The p of a claim for each word at one look: over tasks its own quantifier.

    Args:
        criterion: gives margin, kind and quantifier.
        sample: of its parts: of each task, or of the mean over tasks.

    Returns:
        Shape (..., W).

    Source: Benjamini and Heller 2008.

    >>> one = Criterion(claim="c", tasks=("a", "b"), margin=0.0, because="x", unit="nats")
    >>> effects = np.array([[0.4, 0.5, 0.6], [0.1, 0.5, 0.3]])
    >>> claim_p_values(one, sample_of(effects, np.array([0.6, 0.5])))[0].round(3).item()
    0.061
    """
    p_XTW = task_p_values(criterion, sample)
    return np.stack(
        [
            partial_conjunction(p_XTW[..., w], criterion.needed_for(word))
            for w, word in enumerate(DECIDING)
        ],
        axis=-1,
    )


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
