"""The audit: what the paper's own tables and theory say of its statements. No training."""

from __future__ import annotations

from kdcheck.paper.audit import (
    accuracy,
    appendix,
    entropy,
    inheritance,
    sampling,
    selection,
    splits,
    theory,
)
from kdcheck.paper.audit.finding import (
    CANNOT_BE_DECIDED,
    CHECKS,
    FAILS,
    HOLDS,
    OUTCOMES,
    SUSPICIOUS,
    Finding,
    find,
)
from kdcheck.paper.statements import all_statements
from kdcheck.paper.tables import Tables, load_tables

__all__ = [
    "CANNOT_BE_DECIDED",
    "CHECKS",
    "FAILS",
    "HOLDS",
    "OUTCOMES",
    "SUSPICIOUS",
    "Finding",
    "find",
    "run_audit",
]

# Imported for what they register; naming them keeps a check from being forgotten.
_CHECKING = (accuracy, appendix, entropy, inheritance, sampling, selection, splits, theory)


def run_audit(tables: Tables | None = None) -> tuple[Finding, ...]:
    """Test every statement that can be decided from the paper's own figures and from theory.

    Args:
        tables: the figures; by default those of the paper.

    Returns:
        One finding per statement, in the order of ``all_statements()``.

    Source: the whole paper; each finding names its place.

    >>> from collections import Counter
    >>> counts = Counter(finding.outcome for finding in run_audit())
    >>> counts["FAILS"] < counts["HOLDS"]
    True
    """
    source = load_tables() if tables is None else tables
    return tuple(find(said.id, source) for said in all_statements())
