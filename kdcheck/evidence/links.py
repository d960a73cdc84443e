"""Deep links into the MLflow UI that open where the evidence is.

A bare link to an experiment opens MLflow's pages for language-model traces, which are empty here;
``workflowType=machine_learning`` asks for the classic table of runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from kdcheck.evidence import layout
from kdcheck.evidence.layout import CLAIMS, TRAININGS
from kdcheck.evidence.views import CURVES, VIEWS

if TYPE_CHECKING:
    from mlflow.entities import Run

    from kdcheck.evidence.tracking import Tracking

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


class Links:
    """Links of a store; without a base they work inside the UI, as in a note."""

    _runs: Tracking
    _training: Callable[[str], Run]

    def run_url(self, digest: str, *, base: str = "") -> str:
        """Link to a training."""
        run_id = self._training(digest).info.run_id
        return run_link(self._runs.experiments[TRAININGS], run_id, base=base)

    def trainings_url(
        self, claim_id: str | None = None, *, chart: bool = False, base: str = ""
    ) -> str:
        """Link to all trainings, or to those that a claim rests on; as charts on demand."""
        search = f"tags.`{layout.claim_tag(claim_id)}` = 'evidence'" if claim_id else None
        # MLflow draws the first ten runs alone: by seed, they are of every arm.
        order = "tags.`seed`" if claim_id else None
        view = None if claim_id else CURVES if chart else VIEWS[TRAININGS]
        experiment = self._runs.experiments[TRAININGS]
        return runs_link(experiment, search=search, order=order, chart=chart, view=view, base=base)

    def claims_url(self, claim_id: str | None = None, *, base: str = "") -> str:
        """Link to the current verdicts, or to every record of one claim."""
        search = f"tags.claim = '{claim_id}'" if claim_id else None
        view = None if claim_id else VIEWS[CLAIMS]
        return runs_link(self._runs.experiments[CLAIMS], search=search, view=view, base=base)
