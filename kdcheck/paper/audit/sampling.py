"""Sampling error of accuracies measured on one test set, from counts alone.

The paper gives no paired predictions, so two bounds enclose what a paired test would say: binomial
errors of two independent test sets, which is wider whenever two models err on the same examples;
and McNemar's exact test if not one example went against the gain, which no pairing can better.
"""

from __future__ import annotations

import math
from dataclasses import replace

from kdcheck.paper.audit.comparing import Comparison, Source, cells_of, compare
from kdcheck.paper.audit.finding import FAILS, HOLDS, SUSPICIOUS, Outcome
from kdcheck.paper.statements.accuracies import reverse_kd_clearly_beats_ls
from kdcheck.paper.statements.statement import Statement
from kdcheck.paper.tables import Tables

Z_95 = 1.959964
"""Two-sided 95 % point of the normal."""
LEAST_DISCORDANT = 6
"""Fewest discordant examples, all one way, with an exact two-sided p below .05: 2 / 2^6 = .031."""


def unpaired_half_width(seen: Comparison, tables: Tables) -> float:
    """95 % half-width of a difference of accuracies, as if from two test sets, in points.

    1.96 sqrt((a (1 - a) + b (1 - b)) / n), with n from Table 6.
    """
    variance = sum(cell.value / 100 * (1 - cell.value / 100) for cell in seen.cells)
    return 100 * Z_95 * math.sqrt(variance / _examples(seen, tables))


def paired_least(seen: Comparison, tables: Tables) -> float:
    """Smallest gain that McNemar's exact test could call significant at all, in points: 6 / n."""
    return 100 * LEAST_DISCORDANT / _examples(seen, tables)


def beyond_unpaired(seen: Comparison, tables: Tables) -> bool:
    """Whether even the smallest gap that prints like this one exceeds the unpaired half-width."""
    return abs(seen.value) - _rounding(seen) > unpaired_half_width(seen, tables)


def beyond_paired_least(seen: Comparison, tables: Tables) -> bool:
    """Whether the largest gap that prints like this one can be significant under some pairing."""
    return abs(seen.value) + _rounding(seen) >= paired_least(seen, tables)


def _rounding(seen: Comparison) -> float:
    return (seen.high - seen.low) / 2


def _examples(seen: Comparison, tables: Tables) -> float:
    return tables.table(6).cell(seen.task, "test").value


def beyond_sampling(said: Statement, source: Source) -> Outcome:
    """Does every difference of a statement exceed the sampling error of its test set?"""
    tables = source.tables
    seen = [c for each in said.contrasts().values() for c in compare(each, source, said.unit)]
    clear = [c for c in seen if beyond_unpaired(c, tables)]
    never = [c for c in seen if not beyond_paired_least(c, tables)]
    between = [c for c in seen if c not in clear and c not in never]
    return Outcome(
        outcome=HOLDS if len(clear) == len(seen) else SUSPICIOUS,
        by_how_much=f"{len(clear)} of {len(seen)} exceed the unpaired 95 % half-width, "
        f"{len(between)} would need a favourable pairing, {len(never)} are significant under none",
        margin=float(len(clear) - len(seen)),
        unit="differences short of all",
        cells=cells_of(c for c in seen if c not in clear),
        details=tuple(
            f"{word}: {c}, unpaired ±{unpaired_half_width(c, tables):.1f}, paired at least "
            f"{paired_least(c, tables):.2f}"
            for word, some in (("exceeds", clear), ("may", between), ("cannot", never))
            for c in some
        ),
    )


def clearly_beats_ls(source: Source) -> Outcome:
    """Is reverse KD ahead on every task, and beyond its sampling error?"""
    ahead = all(c.value > 0 for c in compare(reverse_kd_clearly_beats_ls(), source, "points"))
    found = beyond_sampling(reverse_kd_clearly_beats_ls, source)
    return found if ahead else replace(found, outcome=FAILS)
