"""What a number of seeds buys: the effect that it can show of each claim, and whether the paper's is one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdcheck.claims import Claim
from kdcheck.errors import EvidenceError
from kdcheck.evidence.judged import Judged
from kdcheck.study.judging import criterion_of
from kdcheck.study.scale import Scale
from kdcheck.verdict.resolution import resolution
from kdcheck.verdict.words import REGIONS, Word

SEEDS = (3, 5, 7, 10)
"""Numbers of seeds that are compared."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What was seen of a claim, as far as it says what a number of seeds can show of it."""

    claim: str
    unit: str
    margin: float
    spread: float
    """Standard deviation over seeds, on the task where it is widest."""
    smallest: Mapping[int, float | None]
    """By number of seeds: how far beyond the margin an effect must lie to be shown with power 80 %."""


def spreads_of(claims: Iterable[Judged]) -> list[Spread]:
    """The spreads of judged claims.

    Raises:
        EvidenceError: no claim was judged on two seeds or more.
    """
    found = [each for judged in claims if (each := resolution(judged.verdict, SEEDS))]
    if not found:
        got, wanted = "no claim with two seeds", "at least one"
        step = "Run pytest claims/ on that store first, or leave --store out."
        raise EvidenceError("plan", got, wanted, step)
    return [
        Spread(
            claim=each.claim,
            unit=each.unit,
            margin=each.margin,
            spread=each.spread,
            smallest=each.smallest,
        )
        for each in found
    ]


def to_json(spreads: Sequence[Spread]) -> str:
    """Spreads as a file keeps them, a claim a line."""
    return "[\n" + ",\n".join(json.dumps(asdict(each)) for each in spreads) + "\n]\n"


def read(path: Path) -> list[Spread]:
    """The spreads that :func:`to_json` wrote."""
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return [
        Spread(**row | {"smallest": {int(n): far for n, far in row["smallest"].items()}})
        for row in rows
    ]


def of_claim(claim: Claim, spreads: Iterable[Spread]) -> Spread | None:
    """The spread of a claim, unless it was judged by another margin or in another unit."""
    now = (claim.id, claim.margin.unit, claim.margin.size)
    same = (each for each in spreads if (each.claim, each.unit, each.margin) == now)
    return next(same, None)


def printed_distance(claim: Claim, scale: Scale) -> float | None:
    """How far beyond the margin the paper's own figures lie, on as many tasks as the claim needs.

    None where the paper prints too little of it; negative where its figures do not bear it out.
    """
    values = claim.in_paper()
    if not set(scale.tasks) <= set(values):
        return None
    criterion = criterion_of(claim, scale)
    effects = [values[task] for task in scale.tasks]
    if criterion.holds == "average":
        effects = [sum(effects) / len(effects)]
    halves = REGIONS[criterion.direction][Word.SUPPORTED].halves
    beyond = [min(s * (effect - t * criterion.margin) for s, t in halves) for effect in effects]
    return sorted(beyond, reverse=True)[criterion.needed - 1]


def shown(claims: Mapping[str, tuple[Spread | None, float | None]]) -> dict[int, int]:
    """By number of seeds, of how many claims the paper's own effect could be shown with power 80 %.

    Args:
        claims: by id, what was seen of a claim and how far beyond its margin the paper's figures lie.
    """
    return {
        n: sum(
            spread is not None
            and distance is not None
            and (far := spread.smallest[n]) is not None
            and far <= distance
            for spread, distance in claims.values()
        )
        for n in SEEDS
    }
