"""Ways around the error rate, simulated: what each gains without a lock, and what is left under one.

All claims are null, so every SUPPORTED is false. Without a lock each board is judged as if it were all
there is; under one a word counts if it is CONFIRMATORY.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kdcheck.verdict.calibration import (
    SEEDS,
    check_numbers,
    null_effects,
    null_family,
    simulate,
)
from kdcheck.verdict.criterion import Criterion, Plan
from kdcheck.verdict.family import settle
from kdcheck.verdict.guards import Arrays
from kdcheck.verdict.looks import look_at
from kdcheck.verdict.p_values import Bools
from kdcheck.verdict.words import DECIDING, Word

SUPPORTED = DECIDING.index(Word.SUPPORTED)
ROLLS = 10
"""How often settings are changed and run again."""
ROUTES = 6
"""How many ways there are in the table."""
FIRST = Plan()


@dataclass(frozen=True, kw_only=True)
class Route:
    """Shares of families in which some claim is SUPPORTED by mistake."""

    name: str
    without: float
    """Where nothing is registered."""
    under: float
    """Under a lock, CONFIRMATORY words alone."""
    how: str
    """What the lock makes of it."""


Family = tuple[Sequence[Criterion], Sequence[Arrays]]


def routes(*, families: int, claims: int, seed: int) -> Iterator[Route]:
    """Each way around, one after the other.

    Raises:
        InputError: numbers with which nothing can be simulated.
    """
    check_numbers(families, claims, seed)
    rng = np.random.default_rng([seed, 0])
    family = _drawn(families, claims, rng)
    honest = _any(_shown(family, FIRST))
    yield Route(
        name="none: one board of the whole family", without=honest, under=honest, how="CONFIRMATORY"
    )
    alone_FC = np.concatenate([_shown(_part(family, [c]), FIRST) for c in range(claims)], axis=1)
    yield Route(
        name="a renamed scale with one claim in it",
        without=_any(alone_FC),
        under=honest,
        how="the family is known by its content: all its claims are paid for",
    )
    yield Route(
        name="a board after each -k run",
        without=_any(_boards_so_far(family)),
        under=honest,
        how="claims that were not run are paid for",
    )
    yield Route(
        name="claims deleted while undecided, down to one",
        without=_any(_down_to_one(family)),
        under=honest,
        how="the family stays as registered",
    )
    late = _drawn(families, claims, np.random.default_rng([seed, 1]))
    yield Route(
        name="as many claims added late, three at a time",
        without=_any(_added(family, late)),
        under=honest,
        how="what was added is EXPLORATORY",
    )
    yield _rerolled(families, claims, seed)


def _rerolled(families: int, claims: int, seed: int) -> Route:
    without_F = under_F = np.zeros(families, dtype=bool)
    for roll in range(ROLLS):
        family = _drawn(families, claims, np.random.default_rng([seed, 2, roll]))
        without_F = without_F | _shown(family, FIRST).any(axis=1)
        # The rates of later attempts are smaller, the evidence is the same.
        under_F = under_F | _shown(family, replace(FIRST, attempt=roll + 1)).any(axis=1)
    return Route(
        name=f"settings changed and run again, {ROLLS} times",
        without=float(without_F.mean()),
        under=float(under_F.mean()),
        how="numbered attempts, each at a tenth of the rate before it",
    )


def _drawn(families: int, claims: int, rng: np.random.Generator) -> Family:
    criteria = null_family(claims, "zero", FIRST)
    arrays = simulate(
        SEEDS["normal"], criteria, lambda c: null_effects(c, "zero"), families=families, rng=rng
    )
    return criteria, arrays


def _part(family: Family, places: Sequence[int]) -> Family:
    criteria, arrays = family
    return [criteria[c] for c in places], [arrays[c] for c in places]


def _shown(family: Family, plan: Plan) -> Bools:
    """Which claims are SUPPORTED, judged as a family of their own: shape (F, C)."""
    criteria, arrays = family
    return np.asarray(settle(look_at(criteria, arrays, plan), plan).words == SUPPORTED)


def _any(shown_FC: Bools) -> float:
    return float(shown_FC.any(axis=1).mean())


def _boards_so_far(family: Family) -> Bools:
    """Claims shown on any board of those that grow by one claim at a time."""
    shown_FC = np.zeros((len(family[1][0].effects), len(family[0])), dtype=bool)
    for count in range(1, len(family[0]) + 1):
        shown_FC[:, :count] |= _shown(_part(family, range(count)), FIRST)
    return shown_FC


def _down_to_one(family: Family) -> Bools:
    """The most promising claim, where all the others were deleted: shape (F, 1)."""
    evidence = look_at(*family, FIRST)
    p_FC, own_FC = (each[..., -1, SUPPORTED] for each in (evidence.p, evidence.own))
    best_F1 = p_FC.argmin(axis=1)[:, None]
    paid_F1 = np.maximum(*(np.take_along_axis(each, best_F1, axis=1) for each in (p_FC, own_FC)))
    return np.asarray(paid_F1 <= FIRST.rate(Word.SUPPORTED))


def _added(family: Family, late: Family) -> Bools:
    """Claims shown on a board whose family grows by claims that were made up on the way."""
    count = len(family[0])
    later = [replace(criterion, claim=f"late {criterion.claim}") for criterion in late[0]]
    both = [*family[0], *later], [*family[1], *late[1]]
    shown_FC = np.zeros((len(family[1][0].effects), 2 * count), dtype=bool)
    for size in range(count, 2 * count + 1, 3):
        shown_FC[:, :size] |= _shown(_part(both, range(size)), FIRST)
    return shown_FC
