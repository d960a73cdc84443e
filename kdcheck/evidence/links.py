"""Deep links into the MLflow UI that open where the evidence is.

A bare link to an experiment opens MLflow's pages for language-model traces, which are empty here;
``workflowType=machine_learning`` asks for the classic table of runs.
"""

from __future__ import annotations

from urllib.parse import quote

WORKFLOW = "workflowType=machine_learning"


def runs_link(
    experiment_id: str,
    *,
    search: str | None = None,
    order: str | None = None,
    chart: bool = False,
    view: str | None = None,
    base: str = "",
) -> str:
    """Link to the runs of an experiment."""
    parts = [WORKFLOW]
    if search is not None:
        parts.append(f"searchFilter={quote(search, safe='')}")
    if order is not None:
        parts += [f"orderByKey={quote(order, safe='')}", "orderByAsc=true"]
    if chart:
        parts.append("compareRunsMode=CHART")
    if view is not None:
        parts.append(f"viewStateShareKey={quote(view, safe='')}")
    return f"{_root(base)}/experiments/{experiment_id}/runs?{'&'.join(parts)}"


def run_link(experiment_id: str, run_id: str, *, base: str = "") -> str:
    """Link to one run; see :func:`runs_link`."""
    return f"{_root(base)}/experiments/{experiment_id}/runs/{run_id}?{WORKFLOW}"


def _root(base: str) -> str:
    return f"{base.rstrip('/')}/#" if base else "#"
