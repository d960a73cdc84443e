"""Claims of the paper: a statement of the list with the margin that it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kdcheck import claims
from kdcheck.claims import Margin
from kdcheck.paper.publication import PAPER
from kdcheck.paper.statements.statement import Statement
from kdcheck.paper.tables import LABELS

Test = TypeVar("Test", bound=Callable[..., object])


@dataclass(frozen=True, kw_only=True, order=True)
class SmallestGap:
    """The least that the tables print in the claimed direction, in the contrast's unit."""

    size: float
    task: str
    tables: tuple[str, ...]


def smallest_gap(statements: Sequence[Statement]) -> SmallestGap | None:
    """The smallest printed gap of the claimed sign, over tasks, cases and statements; none printed."""
    found = []
    for contrast in (c for said in statements for c in said.contrasts().values()):
        cells = PAPER.cells(contrast)
        for task, value in PAPER.values(contrast).items():
            tables = tuple(sorted({cell.table for cell in cells[task].values()}, key=int))
            if value > 0:
                found.append(SmallestGap(size=value, task=task, tables=tables))
    return min(found, default=None)


def reason(margin: Margin, statements: Sequence[Statement]) -> str:
    """Why a margin: which share it is of the smallest printed gap; empty where none is printed."""
    gap = smallest_gap(statements)
    if gap is None:
        return ""
    place = f"Table{'s' * (len(gap.tables) > 1)} {' and '.join(gap.tables)}"
    share = f"{100 * margin.size / gap.size:.0f} % of the smallest gap that the tables print"
    return f"{share} ({gap.size:.4g} {margin.unit}, {LABELS[gap.task]}, {place})"


def claim(
    said: Statement,
    *,
    margin: Margin,
    because: str = "",
    beside: Sequence[Statement] = (),
    at_two_classes: str = "",
    rests_on: Sequence[Statement] = (),
) -> Callable[[Test], Test]:
    """Declare that a test checks a statement of the paper; see :func:`kdcheck.claims.claim`.

    Sentence, place, quantifier and direction are the statement's, and so is the contrast that the
    test hands to ``study.judge``.

    Args:
        said: a statement of ``kdcheck.paper.statements``.
        margin: smallest effect that would matter.
        because: why that margin; by default its share of the smallest gap that the tables print.
        beside: other statements whose gaps the margin was chosen below as well.
        at_two_classes: what a verdict from binary tasks alone cannot say.
        rests_on: statements that must be SUPPORTED for this one to be testable.

    Returns:
        A decorator that leaves the test as it is, but for the declaration.

    Raises:
        ClaimError: no reason is given and no table prints a gap.

    Source: docs/guides/add-a-claim.md.

    >>> from kdcheck.claims import claim_of, nats
    >>> from kdcheck.paper.statements.entropies import standard_kd_lowers_entropy
    >>> @claim(standard_kd_lowers_entropy, margin=nats(0.01))
    ... def test_standard_kd_lowers_entropy(study): ...
    >>> claim_of(test_standard_kd_lowers_entropy).because
    '48 % of the smallest gap that the tables print (0.0209 nats, QNLI, Table 2)'
    """
    return claims.claim(
        said.id,
        says=said.says,
        where=said.where,
        # A claim is judged case by case, so methods are no part of its quantifier.
        holds=said.holds.removesuffix(" and methods"),
        direction=said.direction,
        margin=margin,
        because=because or reason(margin, (said, *beside)),
        at_two_classes=at_two_classes,
        rests_on=[premise.id for premise in rests_on],
        paper=PAPER,
    )
