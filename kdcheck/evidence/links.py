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
    """Link to the runs of an experiment.

    Args:
        experiment_id: of the experiment.
        search: a filter in MLflow's language, as ``tags.claim = 'x'``.
        order: what to sort by, upwards, as ``tags.`seed` ``.
        chart: the charts of the runs' metrics instead of their table.
        view: key of a saved view, which brings its own filter and columns.
        base: address of the server; empty for links inside the UI, such as in a note.

    Returns:
        A URL, or only its fragment if there is no base.

    Source: none.

    >>> runs_link("1", search="tags.seed = '3'", base="http://127.0.0.1:5000")
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&\
searchFilter=tags.seed%20%3D%20%273%27'
    """
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
