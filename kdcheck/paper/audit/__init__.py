"""The audit: what the paper's own tables and theory say of its statements. No training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from kdcheck.paper.audit import appendix, closed_forms, sampling, selection, splits, unprinted
from kdcheck.paper.audit.comparing import Source, decided_by_contrast
from kdcheck.paper.audit.finding import (
    CANNOT_BE_DECIDED,
    FAILS,
    HOLDS,
    OUTCOMES,
    SUSPICIOUS,
    Finding,
    Outcome,
)
from kdcheck.paper.statements import Statement, all_statements, statement
from kdcheck.paper.tables import Tables, load_tables

__all__ = [
    "CANNOT_BE_DECIDED",
    "CHECKS",
    "DRAWN",
    "FAILS",
    "HOLDS",
    "OUTCOMES",
    "SUSPICIOUS",
    "Finding",
    "audited",
    "find",
    "run_audit",
]

SAMPLED = (
    "kd_over_erm_beyond_sampling",
    "kd_over_ls_beyond_sampling",
    "self_over_standard_beyond_sampling",
)
DRAWN = (
    "kd_stays_surer_throughout",
    "tuned_kd_stays_surer_throughout",
    "reverse_kd_runs_between_throughout",
    "tuned_reverse_kd_runs_between_throughout",
)
CHECKS: Mapping[str, Callable[[Source], Outcome]] = {
    "a3_entropy_smaller": appendix.entropy_smaller,
    "a3_accuracy_smaller": appendix.accuracy_smaller,
    "a3_entropy_larger": appendix.entropy_larger,
    "a3_accuracy_larger": appendix.accuracy_larger,
    "a3_standard_and_self_kd": appendix.standard_and_self_kd,
    "a3_findings_hold": appendix.findings_hold,
    "entropies_in_range": closed_forms.entropies_in_range,
    "uniform_target_raises_entropy": closed_forms.uniform_target_raises_entropy,
    "reverse_kd_clearly_beats_ls": sampling.clearly_beats_ls,
    **{name: partial(sampling.beyond_sampling, statement(name)) for name in SAMPLED},
    "table_7_on_grid": partial(selection.on_grid, number=7),
    "table_12_on_grid": partial(selection.on_grid, number=12),
    "selected_inside_grid": selection.selected_inside_grid,
    "erm_settings_agree": selection.erm_settings_agree,
    "same_settings_same_figures": selection.same_settings_same_figures,
    "unlike_models_differ": selection.unlike_models_differ,
    "budgets_match": selection.budgets_match,
    "table_6_fits_glue": splits.table_6_fits_glue,
    "grid_sizes": splits.grid_sizes,
    **{name: partial(unprinted.ends_as_said, statement(name)) for name in DRAWN},
}
"""Statements that ask for more than their contrast on the tables."""


def audited() -> tuple[Statement, ...]:
    """The statements of the audit: all but those of our own making, for which the paper has no figures."""
    return tuple(said for said in all_statements() if said.kind != "ours")


def find(name: str, tables: Tables | None = None) -> Finding:
    """What the tables say of one statement; by default those of the paper.

    Raises:
        InputError: there is no such statement.

    Source: the statement's own place.

    >>> find("grid_sizes").outcome
    'HOLDS'
    """
    return _find(statement(name), Source.of(load_tables() if tables is None else tables))


def run_audit(tables: Tables | None = None) -> tuple[Finding, ...]:
    """Test every statement that can be decided from the paper's own figures and from theory.

    Args:
        tables: the figures; by default those of the paper.

    Returns:
        One finding per statement, in their order.

    Source: the whole paper; each finding names its place.

    >>> from collections import Counter
    >>> counts = Counter(finding.outcome for finding in run_audit())
    >>> counts["FAILS"] < counts["HOLDS"]
    True
    """
    source = Source.of(load_tables() if tables is None else tables)
    return tuple(_find(said, source) for said in audited())


def _find(said: Statement, source: Source) -> Finding:
    if said.undecidable:
        found = Outcome(outcome=CANNOT_BE_DECIDED, by_how_much=said.undecidable)
    elif said.id in CHECKS:
        found = CHECKS[said.id](source)
    else:
        found = decided_by_contrast(said, source)
    # Adding 0.0 turns -0.0 into 0.0.
    margin = None if found.margin is None else round(found.margin, 6) + 0.0
    who = {"id": said.id, "claim": said.says, "where": said.where, "kind": said.kind}
    return Finding(**{**vars(found), **who, "margin": margin})
