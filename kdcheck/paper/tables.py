"""The paper's tables, cell by cell, from ``tables.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from kdcheck.errors import InputError

TASKS = ("mrpc", "qnli", "sst2", "mnli")
METHODS = ("erm", "ls", "standard_kd", "self_kd", "reverse_kd")
SIZES = ("smaller", "larger")
CLASSES = {"mrpc": 2, "qnli": 2, "sst2": 2, "mnli": 3}
"""K of each task, section 4."""
ENTROPY_TABLES = {("smaller", False): 2, ("larger", False): 4, ("smaller", True): 8, ("larger", True): 10}  # fmt: skip
ACCURACY_TABLES = {("smaller", False): 3, ("larger", False): 5, ("smaller", True): 9, ("larger", True): 11}  # fmt: skip
SETTING_TABLES = {False: 7, True: 12}

LABELS = {
    "mrpc": "MRPC", "qnli": "QNLI", "sst2": "SST-2", "mnli": "MNLI",
    "erm": "ERM", "ls": "LS", "standard_kd": "standard KD", "self_kd": "self-KD",
    "reverse_kd": "reverse KD", "smaller": "DistilBERT", "larger": "BERT",
    "learning_rate": "learning rate",
}  # fmt: skip
"""How tasks, methods, sizes and settings are printed."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One printed figure.

    Source: the table it names.

    >>> cell = table(2).cell("ls", "mrpc")
    >>> cell.value, cell.half_width, cell.unit, str(cell)
    (0.6896, 5e-05, 'nats', 'Table 2 LS MRPC .6896')
    """

    table: str
    """Number of the table, or ``A.3`` for the grid that has none."""
    row: str
    column: str
    value: float
    """In the unit."""
    half_width: float
    """Half a unit of the last printed digit, in the unit; 0 where the figure is exact."""
    unit: str
    """``nats``, ``%``, ``examples`` or ``1``."""

    @property
    def low(self) -> float:
        """Smallest figure that prints like this one, in the unit."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """Largest figure that prints like this one, in the unit."""
        return self.value + self.half_width

    @property
    def printed(self) -> str:
        """The value as the paper prints it."""
        if self.unit == "nats":
            return f"{self.value:.4f}".removeprefix("0")
        if self.unit == "%":
            return f"{self.value:.1f}"
        if self.unit == "examples":
            return f"{self.value:,.0f}"
        return f"{self.value:g}".removeprefix("0").replace("e-0", "e-")

    def __str__(self) -> str:
        names = [LABELS.get(name, name) for name in (*self.row.split("/"), self.column)]
        return f"Table {self.table} {' '.join(names)} {self.printed}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the paper.

    Source: the table of that number.

    >>> table(6).title, table(6).columns
    ('examples per split', ('train', 'validation', 'test'))
    """

    number: str
    title: str
    columns: tuple[str, ...]
    cells: Mapping[str, tuple[Cell | None, ...]]
    """Row -> one cell per column; none where the paper prints a dash."""
    missing: tuple[str, ...] = ()
    """Rows that the paper has and our copy of it lacks."""

    def cell(self, row: str, column: str) -> Cell:
        """The figure in a row and column.

        Raises:
            InputError: no such row or column, a dash, or a row missing from our copy.

        Source: this table.

        >>> table(3).cell("erm", "qnli").value
        88.5
        """
        who = f"Table {self.number}"
        if row in self.missing:
            step = "It cannot be known from this copy; Table.missing lists such rows."
            raise InputError(who, f"row {row!r}, missing in our copy", "a row we have", step)
        for what, name, known in (("row", row, self.cells), ("column", column, self.columns)):
            if name not in known:
                wanted = f"one of {', '.join(known)}"
                raise InputError(who, f"{what} {name!r}", wanted, "Check the spelling.")
        found = self.cells[row][self.columns.index(column)]
        if found is None:
            got, wanted = f"{column!r} of {row!r}, a dash", "a cell with a figure"
            raise InputError(who, got, wanted, "That setting does not apply to the method.")
        return found

    def row(self, row: str) -> tuple[Cell, ...]:
        """All figures of a row, dashes left out.

        Raises:
            InputError: no such row, or one missing from our copy.

        Source: this table.

        >>> [cell.value for cell in table(6).row("mrpc")]
        [3668, 408, 1725]
        """
        if row not in self.cells:
            self.cell(row, self.columns[0])
        return tuple(cell for cell in self.cells[row] if cell is not None)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All tables; the audit takes one of these, so that tests can hand it an altered copy.

    Source: Tables 1 to 12 and the grid of appendix A.3.

    >>> load_tables().entropy("mnli", "self_kd", "smaller").value
    0.2758
    """

    tables: Mapping[str, Table]

    def table(self, number: int | str) -> Table:
        """The table of that number.

        Raises:
            InputError: there is no such table.

        Source: that table.

        >>> load_tables().table("A.3").row("alpha")[0].value
        0.25
        """
        try:
            return self.tables[str(number)]
        except KeyError:
            wanted = f"one of {', '.join(self.tables)}"
            raise InputError("paper", f"table {number!r}", wanted, "Check the number.") from None

    def entropy(self, task: str, method: str, size: str, *, tuned: bool = False) -> Cell:
        """Mean test entropy in nats; ``tuned`` is appendix A.3, where temperature is searched too.

        Raises:
            InputError: an unknown task, method or size, or a pair that the paper does not train.

        Source: Tables 2, 4, 8 and 10.

        >>> load_tables().entropy("sst2", "ls", "larger").value
        0.4376
        """
        return self.table(_number(ENTROPY_TABLES, size, tuned)).cell(method, task)

    def accuracy(self, task: str, method: str, size: str, *, tuned: bool = False) -> Cell:
        """Test accuracy in percent; arguments and errors as for :meth:`entropy`.

        Raises:
            InputError: an unknown task, method or size, or a pair that the paper does not train.

        Source: Tables 3, 5, 9 and 11.

        >>> load_tables().accuracy("sst2", "ls", "larger").value
        94.6
        """
        return self.table(_number(ACCURACY_TABLES, size, tuned)).cell(method, task)

    def setting(
        self, task: str, method: str, size: str, name: str, *, tuned: bool = False
    ) -> Cell | None:
        """A selected hyper-parameter; none where it does not apply or our copy lacks the row.

        Raises:
            InputError: an unknown task, method, size or setting.

        Source: Tables 7 and 12.

        >>> load_tables().setting("mrpc", "ls", "smaller", "alpha").value
        0.9
        """
        table = self.table(SETTING_TABLES[tuned])
        row = f"{task}/{size}/{method}"
        if row in table.missing:
            return None
        if name in table.columns and row in table.cells:
            return table.cells[row][table.columns.index(name)]
        return table.cell(row, name)

    def changed(self, number: int | str, row: str, column: str, value: float) -> Tables:
        """A copy in which one cell has another value: what would the audit have said?

        Raises:
            InputError: there is no such cell.

        >>> load_tables().changed(2, "ls", "mrpc", 0.01).entropy("mrpc", "ls", "smaller").value
        0.01
        """
        table = self.table(number)
        other = replace(table.cell(row, column), value=value)
        cells = tuple(
            other if name == column else cell
            for name, cell in zip(table.columns, table.cells[row], strict=True)
        )
        altered = replace(table, cells={**table.cells, row: cells})
        return Tables(tables={**self.tables, str(number): altered})


@cache
def load_tables() -> Tables:
    """The paper's tables, read once.

    Source: Tables 1 to 12 and the grid of appendix A.3.

    >>> list(load_tables().tables)[:3], len(load_tables().tables)
    (['1', '2', '3'], 13)
    """
    text = resources.files("kdcheck.paper").joinpath("tables.toml").read_text(encoding="utf-8")
    return Tables(tables={n: _table(n, raw) for n, raw in tomllib.loads(text).items()})


def table(number: int | str) -> Table:
    """The table of that number.

    Raises:
        InputError: there is no such table.

    Source: that table.

    >>> table(4).cell("reverse_kd", "qnli").value
    0.0834
    """
    return load_tables().table(number)


def _number(numbers: Mapping[tuple[str, bool], int], size: str, tuned: bool) -> int:
    if size not in SIZES:
        raise InputError("paper", f"size {size!r}", f"one of {', '.join(SIZES)}", "BERT is larger.")
    return numbers[size, tuned]


def _table(number: str, raw: dict[str, Any]) -> Table:
    columns = tuple(raw["columns"])
    units, widths = (
        value if isinstance(value, list) else [value] * len(columns)
        for value in (raw["units"], raw["half_widths"])
    )
    cells = {
        row: tuple(
            None
            if value == "-"
            else Cell(table=number, row=row, column=c, value=value, half_width=w, unit=u)
            for c, value, w, u in zip(columns, values, widths, units, strict=True)
        )
        for row, values in raw["rows"].items()
        if values != "missing"
    }
    missing = tuple(row for row, values in raw["rows"].items() if values == "missing")
    return Table(number=number, title=raw["title"], columns=columns, cells=cells, missing=missing)
