"""Checks of what appendix A.3 says about its tables beside those of section 4."""

from __future__ import annotations

from itertools import combinations

from kdcheck.paper.audit.accuracy import accuracy_gaps
from kdcheck.paper.audit.entropy import entropy_gaps
from kdcheck.paper.audit.finding import (
    FAILS,
    HOLDS,
    SUSPICIOUS,
    Gap,
    Judgement,
    cells_of,
    decides,
    listed,
    signed,
)
from kdcheck.paper.tables import TASKS, Tables

Pair = tuple[Gap, Gap]


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def changes_of_sign(tables: Tables, before: int, after: int) -> tuple[int, list[Pair]]:
    """Compare all methods of a table with each other, task by task, and again in its twin.

    Source: Tables 2 to 5 beside 8 to 11.

    >>> from kdcheck.paper import load_tables
    >>> total, flips = changes_of_sign(load_tables(), 4, 10)
    >>> total, len(flips)
    (12, 0)
    """
    old, new = tables.table(before), tables.table(after)
    pairs = [
        tuple(Gap(first=t.cell(first, task), second=t.cell(second, task)) for t in (old, new))
        for second, first in combinations(old.cells, 2)
        for task in TASKS
    ]
    flips = [(a, b) for a, b in pairs if _sign(a.value) != _sign(b.value)]
    return len(pairs), flips


def _agreement(tables: Tables, before: int, after: int) -> Judgement:
    total, flips = changes_of_sign(tables, before, after)
    # A change of sign is excused neither by "very similar" nor by "unchanged"; half of them
    # changed leaves no similarity at all.
    changed = SUSPICIOUS if 2 * len(flips) < total else FAILS
    return Judgement(
        outcome=changed if flips else HOLDS,
        by_how_much=f"{total - len(flips)} of {total} comparisons keep their sign",
        margin=float(-len(flips)),
        unit="comparisons changed",
        cells=cells_of(gap for pair in flips for gap in pair),
        details=tuple(f"{a}, then {signed(b.value, b.first.unit)}" for a, b in flips),
    )


@decides("a3_entropy_smaller")
def _a3_entropy_smaller(tables: Tables) -> Judgement:
    return _agreement(tables, 2, 8)


@decides("a3_accuracy_smaller")
def _a3_accuracy_smaller(tables: Tables) -> Judgement:
    return _agreement(tables, 3, 9)


@decides("a3_entropy_larger")
def _a3_entropy_larger(tables: Tables) -> Judgement:
    return _agreement(tables, 4, 10)


@decides("a3_accuracy_larger")
def _a3_accuracy_larger(tables: Tables) -> Judgement:
    return _agreement(tables, 5, 11)


@decides("a3_standard_and_self_kd")
def _a3_standard_and_self_kd(tables: Tables) -> Judgement:
    pairs: list[Pair] = []
    for gaps in (entropy_gaps, accuracy_gaps):
        both = (gaps(tables, "self_kd", "standard_kd", "smaller", tuned=t) for t in (False, True))
        pairs += zip(*both, strict=True)
    flips = [(a, b) for a, b in pairs if _sign(a.value) != _sign(b.value)]
    kept = len(pairs) - len(flips)
    # "Generally" is read as in more than half of the comparisons.
    return Judgement(
        outcome=HOLDS if 2 * kept > len(pairs) else FAILS,
        by_how_much=f"{kept} of {len(pairs)} keep their sign; changed: "
        f"{listed(f'Table {g.first.table} {g}' for pair in flips for g in pair)}",
        margin=kept - len(pairs) / 2,
        unit="comparisons beyond half",
        cells=cells_of(gap for pair in flips for gap in pair),
    )


# Counts of section 4: in words, the gaps, and on how many of them the first is above the second.
COUNTS = (
    ("LS raises entropy on all", entropy_gaps, [("ls", "erm", "smaller"), ("ls", "erm", "larger")], 8),
    ("KD lowers entropy on all but one", entropy_gaps, [("erm", "standard_kd", "smaller"), ("erm", "self_kd", "smaller")], 7),
    ("standard KD surer than self-KD on all", entropy_gaps, [("self_kd", "standard_kd", "smaller")], 4),
    ("reverse KD raises entropy on three", entropy_gaps, [("reverse_kd", "erm", "larger")], 3),
    ("LS less accurate than ERM on three", accuracy_gaps, [("erm", "ls", "smaller")], 3),
    ("KD more accurate than LS on six", accuracy_gaps, [("standard_kd", "ls", "smaller"), ("self_kd", "ls", "smaller")], 6),
    ("self-KD more accurate than standard KD on three", accuracy_gaps, [("self_kd", "standard_kd", "smaller")], 3),
    ("KD more accurate than ERM on all", accuracy_gaps, [("standard_kd", "erm", "smaller"), ("self_kd", "erm", "smaller")], 8),
)  # fmt: skip


@decides("a3_findings_hold")
def _a3_findings_hold(tables: Tables) -> Judgement:
    lost: list[Gap] = []
    details = []
    for words, figures, contrasts, wanted in COUNTS:
        gaps = [g for contrast in contrasts for g in figures(tables, *contrast, tuned=True)]
        against = [g for g in gaps if g.value <= 0]
        if len(gaps) - len(against) < wanted:
            lost += against
            kept = len(gaps) - len(against)
            details.append(f"{words}: {kept} of {len(gaps)}, not {listed(against)}")
    return Judgement(
        outcome=FAILS if details else HOLDS,
        by_how_much=f"{len(COUNTS) - len(details)} of {len(COUNTS)} counts of section 4 are kept",
        margin=float(-len(details)),
        unit="counts lost",
        cells=cells_of(lost),
        details=tuple(details),
    )
