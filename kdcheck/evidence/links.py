"""Deep links into the MLflow UI that open where the evidence is.

A bare link to an experiment opens MLflow's pages for language-model traces, which are empty here;
``workflowType=machine_learning`` asks for the classic table of runs.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode


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
    asked = {"workflowType": "machine_learning"}
    if search is not None:
        asked["searchFilter"] = search
    if order is not None:
        asked |= {"orderByKey": order, "orderByAsc": "true"}
    if chart:
        asked["compareRunsMode"] = "CHART"
    if view is not None:
        asked["viewStateShareKey"] = view
    query = urlencode(asked, quote_via=quote)
    return f"{_root(base)}/experiments/{experiment_id}/runs?{query}"


def run_link(experiment_id: str, run_id: str, *, base: str = "") -> str:
    """Link to one run; see :func:`runs_link`."""
    return f"{_root(base)}/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def _root(base: str) -> str:
    return f"{base.rstrip('/')}/#" if base else "#"
