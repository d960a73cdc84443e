"""What a check of the audit returns, and the register of all checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kdcheck.paper.statements import statement
from kdcheck.paper.tables import LABELS, Cell, Tables

HOLDS = "HOLDS"
FAILS = "FAILS"
SUSPICIOUS = "SUSPICIOUS"
CANNOT_BE_DECIDED = "CANNOT BE DECIDED"
OUTCOMES = (FAILS, SUSPICIOUS, CANNOT_BE_DECIDED, HOLDS)
"""Most pressing first."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a check says: the outcome, by how much, and the cells it rests on.

    Source: none.

    >>> Judgement(outcome=HOLDS, by_how_much="by .2", margin=0.2, unit="nats").cells
    ()
    """

    outcome: str
    by_how_much: str
    margin: float | None
    """Above 0 by how much it holds, below 0 by how much it fails or strains, in ``unit``."""
    unit: str
    cells: tuple[Cell, ...] = ()
    details: tuple[str, ...] = ()
    """One line each: the comparisons behind the outcome, where one sentence cannot hold them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One statement and what the tables say of it.

    Source: the place in ``where``.

    >>> from kdcheck.paper import run_audit
    >>> [finding.outcome for finding in run_audit() if finding.id == "ls_raises_entropy"]
    ['HOLDS']
    """

    id: str
    claim: str
    where: str
    kind: str
    """``stated`` by the paper, or ``expected`` of its figures; see Statement."""
    outcome: str
    """``HOLDS``, ``FAILS``, ``SUSPICIOUS`` or ``CANNOT BE DECIDED``."""
    by_how_much: str
    margin: float | None
    """Above 0 by how much it holds, below 0 by how much it fails or strains, in ``unit``."""
    unit: str
    cells: tuple[Cell, ...]
    """The cells that decide: all of a flagged finding, the tightest ones of one that holds."""
    details: tuple[str, ...]
    """One line each: the comparisons behind the outcome, where one sentence cannot hold them."""


Check = Callable[[Tables], Judgement]
CHECKS: dict[str, Check] = {}


def decides(name: str) -> Callable[[Check], Check]:
    """Register a function as the check of a statement.

    Args:
        name: the statement's id; unknown ids are refused when the module is imported.

    Returns:
        A decorator that leaves the check as it is.

    Raises:
        InputError: there is no such statement.

    Source: none.

    >>> "ls_raises_entropy" in CHECKS
    True
    """
    statement(name)

    def register(check: Check) -> Check:
        assert name not in CHECKS, f"two checks of {name}"
        CHECKS[name] = check
        return check

    return register


def find(name: str, tables: Tables) -> Finding:
    """Run the check of one statement; without a check it cannot be decided, and the reason is given.

    Raises:
        InputError: there is no such statement.

    Source: the statement's own place.

    >>> from kdcheck.paper import load_tables
    >>> find("grid_sizes", load_tables()).outcome
    'HOLDS'
    """
    said = statement(name)
    if said.undecidable:
        judgement = Judgement(
            outcome=CANNOT_BE_DECIDED, by_how_much=said.undecidable, margin=None, unit=""
        )
    else:
        judgement = CHECKS[name](tables)
    return Finding(
        id=name,
        claim=said.says,
        where=said.where,
        kind=said.kind,
        outcome=judgement.outcome,
        by_how_much=judgement.by_how_much,
        # Adding 0.0 turns -0.0 into 0.0.
        margin=None if judgement.margin is None else round(judgement.margin, 6) + 0.0,
        unit=judgement.unit,
        cells=judgement.cells,
        details=judgement.details,
    )


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Difference of two cells of one unit: ``first - second``.

    Source: none.

    >>> from kdcheck.paper import load_tables
    >>> entropy = load_tables().entropy
    >>> gap = Gap(first=entropy("mrpc", "ls", "larger"), second=entropy("mrpc", "erm", "larger"))
    >>> gap.value, str(gap)
    (0.4484, 'MRPC LS - ERM +.4484')
    """

    first: Cell
    second: Cell

    @property
    def value(self) -> float:
        """First - second, in the cells' unit, free of the noise of binary fractions."""
        return round(self.first.value - self.second.value, 6)

    @property
    def rounding(self) -> float:
        """By how much rounding can have moved the difference, in the cells' unit."""
        return self.first.half_width + self.second.half_width

    @property
    def cells(self) -> tuple[Cell, Cell]:
        """Both cells."""
        return self.first, self.second

    @property
    def names(self) -> str:
        """Task and methods, as printed; the tables too where they differ."""
        differ = self.first.table != self.second.table
        first, second = (
            f"{LABELS[c.row]} (Table {c.table})" if differ else LABELS[c.row] for c in self.cells
        )
        return f"{LABELS[self.first.column]} {first} - {second}"

    def __str__(self) -> str:
        return f"{self.names} {signed(self.value, self.first.unit)}"


def signed(value: float, unit: str) -> str:
    """A difference with its sign: four decimals in nats, one in points of accuracy.

    Source: none.

    >>> signed(-0.25, "nats"), signed(1.2, "%"), signed(0.0, "%")
    ('-.2500', '+1.2', '0.0')
    """
    if unit == "nats":
        return f"{value:+.4f}".replace("0.", ".", 1)
    return f"{value:+.1f}" if value else "0.0"


def listed(items: Iterable[object]) -> str:
    """Items with semicolons between them, or the word none.

    Source: none.

    >>> listed([1, 2]), listed([])
    ('1; 2', 'none')
    """
    return "; ".join(str(item) for item in items) or "none"


def cells_of(gaps: Iterable[Gap]) -> tuple[Cell, ...]:
    """The cells of several gaps, each once, in order.

    Source: none.

    >>> cells_of([])
    ()
    """
    return tuple(dict.fromkeys(cell for gap in gaps for cell in gap.cells))
