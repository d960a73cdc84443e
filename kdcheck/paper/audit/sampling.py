"""Sampling error of accuracies measured on one test set, from counts alone.

The paper gives no paired predictions, so two bounds enclose what a paired test would say: binomial
errors of two independent test sets, which is wider whenever two models err on the same examples;
and McNemar's exact test if not one example went against the gain, which no pairing can better.
"""

from __future__ import annotations

import math

from kdcheck.paper.audit.finding import (
    HOLDS,
    SUSPICIOUS,
    Gap,
    Judgement,
    cells_of,
    decides,
)
from kdcheck.paper.tables import TASKS, Tables

Z_95 = 1.959964
"""Two-sided 95 % point of the normal."""
LEAST_DISCORDANT = 6
"""Fewest discordant examples, all one way, with an exact two-sided p below .05: 2 / 2^6 = .031."""


def unpaired_half_width(gap: Gap, tables: Tables) -> float:
    """95 % half-width of a difference of accuracies, as if from two test sets, in points.

    1.96 sqrt((a (1 - a) + b (1 - b)) / n).

    Source: binomial; n from Table 6.

    >>> from kdcheck.paper import load_tables
    >>> a, b = (load_tables().accuracy("mrpc", m, "larger", tuned=True) for m in ("reverse_kd", "ls"))
    >>> round(unpaired_half_width(Gap(first=a, second=b), load_tables()), 2)
    2.44
    """
    variance = sum(cell.value / 100 * (1 - cell.value / 100) for cell in gap.cells)
    return 100 * Z_95 * math.sqrt(variance / _examples(gap, tables))


def paired_least(gap: Gap, tables: Tables) -> float:
    """Smallest gain that McNemar's exact test could call significant at all, in points: 6 / n.

    Source: McNemar 1947, discordant examples all one way; n from Table 6.

    >>> from kdcheck.paper import load_tables
    >>> a, b = (load_tables().accuracy("mrpc", m, "larger", tuned=True) for m in ("reverse_kd", "ls"))
    >>> round(paired_least(Gap(first=a, second=b), load_tables()), 2)
    0.35
    """
    return 100 * LEAST_DISCORDANT / _examples(gap, tables)


def beyond_unpaired(gap: Gap, tables: Tables) -> bool:
    """Whether a gap exceeds the unpaired half-width: significant in all likelihood.

    The smallest gap that prints like this one counts.

    Source: see :func:`unpaired_half_width`.

    >>> from kdcheck.paper import load_tables
    >>> a, b = (load_tables().accuracy("qnli", m, "larger") for m in ("reverse_kd", "ls"))
    >>> beyond_unpaired(Gap(first=a, second=b), load_tables())
    True
    """
    return abs(gap.value) - gap.rounding > unpaired_half_width(gap, tables)


def beyond_paired_least(gap: Gap, tables: Tables) -> bool:
    """Whether a gap can be significant under some pairing; otherwise it is under none.

    The largest gap that prints like this one counts.

    Source: see :func:`paired_least`.

    >>> from kdcheck.paper import load_tables
    >>> a, b = (load_tables().accuracy("qnli", m, "smaller") for m in ("erm", "ls"))
    >>> beyond_paired_least(Gap(first=a, second=b), load_tables())
    True
    """
    return abs(gap.value) + gap.rounding >= paired_least(gap, tables)


def _examples(gap: Gap, tables: Tables) -> float:
    return tables.table(6).cell(gap.first.column, "test").value


def _gaps(tables: Tables, pairs: list[tuple[str, str, str]]) -> list[Gap]:
    return [
        Gap(
            first=tables.accuracy(task, first, size, tuned=tuned),
            second=tables.accuracy(task, second, size, tuned=tuned),
        )
        for tuned in (False, True)
        for first, second, size in pairs
        for task in TASKS
    ]


def _judge(gaps: list[Gap], tables: Tables) -> Judgement:
    clear = [g for g in gaps if beyond_unpaired(g, tables)]
    never = [g for g in gaps if not beyond_paired_least(g, tables)]
    between = [g for g in gaps if g not in clear and g not in never]
    return Judgement(
        outcome=HOLDS if len(clear) == len(gaps) else SUSPICIOUS,
        by_how_much=f"{len(clear)} of {len(gaps)} exceed the unpaired 95 % half-width, "
        f"{len(between)} would need a favourable pairing, {len(never)} are significant under none",
        margin=float(len(clear) - len(gaps)),
        unit="differences short of all",
        cells=cells_of(g for g in gaps if g not in clear),
        details=tuple(
            f"{word}: Table {g.first.table} {g} (unpaired ±{unpaired_half_width(g, tables):.1f}, "
            f"paired at least {paired_least(g, tables):.2f})"
            for word, some in (("exceeds", clear), ("may", between), ("cannot", never))
            for g in some
        ),
    )


@decides("kd_over_erm_beyond_sampling")
def _kd_over_erm(tables: Tables) -> Judgement:
    pairs = [("standard_kd", "smaller"), ("self_kd", "smaller"), ("reverse_kd", "larger")]
    return _judge(_gaps(tables, [(kd, "erm", size) for kd, size in pairs]), tables)


@decides("kd_over_ls_beyond_sampling")
def _kd_over_ls(tables: Tables) -> Judgement:
    pairs = [("standard_kd", "smaller"), ("self_kd", "smaller"), ("reverse_kd", "larger")]
    return _judge(_gaps(tables, [(kd, "ls", size) for kd, size in pairs]), tables)


@decides("self_over_standard_beyond_sampling")
def _self_over_standard(tables: Tables) -> Judgement:
    return _judge(_gaps(tables, [("self_kd", "standard_kd", "smaller")]), tables)
