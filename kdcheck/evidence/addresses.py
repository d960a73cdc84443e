"""Where the runs of a store are in the MLflow UI."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kdcheck.evidence import layout
from kdcheck.evidence.layout import CLAIMS, TRAININGS
from kdcheck.evidence.links import run_link, runs_link
from kdcheck.evidence.views import CURVES, VIEWS

if TYPE_CHECKING:
    from mlflow.entities import Run

    from kdcheck.evidence.tracking import Tracking


class Addresses:
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
