"""Checks of what the paper says about figures that our copy lacks, by the last points of their curves."""

from __future__ import annotations

from dataclasses import replace

from kdcheck.claims.contrast import Contrast, Reading
from kdcheck.paper.audit.comparing import Source, decided_by
from kdcheck.paper.audit.finding import CANNOT_BE_DECIDED, HOLDS, SUSPICIOUS, Outcome
from kdcheck.paper.statements.statement import Statement

LACKING = (
    "The tables print where these curves end. Which task the figure draws is not known, and our copy "
    "lacks the figure, so ends that agree prove nothing and ends that do not are no more than suspicious"
)


def last_point(contrast: Contrast) -> Contrast:
    """The contrast of curves, on the finished models of the tables, each on its own budget.

    Seen and unseen text have one last point there, as the tables are of test text alone.
    """
    if contrast.operation == "least":
        return last_point(contrast.parts[0])
    if not contrast.is_leaf:
        return replace(contrast, of=tuple(map(last_point, contrast.parts)))
    leaf = contrast.of[0]
    if not isinstance(leaf, Reading):
        return contrast
    return replace(contrast, of=(Reading(leaf.metric, replace(leaf.arm, budget=None)),))


def ends_as_said(said: Statement, source: Source) -> Outcome:
    """Being as said at the end is necessary, not sufficient; hence never HOLDS, and never FAILS."""
    found = decided_by(map(last_point, said.contrasts().values()), said, source)
    return replace(
        found,
        outcome=CANNOT_BE_DECIDED if found.outcome == HOLDS else SUSPICIOUS,
        by_how_much=f"{found.by_how_much}. {LACKING}",
    )
