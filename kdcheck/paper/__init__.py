"""Everything this paper says, as data: tables, arms, statements, open settings, and the audit."""

from kdcheck.paper import arms
from kdcheck.paper.audit import Finding, run_audit
from kdcheck.paper.grids import (
    Point,
    erm_grid,
    soft_grid,
    tuned_kd_grid,
    tuned_ls_alphas,
    tuned_ls_grid,
)
from kdcheck.paper.left_open import OpenSetting, open_settings
from kdcheck.paper.margins import claim
from kdcheck.paper.publication import PAPER
from kdcheck.paper.statements import Statement, all_statements, statement
from kdcheck.paper.tables import Cell, Table, Tables, load_tables, table

__all__ = [
    "PAPER",
    "Cell",
    "Finding",
    "OpenSetting",
    "Point",
    "Statement",
    "Table",
    "Tables",
    "all_statements",
    "arms",
    "claim",
    "erm_grid",
    "load_tables",
    "open_settings",
    "run_audit",
    "soft_grid",
    "statement",
    "table",
    "tuned_kd_grid",
    "tuned_ls_alphas",
    "tuned_ls_grid",
]
