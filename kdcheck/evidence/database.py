"""The sqlite database of a local store: created whole or not at all, checked, and moved."""

from __future__ import annotations

import http.client
import logging
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcheck.errors import EvidenceError
from kdcheck.evidence.durability import flush, wait_for_disk
from kdcheck.evidence.faults import gone, no_answer
from kdcheck.evidence.network import refuse_network
from kdcheck.evidence.patience import Patient
from kdcheck.places import SQLITE, Location

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CREATE_TIMEOUT_SECONDS = 120
SERVER_TIMEOUT_SECONDS = 10
ANSWER_SECONDS = 60
"""Of a tracking server to one question; a batch of a thousand metrics takes a second."""


def connect(location: Location) -> MlflowClient:
    """A client of its own for the store; nothing of MLflow's global state is read or set.

    The import costs two to three seconds once. The client opens the database at once.
    """
    import_mlflow()
    from mlflow.tracking import MlflowClient

    if location.database is not None:
        wait_for_disk(location.database, "NORMAL")
        return MlflowClient(tracking_uri=location.uri, registry_uri=location.uri)
    # MLflow would try seven times and longer each time, for minutes and without a word.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
    client: Any = MlflowClient(tracking_uri=location.uri, registry_uri=location.uri)
    patient: Any = Patient(client, location)
    return patient


def import_mlflow() -> None:
    """Import what a local store needs of MLflow, told to be quiet; it takes a second or two, once."""
    _quieten()
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401


def _quieten() -> None:
    # Read by MLflow when it is imported or first used: no telemetry, no bars in a log, and no link
    # to each run, in which a password of the address would be printed.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow.store.db.utils", "alembic"):
        # It prints a traceback for each error that it also raises, and a line per migration.
        logging.getLogger(name).setLevel(logging.CRITICAL)


def create_database(location: Location) -> None:
    """Create and migrate the database if there is none, and switch it to write-ahead logging.

    MLflow's own first use is not safe: two processes that open the same new file break it for
    good, and so does one that is killed on the way. So one process at a time makes it under
    another name and moves it into place when it is complete. It takes two to three seconds.
    """
    from filelock import FileLock

    assert location.database is not None
    refuse_network(location)
    location.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(location.folder / "create.lock", timeout=CREATE_TIMEOUT_SECONDS):
        if not location.database.exists():
            _make(location.database, location.artifacts)
        check_schema(location)


def _make(database: Path, artifacts: Path) -> None:
    import_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    partial = database.with_name(f"creating-{os.getpid()}.db")
    wait_for_disk(partial, "OFF")  # whole or not at all, so one sync at its end does
    try:
        SqlAlchemyStore(f"{SQLITE}{partial}", str(artifacts)).engine.dispose()
        with closing(sqlite3.connect(partial)) as connection:
            # Kept in the file; halves the time of a write and lets readers in meanwhile.
            connection.execute("PRAGMA journal_mode = WAL")
        flush(partial)
        partial.replace(database)
    finally:
        for leftover in database.parent.glob(f"{partial.name}*"):
            leftover.unlink()


def check_schema(location: Location) -> None:
    """Refuse a database that MLflow would try to migrate, or one that is none.

    MLflow migrates an older file on first use, in each process that opens it, which breaks it.
    """
    found = _schema_version(location)
    wanted = _installed_schema()
    if found != wanted:
        raise EvidenceError(
            f"store {location}",
            f"database schema {found}",
            f"{wanted}, that of the installed MLflow",
            f"Back the store up, then run 'mlflow db upgrade {location.uri}', or install the "
            "MLflow that wrote it.",
        )


def _schema_version(location: Location) -> str:
    """Revision of the schema that the file has, or ``none``."""
    with _read_only(location) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
        ).fetchall()
        if not tables:
            return "none"
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        return str(rows[0][0]) if rows else "none"


@cache
def _installed_schema() -> str:
    """Revision that the installed MLflow wants; it reads sixty scripts, so ask once a process."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    script = Path(utils.__file__).parents[1] / "db_migrations"
    return str(ScriptDirectory(str(script)).get_current_head())


@contextmanager
def _read_only(location: Location) -> Iterator[sqlite3.Connection]:
    """A connection that cannot create the file by opening it."""
    assert location.database is not None
    with closing(sqlite3.connect(f"{location.database.as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def move_artifacts(location: Location, experiment_id: str, old: str, new: str) -> None:
    """Tell MLflow that the files of an experiment are elsewhere: the folder was moved or copied.

    MLflow keeps absolute paths and has no call for this; without it new files would go to the old
    place and old ones would be missing in the UI.
    """
    assert location.database is not None
    with closing(sqlite3.connect(location.database, timeout=20)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            (new, experiment_id),
        )
        connection.execute(
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
            " WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
            (new, len(old) + 1, experiment_id, len(old), old),
        )


class Presence:
    """Remembers which file the database is, since sqlite goes on writing into a deleted one."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._identity = self._look()

    def check(self, action: str) -> None:
        """Raise an EvidenceError if the database is not the file that it was."""
        if self._look() != self._identity:
            got = f"no database {self._location.database} as it was when the run began"
            raise gone(self._location, action, got)

    def _look(self) -> Any:
        if self._location.database is None:
            return None
        try:
            stat = self._location.database.stat()
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        return stat.st_dev, stat.st_ino


def check_server(location: Location) -> None:
    """Ask the server for a sign of life; MLflow's own client would retry for minutes."""
    try:
        # Without credentials, which urllib takes for a part of the host.
        urllib.request.urlopen(f"{location.address}/health", timeout=SERVER_TIMEOUT_SECONDS).close()  # noqa: S310 - Location admits http and https alone
    except urllib.error.HTTPError as error:
        error.close()
        # Below 500 it answers: not every server has that page, or shows it to everybody.
        if error.code >= 500:
            raise no_answer(location, str(error)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        got = f"no answer of a tracking server ({type(error).__name__}: {error})"
        raise no_answer(location, got) from error
