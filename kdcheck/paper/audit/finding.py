"""What the audit says of a statement, and how it writes figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kdcheck.paper.tables import Cell

HOLDS = "HOLDS"
FAILS = "FAILS"
SUSPICIOUS = "SUSPICIOUS"
CANNOT_BE_DECIDED = "CANNOT BE DECIDED"
OUTCOMES = (FAILS, SUSPICIOUS, CANNOT_BE_DECIDED, HOLDS)
"""Most pressing first."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check says, by how much, and the cells it rests on."""

    outcome: str
    """``HOLDS``, ``FAILS``, ``SUSPICIOUS`` or ``CANNOT BE DECIDED``."""
    by_how_much: str
    margin: float | None = None
    """Above 0 by how much it holds, below 0 by how much it fails or strains, in ``unit``."""
    unit: str = ""
    cells: tuple[Cell, ...] = ()
    """The cells that decide: all of a flagged finding, the tightest ones of one that holds."""
    details: tuple[str, ...] = ()
    """One line each: the comparisons behind the outcome, where one sentence cannot hold them."""


@dataclass(frozen=True, kw_only=True)
class Finding(Outcome):
    """One statement and what the tables say of it.

    Source: the place in ``where``.

    >>> from kdcheck.paper.audit import run_audit
    >>> [finding.outcome for finding in run_audit() if finding.id == "ls_raises_entropy"]
    ['HOLDS']
    """

    id: str
    claim: str
    where: str
    kind: str
    """``stated`` by the paper, or ``expected`` of its figures; see Statement."""


def signed(value: float, unit: str) -> str:
    """A difference with its sign: four decimals in nats, two in times, in points one unless two say more."""
    if unit == "nats":
        return f"{value:+.4f}".replace("0.", ".", 1)
    text = f"{value:+.2f}" if value else "0.00"
    return text.removesuffix("0") if unit == "points" else text


def listed(items: Iterable[object]) -> str:
    """Items with semicolons between them, or the word none."""
    return "; ".join(str(item) for item in items) or "none"
