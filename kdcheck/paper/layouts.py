"""How the paper lays out its tables: which arm, task or setting each line and column is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdcheck.claims import Arm, Line, PrintedTable
from kdcheck.paper.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD, TUNED
from kdcheck.paper.tables import (
    ACCURACY_TABLES,
    ENTROPY_TABLES,
    LABELS,
    SETTING_TABLES,
    Table,
    Tables,
)

ARMS = {
    "smaller": (ERM("smaller"), LS("smaller"), STANDARD_KD, SELF_KD),
    "larger": (ERM("larger"), LS("larger"), REVERSE_KD),
}
GRIDS = {False: "1", True: "A.3"}


def layouts(tables: Tables) -> tuple[PrintedTable, ...]:
    """Tables 1 to 12 and the grid of appendix A.3, in the order in which the paper prints them."""
    found = {each.number: each for each in _layouts(tables)}
    return tuple(found[number] for number in tables.tables)


def _layouts(tables: Tables) -> Iterator[PrintedTable]:
    for metric, numbers in (("mean_entropy_nats", ENTROPY_TABLES), ("accuracy", ACCURACY_TABLES)):
        for (size, tuned), number in numbers.items():
            yield _metric(tables.table(number), metric, _arms(size, tuned=tuned))
    every = {tuned: [*_arms("smaller", tuned=tuned), *_arms("larger", tuned=tuned)]
             for tuned in (False, True)}  # fmt: skip
    for tuned, number in SETTING_TABLES.items():
        yield _settings(tables.table(number), every[tuned])
        yield _grid(tables.table(GRIDS[tuned]), every[tuned])
    yield _rows(tables.table(6))


def _arms(size: str, *, tuned: bool) -> list[Arm]:
    """The arms of a table, in its order of rows."""
    return [TUNED.get(arm, arm) if tuned else arm for arm in ARMS[size]]


def _row(arm: Arm) -> str:
    """How the tables call its method: alike in both experiments."""
    return arm.method.removeprefix("tuned_")


def _texts(table: Table, row: str) -> tuple[str | None, ...]:
    if row in table.missing:
        return ("",) * len(table.columns)
    return tuple(None if cell is None else cell.printed for cell in table.cells[row])


def _metric(table: Table, metric: str, arms: Sequence[Arm]) -> PrintedTable:
    named = {_row(arm): arm for arm in arms}
    lines = [
        Line(label=LABELS[row], texts=_texts(table, row), arm=named[row]) for row in table.cells
    ]
    return PrintedTable(
        number=table.number, title=table.title, holds="metric", metric=metric,
        columns=table.columns, lines=tuple(lines),
    )  # fmt: skip


def _settings(table: Table, arms: Sequence[Arm]) -> PrintedTable:
    named = {(_row(arm), arm.size): arm for arm in arms}
    lines = []
    for row in (*table.cells, *table.missing):
        task, size, method = row.split("/")
        label = f"{LABELS[task]}, {LABELS[size]}, {LABELS[method]}"
        texts, arm = _texts(table, row), named[method, size]
        lines.append(Line(label=label, texts=texts, arm=arm, task=task))
    return PrintedTable(
        number=table.number, title=table.title, holds="settings",
        columns=table.columns, lines=tuple(lines),
    )  # fmt: skip


def _rows(table: Table) -> PrintedTable:
    lines = [Line(label=LABELS[row], texts=_texts(table, row), task=row) for row in table.cells]
    return PrintedTable(
        number=table.number, title=table.title, holds="rows",
        columns=table.columns, lines=tuple(lines),
    )  # fmt: skip


def _grid(table: Table, arms: Sequence[Arm]) -> PrintedTable:
    lines = [Line(label=row, texts=_texts(table, row)) for row in table.cells]
    return PrintedTable(
        number=table.number, title=table.title, holds="grid",
        columns=table.columns, lines=tuple(lines), arms=tuple(arms),
    )  # fmt: skip
