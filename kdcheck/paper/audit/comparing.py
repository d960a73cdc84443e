"""The uniform check: a statement's contrast evaluated on the tables, task by task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean

from kdcheck.claims.contrast import Contrast
from kdcheck.claims.paper import Paper, Printed
from kdcheck.paper.audit.finding import FAILS, HOLDS, SUSPICIOUS, Outcome, signed
from kdcheck.paper.publication import printed
from kdcheck.paper.statements.statement import Statement
from kdcheck.paper.tables import LABELS, Cell, Tables


@dataclass(frozen=True)
class Source:
    """Tables, the figures that contrasts read of them, and the cell of each figure."""

    tables: Tables
    paper: Paper
    cells: Mapping[Printed, Cell]

    @classmethod
    def of(cls, tables: Tables) -> Source:
        """The figures of these tables, which may be an altered copy."""
        cells = printed(tables)
        return cls(tables, Paper(name="audited", title="", printed=tuple(cells)), cells)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A contrast on one task of the tables."""

    task: str
    value: float
    """In ``unit``, free of the noise of binary fractions."""
    low: float
    """Least value of figures that print like these."""
    high: float
    """Greatest value of figures that print like these."""
    unit: str
    cells: tuple[Cell, ...]

    def __str__(self) -> str:
        tables = {cell.table for cell in self.cells}
        place = f"Table {min(tables)} " if len(tables) == 1 else ""
        named = ", ".join(
            f"{'' if place else f'Table {cell.table} '}{_name(cell)} {cell.printed}"
            for cell in self.cells
        )
        return f"{place}{LABELS[self.task]} {signed(self.value, self.unit)} ({named})"


def _name(cell: Cell) -> str:
    """Method of a figure's cell; of a setting's its name too."""
    row = LABELS[cell.row.rpartition("/")[2]]
    return f"{row} {cell.column}" if "/" in cell.row else row


def compare(contrast: Contrast, source: Source, unit: str) -> list[Comparison]:
    """A contrast on every task of the tables, with what rounding can have made of it."""
    found = []
    for task, row in source.paper.cells(contrast).items():
        ends = [(c.value - c.half_width, c.value + c.half_width) for c in row.values()]
        corners = [
            contrast.value(dict(zip(row, corner, strict=True)).__getitem__)
            for corner in product(*ends)
        ]
        value = contrast.value({reading: cell.value for reading, cell in row.items()}.__getitem__)
        found.append(
            Comparison(
                task=task,
                value=round(value, 10) + 0.0,
                low=round(min(corners), 10),
                high=round(max(corners), 10),
                unit=unit,
                cells=tuple(source.cells[cell] for cell in row.values()),
            )
        )
    return found


def excess(said: Statement, seen: Comparison) -> float:
    """By how much a comparison agrees with a statement, below 0 by how much it does not."""
    # "Within" and "not below" are not broken by what rounding may have done.
    if said.direction == "within":
        return said.beyond - max(0.0, seen.low, -seen.high)
    return (seen.high if said.direction == "not_below" else seen.value) - said.beyond


def agrees(said: Statement, seen: Comparison) -> bool:
    """Whether a comparison is as the statement says."""
    return _suffices(said, excess(said, seen))


def _suffices(said: Statement, over: float) -> bool:
    """Whether an excess is as the statement says: of "not below" alone, 0 is."""
    return over > 0 or (over == 0 and said.direction == "not_below")


def average(case: Sequence[Comparison]) -> Comparison:
    """One comparison of the means over tasks."""
    value, low, high = (
        round(fmean(getattr(seen, name) for seen in case), 10) for name in ("value", "low", "high")
    )
    return replace(case[0], value=value, low=low, high=high, task="", cells=cells_of(case))


def cells_of(comparisons: Iterable[Comparison]) -> tuple[Cell, ...]:
    """The cells of several comparisons, each once, in order."""
    return tuple(dict.fromkeys(cell for seen in comparisons for cell in seen.cells))


def decided_by_contrast(said: Statement, source: Source) -> Outcome:
    """Count the tasks on which the contrast is as claimed, against the statement's quantifier."""
    return decided_by(said.contrasts().values(), said, source)


def decided_by(contrasts: Iterable[Contrast], said: Statement, source: Source) -> Outcome:
    """The same by contrasts that stand for the statement's own."""
    cases = [compare(each, source, said.unit) for each in contrasts]
    every = [seen for case in cases for seen in case]
    against = [seen for seen in every if not agrees(said, seen)]
    agreeing = [seen for seen in every if agrees(said, seen)]
    contradicted, margin, unit = _quantified(said, cases)
    least = min(agreeing, key=lambda seen: excess(said, seen), default=None)
    overall = said.holds == "on average over tasks"
    means = [signed(average(case).value, said.unit) for case in cases if overall]
    weak = SUSPICIOUS if said.open_words or said.kind == "expected" else FAILS
    return Outcome(
        outcome=weak if contradicted else HOLDS,
        by_how_much=f"{len(agreeing)} of {len(every)} comparisons agree"
        + (f"; means over tasks {', '.join(means)}" if means else "")
        + (f"; least: {least}" if least else "")
        + (f". {said.note}" if said.note else ""),
        margin=margin,
        unit=unit,
        cells=cells_of(against or ([least] if least else [])),
        details=tuple(map(str, against)),
    )


def _quantified(said: Statement, cases: Sequence[Sequence[Comparison]]) -> tuple[bool, float, str]:
    """Whether the quantifier is contradicted, the margin, and its unit."""
    every = [seen for case in cases for seen in case]
    if said.holds == "on every task":
        contradicted = any(not agrees(said, seen) for seen in every)
        return contradicted, min(excess(said, seen) for seen in every), said.unit
    if said.holds in ("on some task", "on average over tasks"):
        # One task suffices for each case; "overall" is read as the mean over tasks.
        some = said.holds == "on some task"
        least = min(
            max(excess(said, seen) for seen in case) if some else excess(said, average(case))
            for case in cases
        )
        return not _suffices(said, least), least, said.unit
    if said.but is not None or said.tasks is not None:
        off = max(_off(said, case) for case in cases)
        return off > 0, 0.0 - off, "tasks off what is said"
    groups = [every] if said.holds == "on most tasks and methods" else cases
    # "Mostly" and "generally" are read as in more than half of the comparisons.
    shares = [sum(agrees(said, seen) for seen in group) - len(group) / 2 for group in groups]
    return min(shares) <= 0, min(shares), "comparisons beyond half"


def _off(said: Statement, case: Sequence[Comparison]) -> int:
    """How many tasks are other than the paper counts or names them."""
    against = {seen.task for seen in case if not agrees(said, seen)}
    if said.but is not None:
        return len(against ^ set(said.but))
    assert said.tasks is not None
    return abs(len(case) - len(against) - said.tasks)
