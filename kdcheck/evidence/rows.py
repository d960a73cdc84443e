"""Rows of MLflow's tables in the database of a local store, read and written without MLflow (decision 0153).

Between two trainings a question to MLflow costs some five milliseconds, and what a finished run leaves
twenty; here a tenth of that. Everything else goes through MLflow, and all of it where its tables are others.
"""

# ruff: noqa: S608 - every name in a statement is one of this module, and every value is bound

# Tables as MLflow 3.10 to 3.17 has them. What it writes and what is written here are compared row by row
# in tests/integration/test_store_rows.py.

from __future__ import annotations

import json
import sqlite3
import time
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcheck.errors import EvidenceError

if TYPE_CHECKING:
    from mlflow.entities import Run

COLUMNS = {
    "runs": {
        *("run_uuid", "name", "experiment_id", "user_id", "status", "lifecycle_stage"),
        *("start_time", "end_time", "deleted_time", "artifact_uri"),
        *("source_type", "source_name", "source_version", "entry_point_name"),
    },
    "tags": {"key", "value", "run_uuid"},
    "params": {"key", "value", "run_uuid"},
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
    "latest_metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
}
"""By table, the columns without which, or with others beside which, nothing is written here."""
ALIVE = "lifecycle_stage = 'active'"
"""Of a run or an experiment that was not deleted in the UI."""


class Rows:
    """Runs of one database. Opening costs more than a hundred questions, so the connection is kept."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(
            f"{database.as_uri()}?mode=rw",
            uri=True,
            check_same_thread=False,
            timeout=20,
            isolation_level=None,
        )
        weakref.finalize(self, self._connection.close)
        self._connection.execute("PRAGMA synchronous = NORMAL")  # as MLflow's: decision 0125
        self.are_known = all(self._columns(table) == known for table, known in COLUMNS.items())
        """Whether the tables are those that this module knows."""

    def _columns(self, table: str) -> set[str]:
        found = self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return {name for (name,) in found.fetchall()}

    def states(self, experiment_id: str, tag: str, value: str) -> list[str]:
        """States of the runs with a tag, without those that were deleted in the UI."""
        rows = self._connection.execute(
            "SELECT status FROM runs JOIN tags USING (run_uuid) WHERE key = ? AND value = ?"
            f" AND experiment_id = ? AND {ALIVE}",
            (tag, value, int(experiment_id)),
        )
        return [status for (status,) in rows.fetchall()]

    def state(self, run_id: str, tag: str) -> tuple[str, str | None]:
        """State of a run, and what a tag of it says."""
        rows = self._connection.execute(
            "SELECT status, value FROM runs LEFT JOIN tags"
            " ON tags.run_uuid = runs.run_uuid AND key = ?"
            f" WHERE runs.run_uuid = ? AND {ALIVE}",
            (tag, run_id),
        )
        return next(iter(rows.fetchall()), ("deleted", None))

    def finished(self, experiment_id: str, digest: str | None = None) -> list[Run]:
        """Finished trainings, or those of one recipe; the oldest first, without their metrics."""
        tagged = "SELECT run_uuid FROM tags WHERE key = 'digest' AND value = ?"
        condition, given = (
            ("", ()) if digest is None else (f"AND run_uuid IN ({tagged})", (digest,))
        )
        runs = self._connection.execute(
            "SELECT run_uuid, name, user_id, start_time, end_time, artifact_uri FROM runs"
            f" WHERE experiment_id = ? AND {ALIVE} AND status = 'FINISHED' {condition}"
            " ORDER BY start_time, run_uuid",
            (int(experiment_id), *given),
        ).fetchall()
        ids = json.dumps([run_id for run_id, *_ in runs])
        tags, params = self._pairs("tags", ids), self._pairs("params", ids)
        return [
            _run(
                run_id=run_id,
                run_name=name,
                experiment_id=experiment_id,
                user_id=user,
                status="FINISHED",
                start_time=began,
                end_time=ended,
                artifact_uri=place,
                tags=tags.get(run_id, {}),
                params=params.get(run_id, {}),
            )
            for run_id, name, user, began, ended, place in runs
        ]

    def _pairs(self, table: str, ids: str) -> dict[str, dict[str, str]]:
        """Values by key in a table, by run."""
        rows = self._connection.execute(
            f"SELECT run_uuid, key, value FROM {table}"
            " WHERE run_uuid IN (SELECT value FROM json_each(?))",
            (ids,),
        )
        found: dict[str, dict[str, str]] = {}
        for run_id, key, value in rows.fetchall():
            found.setdefault(run_id, {})[key] = value
        return found

    def add(self, experiment_id: str, tags: Mapping[str, str]) -> Run:
        """A new RUNNING run of an experiment, with its tags."""
        from mlflow.utils.uri import append_to_uri_path

        run_id, name, now = uuid.uuid4().hex, tags["mlflow.runName"], _now()
        with self._transaction():
            found = self._connection.execute(
                f"SELECT artifact_location FROM experiments WHERE experiment_id = ? AND {ALIVE}",
                (int(experiment_id),),
            ).fetchone()
            if found is None:
                raise EvidenceError(
                    f"store, experiment {experiment_id}",
                    "it deleted in the UI",
                    "it alive",
                    f"Run 'mlflow experiments restore -x {experiment_id}', or choose another store.",
                )
            place = append_to_uri_path(found[0], run_id, "artifacts")
            self._connection.execute(
                "INSERT INTO runs (run_uuid, name, experiment_id, user_id, status, start_time,"
                " lifecycle_stage, artifact_uri, source_type, source_name, entry_point_name,"
                " source_version) VALUES (?, ?, ?, 'unknown', 'RUNNING', ?, 'active', ?, 'UNKNOWN',"
                " '', '', '')",
                (run_id, name, int(experiment_id), now, place),
            )
            self._put("tags", run_id, tags)
        return _run(
            run_id=run_id,
            run_name=name,
            experiment_id=experiment_id,
            user_id="unknown",
            status="RUNNING",
            start_time=now,
            end_time=None,
            artifact_uri=place,
            tags=tags,
            params={},
        )

    def finish(
        self,
        run: Run,
        *,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        metrics: Sequence[tuple[str, float, int]],
    ) -> None:
        """Write what a run left and mark it as FINISHED, all or nothing.

        Metrics carry the start of the run as their time.
        """
        run_id, at = run.info.run_id, run.info.start_time
        # The last of a metric is that of the latest step; of two there, the larger, as in MLflow.
        last = {key: (key, value, step) for key, value, step in sorted(metrics, key=_by_step)}
        with self._transaction():
            self._put("params", run_id, params)
            self._put("tags", run_id, tags)
            for table, rows in (("metrics", metrics), ("latest_metrics", last.values())):
                self._connection.executemany(
                    f"INSERT OR REPLACE INTO {table} (run_uuid, timestamp, key, value, step, is_nan)"
                    " VALUES (?, ?, ?, ?, ?, 0)",
                    [(run_id, at, *row) for row in rows],
                )
            self._connection.execute(
                "UPDATE runs SET status = 'FINISHED', end_time = ? WHERE run_uuid = ?",
                (_now(), run_id),
            )

    def _put(self, table: str, run_id: str, values: Mapping[str, str]) -> None:
        self._connection.executemany(
            f"INSERT OR REPLACE INTO {table} (run_uuid, key, value) VALUES (?, ?, ?)",
            [(run_id, key, value) for key, value in values.items()],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise


def _run(*, tags: Mapping[str, str], params: Mapping[str, str], **info: Any) -> Run:
    from mlflow.entities import Param, Run, RunData, RunInfo, RunTag

    data = RunData(
        params=[Param(*pair) for pair in params.items()],
        tags=[RunTag(*pair) for pair in tags.items()],
    )
    return Run(RunInfo(lifecycle_stage="active", **info), data)


def _now() -> int:
    """Milliseconds, as MLflow counts time."""
    return int(time.time() * 1000)


def _by_step(row: tuple[str, float, int]) -> tuple[int, float]:
    _, value, step = row
    return step, value
