"""The spread of like claims: a small variance is raised towards those of its class, none is lowered.

A class is what is measured in one unit: the variances over seeds of its claims on their tasks.
"""

# X = any leading axes, V = variances of a class, T = tasks

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEWEST = 5
"""A class of fewer variances is left alone: they say too little of what is usual."""
MOST = 20.0
"""A class counts for so many degrees of freedom at most, however alike its variances are."""


class Prior(NamedTuple):
    """What a class says of a variance: a usual value, and for how many degrees of freedom it counts.

    >>> Prior(4.0, 1.0).df
    4.0
    """

    df: Floats | float
    """Shape X; 0 where the class says nothing."""
    variance: Floats | float
    """Shape X, in the square of the class's unit."""


NO_PRIOR = Prior(0.0, 0.0)
Rule = Callable[[Floats, int, Prior], tuple[Floats, Floats]]
"""From variances, their df and a prior to the variances and df that are judged by."""


def class_prior(variances_XV: Floats, df: int) -> Prior:
    """The scaled inverse chi-square prior that fits the variances of a class, by moments of their logs.

    log s^2 of normal values has the variance trigamma(df / 2); what the class shows beyond that is
    true spread, and the prior's df is where trigamma(df0 / 2) equals it.

    Args:
        variances_XV: shape (..., V), NaN where there is none.
        df: degrees of freedom of each.

    Returns:
        Parts of shape X; no degrees of freedom where fewer than ``FEWEST`` variances are there.

    Source: Smyth 2004, on the estimation of hyperparameters.

    >>> rng = np.random.default_rng(1)
    >>> alike = rng.standard_normal((100, 5)).var(axis=-1, ddof=1)
    >>> unlike = alike * rng.choice([1.0, 100.0], size=100)
    >>> [round(float(class_prior(each, 4).df), 1) for each in (alike, unlike)]
    [20.0, 1.0]
    """
    from scipy.special import digamma, polygamma

    # Sorted, so that the order of claims does not change the last bits of a sum.
    variances_XV = np.sort(variances_XV, axis=-1)
    known_XV = np.isfinite(variances_XV) & (variances_XV > 0)
    count_X = np.maximum(known_XV.sum(axis=-1), 2)
    log_XV = np.where(known_XV, np.log(np.where(known_XV, variances_XV, 1.0)), 0.0)
    mean_X = log_XV.sum(axis=-1) / count_X
    apart_XV = np.where(known_XV, log_XV - mean_X[..., None], 0.0)
    beyond_X = (apart_XV**2).sum(axis=-1) / (count_X - 1) - polygamma(1, df / 2)
    least = float(polygamma(1, MOST / 2))
    df_X = np.where(beyond_X > least, 2 * _trigamma_inverse(np.maximum(beyond_X, least)), MOST)
    # The mean of log s^2 is that of log sigma^2 plus digamma(df / 2) - log(df / 2); so with the prior.
    shift_X = np.log(df / 2) - digamma(df / 2) + digamma(df_X / 2) - np.log(df_X / 2)
    enough_X = known_XV.sum(axis=-1) >= FEWEST
    return Prior(np.where(enough_X, df_X, 0.0), np.where(enough_X, np.exp(mean_X + shift_X), 0.0))


def _trigamma_inverse(values_X: Floats) -> Floats:
    """Newton's method on 1 / trigamma, which is nearly linear (Smyth 2004)."""
    from scipy.special import polygamma

    found_X = 0.5 + 1 / values_X
    for _ in range(8):
        trigamma_X = polygamma(1, found_X)
        found_X = found_X + trigamma_X * (1 - trigamma_X / values_X) / polygamma(2, found_X)
    return np.asarray(found_X)


def raised(variances_XT: Floats, df: int, prior: Prior) -> tuple[Floats, Floats]:
    """Variances beside their class: (df0 s0^2 + df s^2) / (df0 + df), where that is larger than s^2.

    Args:
        variances_XT: shape (..., T).
        df: degrees of freedom of each.
        prior: of their class, its parts of shape X.

    Returns:
        Two arrays of shape (..., T): variances, and the degrees of freedom that they count for.

    Source: Smyth 2004, but never lowered: decision 0100.

    >>> raised(np.array([1.0, 9.0]), 4, Prior(4.0, 3.0))
    (array([2., 9.]), array([8., 8.]))
    """
    moderated_XT, total_XT = moderated(variances_XT, df, prior)
    return np.maximum(moderated_XT, variances_XT), total_XT


def moderated(variances_XT: Floats, df: int, prior: Prior) -> tuple[Floats, Floats]:
    """The same, lowered too where they are large: Smyth's own rule, which decides no verdict here.

    >>> moderated(np.array([1.0, 9.0]), 4, Prior(4.0, 3.0))[0].tolist()
    [2.0, 6.0]
    """
    prior_df_X1, prior_X1 = (np.asarray(part)[..., None] for part in prior)
    total_XT = np.broadcast_to(prior_df_X1 + float(df), variances_XT.shape)
    return (prior_df_X1 * prior_X1 + df * variances_XT) / total_XT, total_XT
