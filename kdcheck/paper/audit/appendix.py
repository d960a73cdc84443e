"""Checks of what appendix A.3 says about its tables beside those of section 4."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

from kdcheck.claims.arm import Arm
from kdcheck.claims.contrast import Contrast
from kdcheck.paper.arms import accuracy, entropy, tuned
from kdcheck.paper.audit.comparing import Comparison, Source, agrees, cells_of, compare
from kdcheck.paper.audit.finding import FAILS, HOLDS, SUSPICIOUS, Outcome, signed
from kdcheck.paper.publication import LARGER, SMALLER
from kdcheck.paper.statements import accuracies, entropies

Pair = tuple[Comparison, Comparison]
FINDINGS = (
    entropies.ls_raises_entropy,
    entropies.standard_kd_lowers_entropy,
    entropies.self_kd_lowers_entropy,
    entropies.standard_kd_is_surer_than_self_kd,
    entropies.reverse_kd_raises_entropy,
    accuracies.ls_lags_erm,
    accuracies.kd_beats_ls,
    accuracies.self_kd_beats_standard_kd,
    accuracies.kd_beats_erm,
)
"""The counts of section 4: on how many tasks of all its cases a contrast is as claimed."""


def changes_of_sign(
    contrasts: Iterable[Contrast], source: Source, unit: str
) -> tuple[int, list[Pair]]:
    """How many comparisons there are in section 4, and those whose sign is another in A.3."""
    pairs = [
        pair
        for each in contrasts
        for pair in zip(
            compare(each, source, unit), compare(tuned(each), source, unit), strict=True
        )
    ]
    return len(pairs), [(a, b) for a, b in pairs if _sign(a.value) != _sign(b.value)]


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _then(pair: Pair) -> str:
    before, after = pair
    return f"{before}, then {signed(after.value, after.unit)}"


def trends(
    read: Callable[[Arm], Contrast], row: Sequence[Arm], unit: str
) -> Callable[[Source], Outcome]:
    """A check that all methods compare with each other as they did at temperature 1."""
    contrasts = [read(second) - read(first) for first, second in combinations(row, 2)]

    def check(source: Source) -> Outcome:
        total, flips = changes_of_sign(contrasts, source, unit)
        # A change of sign is excused neither by "very similar" nor by "unchanged"; half of them
        # changed leaves no similarity at all.
        changed = SUSPICIOUS if 2 * len(flips) < total else FAILS
        return Outcome(
            outcome=changed if flips else HOLDS,
            by_how_much=f"{total - len(flips)} of {total} comparisons keep their sign",
            margin=float(-len(flips)),
            unit="comparisons changed",
            cells=cells_of(seen for pair in flips for seen in pair),
            details=tuple(map(_then, flips)),
        )

    return check


entropy_smaller = trends(entropy, SMALLER, "nats")
accuracy_smaller = trends(accuracy, SMALLER, "points")
entropy_larger = trends(entropy, LARGER, "nats")
accuracy_larger = trends(accuracy, LARGER, "points")


def standard_and_self_kd(source: Source) -> Outcome:
    """Do standard and self-KD compare as they did?"""
    total = 0
    flips: list[Pair] = []
    for said in (entropies.standard_kd_is_surer_than_self_kd, accuracies.self_kd_beats_standard_kd):
        count, changed = changes_of_sign([said()], source, said.unit)
        total += count
        flips += changed
    kept = total - len(flips)
    # "Generally" is read as in more than half of the comparisons.
    return Outcome(
        outcome=HOLDS if 2 * kept > total else FAILS,
        by_how_much=f"{kept} of {total} comparisons keep their sign",
        margin=kept - total / 2,
        unit="comparisons beyond half",
        cells=cells_of(seen for pair in flips for seen in pair),
        details=tuple(map(_then, flips)),
    )


def findings_hold(source: Source) -> Outcome:
    """Is each count of section 4 kept?"""
    lost: list[Comparison] = []
    details = []
    for said in FINDINGS:
        before, after = (
            [c for each in said.contrasts().values() for c in compare(of(each), source, said.unit)]
            for of in (_same, tuned)
        )
        wanted = sum(agrees(said, seen) for seen in before)
        against = [seen for seen in after if not agrees(said, seen)]
        kept = len(after) - len(against)
        if kept < wanted:
            lost += against
            not_ = "; ".join(map(str, against))
            details.append(f"{said.id}: {kept} of {len(after)} after {wanted}, not {not_}")
    return Outcome(
        outcome=FAILS if details else HOLDS,
        by_how_much=f"{len(FINDINGS) - len(details)} of {len(FINDINGS)} counts of section 4 are kept",
        margin=float(-len(details)),
        unit="counts lost",
        cells=cells_of(lost),
        details=tuple(details),
    )


def _same(contrast: Contrast) -> Contrast:
    return contrast
