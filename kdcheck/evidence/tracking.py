"""The few MLflow calls that the store is made of, on two experiments of flat runs."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from kdcheck.border import read_inside
from kdcheck.errors import EvidenceError
from kdcheck.evidence import database, layout, unfinished
from kdcheck.evidence.judged import Judged
from kdcheck.evidence.layout import CLAIMS, REASON, TRAININGS
from kdcheck.evidence.leases import Leases
from kdcheck.evidence.rows import Rows
from kdcheck.evidence.views import experiment_tags
from kdcheck.places import Location

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.tracking import MlflowClient

FINISHED = "attributes.status = 'FINISHED'"
PAGE = 1000
"""Runs a search asks for at once."""
REHEARSAL = "kdcheck.rehearsal"
"""Tag of the experiment of trainings: ``true`` in a store of rehearsals."""
NO_STORE = "Name the right one with --store, or make one by running pytest claims/."


class Tracking:
    """Runs of the two experiments, through a client of its own and explicit run ids."""

    def __init__(
        self, client: MlflowClient, experiments: dict[str, str], rows: Rows | None = None
    ) -> None:
        self._client = client
        self._rows = rows
        self.experiments = experiments
        """Experiment id by name."""

    @classmethod
    def create(cls, location: Location) -> Tracking:
        """Make what is missing: database, experiments, their notes and views."""
        if location.is_local:
            database.create_database(location)
            unfinished.remove_old(location)
        else:
            database.check_server(location)
        client = database.connect(location)
        ids = {name: _experiment(client, location, name) for name in (TRAININGS, CLAIMS)}
        for name, experiment_id in ids.items():
            # A note that goes on with the board of an earlier session stays.
            _describe(client, experiment_id, experiment_tags(ids, name), keeps_more=True)
        return cls(client, ids, _rows(location))

    def describe(self, name: str, claims: Sequence[Judged]) -> None:
        """Put the board of claims into the note of an experiment."""
        tags = experiment_tags(self.experiments, name, claims)
        _describe(self._client, self.experiments[name], tags)

    def keep_apart(self, location: Location, *, rehearsal: bool) -> None:
        """Refuse evidence where rehearsals are kept, and the reverse; mark a new store of rehearsals."""
        experiment = self._client.get_experiment(self.experiments[TRAININGS])
        if (experiment.tags.get(REHEARSAL) == "true") == rehearsal:
            return
        if not rehearsal:
            got, wanted = "a store of rehearsals", "a store of evidence"
            next_step = "Name another with --store, or leave it out; no rehearsal is evidence."
            raise EvidenceError(f"store {location}", got, wanted, next_step)
        if self.search(TRAININGS, ""):
            got, wanted = "a store with trainings", "a new one: a rehearsal has a store of its own"
            next_step = "Leave --store out, or name a folder that does not exist yet."
            raise EvidenceError(f"store {location}", got, wanted, next_step)
        self._client.set_experiment_tag(experiment.experiment_id, REHEARSAL, "true")

    @classmethod
    def open(cls, location: Location) -> Tracking:
        """Look up what must exist."""
        if location.database is None:
            database.check_server(location)
        elif not location.database.exists():
            raise no_store(location, f"no database {location.database.name} there")
        else:
            database.check_schema(location)
        client = database.connect(location)
        ids = {}
        for name in (TRAININGS, CLAIMS):
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise no_store(location, f"no experiment {name!r} there")
            if experiment.artifact_location != _place(location, name, experiment):
                raise EvidenceError(
                    f"store {location}",
                    f"files that are looked for in {experiment.artifact_location}",
                    f"them in {location.artifacts}",
                    "The folder was moved or copied; run 'kdcheck ui' or pytest claims/ on it "
                    "once, which corrects that.",
                )
            ids[name] = experiment.experiment_id
        return cls(client, ids, _rows(location))

    def search(self, name: str, condition: str) -> list[Run]:
        """Runs of an experiment that meet a condition, the oldest first."""
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiments[name]],
                condition,
                max_results=PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def leases(self) -> Leases:
        """Who trains what, across machines."""
        return Leases(self._client)

    def add(self, name: str, tags: Mapping[str, str]) -> Run:
        """A new RUNNING run."""
        if self._rows is not None:
            return self._rows.add(self.experiments[name], tags)
        return self._client.create_run(self.experiments[name], tags=dict(tags))

    def states(self, name: str, tag: str, value: str) -> list[str]:
        """States of the runs of an experiment that have a tag."""
        if self._rows is None:
            return [run.info.status for run in self.search(name, f"tags.`{tag}` = '{value}'")]
        return self._rows.states(self.experiments[name], tag, value)

    def state(self, run_id: str, tag: str) -> tuple[str, str | None]:
        """State of a run, and what a tag of it says."""
        if self._rows is None:
            run = self.look(run_id)
            return run.info.status, run.data.tags.get(tag)
        return self._rows.state(run_id, tag)

    def finished(self, digest: str | None = None) -> list[Run]:
        """Finished trainings, or those of one recipe, the oldest first."""
        if self._rows is None:
            of_digest = "" if digest is None else f" AND tags.digest = '{digest}'"
            return self.search(TRAININGS, f"{FINISHED}{of_digest}")
        return self._rows.finished(self.experiments[TRAININGS], digest)

    def look(self, run_id: str) -> Run:
        """A run as it is now."""
        return self._client.get_run(run_id)

    def restart(self, run_id: str) -> None:
        """Make an ended run RUNNING again."""
        self._client.update_run(run_id, status="RUNNING")
        if REASON in self._client.get_run(run_id).data.tags:
            self._client.delete_tag(run_id, REASON)

    def log(
        self,
        run: Run,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Sequence[tuple[str, float, int]] = (),
    ) -> None:
        """Log in as few batches as MLflow allows; one by one costs sixty times as much.

        Metrics carry the start of the run as their time: logging them again, after a crash
        between the metrics and the end, then changes nothing.
        """
        from mlflow.entities import Metric, Param, RunTag

        run_id, at = run.info.run_id, run.info.start_time
        pairs = [Param(k, v) for k, v in (params or {}).items()]
        labels = [RunTag(k, v) for k, v in (tags or {}).items()]
        rows = [Metric(key, value, at, step) for key, value, step in metrics]
        pieces = (
            layout.chunks(pairs, layout.TAGS_PER_BATCH),
            layout.chunks(labels, layout.TAGS_PER_BATCH),
            layout.chunks(rows, layout.METRICS_PER_BATCH - 2 * layout.TAGS_PER_BATCH),
        )
        for number in range(max(map(len, pieces))):
            params_piece, tags_piece, metrics_piece = (
                piece[number] if number < len(piece) else [] for piece in pieces
            )
            self._client.log_batch(run_id, metrics_piece, params_piece, tags_piece)

    def put(self, run: Run, folder: Path) -> None:
        """Move every file of ``folder`` to the run; to a server, or another disk, copy it."""
        place = _place_here(run)
        if place is None:
            self._client.log_artifacts(run.info.run_id, str(folder))
            return
        # MLflow would look the run up once more, which costs more than the files.
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(place)
        except OSError:  # it has files of an attempt that was ended, or is on another disk
            for file in (each for each in folder.rglob("*") if each.is_file()):
                target = place / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)

    def finish(
        self,
        run: Run,
        *,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        metrics: Sequence[tuple[str, float, int]],
    ) -> None:
        """Log what a run left and mark it as FINISHED, last."""
        if self._rows is None:
            self.log(run, params=params, tags=tags, metrics=metrics)
            self.end(run.info.run_id, "FINISHED")
        else:
            self._rows.finish(run, params=params, tags=tags, metrics=metrics)

    def end(self, run_id: str, status: str, reason: str | None = None) -> None:
        """End a run, with the reason as a tag."""
        if reason is not None:
            self._client.set_tag(run_id, REASON, reason[: layout.MAX_TAG])
        self._client.set_terminated(run_id, status)

    def tag(self, run_id: str, name: str, value: str) -> None:
        """Set one tag."""
        self._client.set_tag(run_id, name, value)

    def reader(self, run: Run) -> Callable[[str], bytes]:
        """Reads a file of a run by name: from disk if it is on this machine, else by MLflow."""
        place = _place_here(run)
        if place is None:
            return lambda name: self._download(run.info.run_id, name)
        return lambda name: read_inside(place, name)

    def _download(self, run_id: str, name: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="kdcheck-") as temporary:
            return Path(self._client.download_artifacts(run_id, name, temporary)).read_bytes()


def _rows(location: Location) -> Rows | None:
    """The tables themselves, if they are on this machine and as we know them."""
    rows = Rows(location.database) if location.database is not None else None
    return rows if rows and rows.are_known else None


def _place_here(run: Run) -> Path | None:
    """The folder of a run's files, if it is on this machine."""
    address = urlparse(run.info.artifact_uri)
    if address.scheme not in ("", "file"):
        return None
    return Path(unquote(address.path) if address.scheme else run.info.artifact_uri)


def no_store(location: Location, got: str) -> EvidenceError:
    """The error for a store, or a part of it, that is not there."""
    return EvidenceError(f"store {location}", got, "a store", NO_STORE)


def _experiment(client: MlflowClient, location: Location, name: str) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=_place(location, name)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # another controller was faster
    experiment_id = str(experiment.experiment_id)
    if experiment.lifecycle_stage != "active":
        raise EvidenceError(
            f"store {location}",
            f"experiment {name!r} deleted in the UI",
            "it alive",
            f"Run 'mlflow experiments restore -x {experiment_id}' with MLFLOW_TRACKING_URI="
            f"{location.address}, or choose another store.",
        )
    place = _place(location, name, experiment)
    if experiment.artifact_location != place:
        old = experiment.artifact_location
        database.move_artifacts(location, experiment_id, old=old, new=str(place))
    return experiment_id


def _place(location: Location, name: str, experiment: Experiment | None = None) -> str | None:
    """Where an experiment's files belong; on a server wherever the server keeps them."""
    if location.is_local:
        return str(location.artifacts / name.rpartition("/")[2])
    return experiment.artifact_location if experiment is not None else None


def _describe(
    client: MlflowClient, experiment_id: str, tags: Mapping[str, str], *, keeps_more: bool = False
) -> None:
    from mlflow.exceptions import MlflowException

    present = client.get_experiment(experiment_id).tags
    for name, value in tags.items():
        had = present.get(name, "")
        if had != value and not (keeps_more and had.startswith(value)):
            # Comfort, not evidence: a server that refuses the undocumented tag is no reason
            # to stop.
            with contextlib.suppress(MlflowException):
                client.set_experiment_tag(experiment_id, name, value)
