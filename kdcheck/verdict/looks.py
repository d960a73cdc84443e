"""From the measurements of a family to p values at each planned look, beside the spread of its like."""

# X = any leading axes, C = claims, T = tasks or their mean, S = seeds, L = looks, V = variances,
# W = words: SUPPORTED, REFUTED, EQUIVALENT

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kdcheck.verdict.criterion import Criterion, Plan
from kdcheck.verdict.guards import Arrays
from kdcheck.verdict.p_values import (
    Sample,
    claim_p_values,
    sample_of,
    spread_is_rounding,
)
from kdcheck.verdict.spread import NO_PRIOR, Floats, Prior, Rule, class_prior, raised
from kdcheck.verdict.words import DECIDING

Kind = tuple[str, bool]
"""What makes variances alike: the unit, and whether they are of means over tasks."""


class Evidence(NamedTuple):
    """What the looks say of a family, and the price of looks paid."""

    p: Floats
    """Shape (..., C, L, W): beside the spread of like claims, falling along L."""
    own: Floats
    """The same from each claim's own spread alone."""
    priors: list[list[Prior]]
    """Per claim and look, what its class said; ``NO_PRIOR`` at a look that it does not reach."""


def parts_of(criterion: Criterion, effects_XTS: Floats) -> Floats:
    """The effects that the quantifier chooses among: those of each task, or their mean over tasks.

    >>> one = Criterion(claim="c", tasks=("a", "b"), margin=0, because="x", unit="nats",
    ...                 holds="average")
    >>> parts_of(one, np.array([[1.0, 2.0], [3.0, 6.0]])).tolist()
    [[2.0, 4.0]]
    """
    return effects_XTS.mean(axis=-2, keepdims=True) if criterion.holds == "average" else effects_XTS


def size_of_parts(criterion: Criterion, size_XT: Floats) -> Floats:
    """Magnitude of the figures behind them, see ``spread_is_rounding``."""
    return size_XT.max(axis=-1, keepdims=True) if criterion.holds == "average" else size_XT


def kind_of(criterion: Criterion) -> Kind:
    """Its class: see ``Kind``."""
    return criterion.unit, criterion.holds == "average" and len(criterion.tasks) > 1


def look_at(
    criteria: Sequence[Criterion],
    arrays: Sequence[Arrays | None],
    plan: Plan,
    rule: Rule = raised,
) -> Evidence:
    """The p values of a family at every look that is reached; 1 before, and for what cannot be judged.

    p after look k = min over the looks so far of p / (the look's share). By the union bound that is
    valid however the looks depend, so a claim may be judged after any look and the first decision
    stands. A claim that gets no more seeds takes no part in the classes of later looks.

    Args:
        criteria: the family's.
        arrays: as many; None for a claim that cannot be judged. Leading axes, if any, are
            replications of the whole family (``calibrate``).
        plan: the family's.
        rule: how a variance stands beside its class; another one is for ``candidates`` alone.
    """
    shape = next((a.effects.shape[:-2] for a in arrays if a is not None), ())
    p_CLXW = np.ones((len(criteria), len(plan.looks), *shape, len(DECIDING)))
    own_CLXW = p_CLXW.copy()
    priors = [[NO_PRIOR] * len(plan.looks) for _ in criteria]
    for k, (seeds, weight) in enumerate(zip(plan.looks, plan.weights, strict=True)):
        reached = {
            c: claim
            for c, claim in enumerate(arrays)
            if claim is not None and claim.effects.shape[-1] >= seeds
        }
        at_look = {c: _parts(criteria[c], claim, seeds) for c, claim in reached.items()}
        by_kind = _priors({c: (kind_of(criteria[c]), *part) for c, part in at_look.items()})
        for c, (effects_XTS, size_XT) in at_look.items():
            priors[c][k] = by_kind[kind_of(criteria[c])]
            beside = sample_of(effects_XTS, size_XT, priors[c][k], rule)
            alone = sample_of(effects_XTS, size_XT)
            p_CLXW[c, k] = _priced(criteria[c], beside, weight)
            own_CLXW[c, k] = _priced(criteria[c], alone, weight)
    p, own = (
        np.moveaxis(np.minimum.accumulate(each, axis=1), (0, 1), (-3, -2))
        for each in (p_CLXW, own_CLXW)
    )
    return Evidence(p, own, priors)


def _parts(criterion: Criterion, claim: Arrays, seeds: int) -> tuple[Floats, Floats]:
    effects_XTS = parts_of(criterion, claim.effects[..., :seeds])
    return effects_XTS, size_of_parts(criterion, claim.size)


def _priors(at_look: dict[int, tuple[Kind, Floats, Floats]]) -> dict[Kind, Prior]:
    """Per class, its prior at a look; differences that are all equal say nothing of spread."""
    variances: dict[Kind, list[Floats]] = {}
    seeds = 2
    for kind, effects_XTS, size_XT in at_look.values():
        seeds = effects_XTS.shape[-1]
        equal_XT = spread_is_rounding(effects_XTS, size_XT)
        found_XT = np.where(equal_XT, np.nan, effects_XTS.var(axis=-1, ddof=1))
        variances.setdefault(kind, []).append(found_XT)
    return {
        kind: class_prior(np.concatenate(found, axis=-1), seeds - 1)
        for kind, found in variances.items()
    }


def _priced(criterion: Criterion, sample: Sample, weight: float) -> Floats:
    # Bounded before the division: a share may be so small that a quotient overflows.
    return np.minimum(claim_p_values(criterion, sample), weight) / weight
