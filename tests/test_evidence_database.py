"""The sqlite database of a store in small: what is opened how, what is asked in SQL, and each refusal."""

from __future__ import annotations

import http.client
import io
import logging
import os
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import mlflow.store.tracking.sqlalchemy_store as stores
import mlflow.tracking
import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence import database
from kdcheck.evidence.patience import Patient
from kdcheck.places import Location

SERVER = Location.parse("http://me:secret@h:5")
VARIABLES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}


def parts(act) -> tuple[str, str, str, str]:
    with pytest.raises(EvidenceError) as caught:
        act()
    error = caught.value
    return error.who, error.got, error.wanted, error.next_step


@pytest.fixture
def location(tmp_path) -> Location:
    return Location.parse(tmp_path / "store")


@pytest.fixture
def made(location) -> Location:
    """A store whose database has the tables that are asked in SQL, and nothing else."""
    location.folder.mkdir()
    with closing(sqlite3.connect(location.database)) as connection, connection:
        connection.executescript(
            """
            CREATE TABLE alembic_version (version_num);
            CREATE TABLE experiments (experiment_id INTEGER, artifact_location);
            CREATE TABLE runs (run_uuid, experiment_id INTEGER, artifact_uri);
            INSERT INTO alembic_version VALUES ('abc');
            INSERT INTO experiments VALUES (1, '/old/a'), (2, '/old/a');
            INSERT INTO runs VALUES
                ('r1', 1, '/old/a/r1'), ('r2', 1, '/older/r2'), ('r3', 2, '/old/a/r3');
            """
        )
    return location


@pytest.fixture
def opened(monkeypatch) -> list[tuple[Any, dict[str, Any]]]:
    """How connections were opened."""
    calls, connect = [], sqlite3.connect

    def record(place: Any, **options: Any) -> sqlite3.Connection:
        calls.append((place, options))
        return connect(place, **options)

    monkeypatch.setattr(database.sqlite3, "connect", record)
    return calls


@pytest.fixture
def environment(monkeypatch):
    """None of the variables that MLflow reads."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("own", [None, "7"])
def test_mlflow_is_told_to_be_quiet_and_quick_unless_its_user_said_otherwise(monkeypatch, own):
    if own is not None:
        for name in VARIABLES:
            monkeypatch.setenv(name, own)
    for name in ("mlflow.store.db.utils", "alembic"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.INFO)
    database.connect(SERVER)
    assert {name: os.environ[name] for name in VARIABLES} == (
        VARIABLES if own is None else dict.fromkeys(VARIABLES, own)
    )
    for name in ("mlflow.store.db.utils", "alembic"):
        assert logging.getLogger(name).level == logging.CRITICAL


@pytest.fixture
def clients(monkeypatch):
    monkeypatch.setattr(mlflow.tracking, "MlflowClient", SimpleNamespace)


@pytest.mark.usefixtures("clients", "environment")
def test_a_client_has_its_own_addresses_and_that_of_a_server_is_patient(location, monkeypatch):
    waits = []
    monkeypatch.setattr(database, "wait_for_disk", lambda *given: waits.append(given))
    client = database.connect(location)
    assert vars(client) == {"tracking_uri": location.uri, "registry_uri": location.uri}
    assert waits == [(location.database, "NORMAL")]
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    remote = database.connect(SERVER)
    assert isinstance(remote, Patient)
    assert (remote.tracking_uri, remote.registry_uri) == (SERVER.uri, SERVER.uri)
    assert (remote._location, len(waits)) == (SERVER, 1)


def test_one_process_at_a_time_makes_a_database_where_there_is_none(location, monkeypatch):
    done, locks = [], []

    class Lock(filelock.FileLock):
        def __init__(self, path, timeout):
            locks.append((path, timeout))
            super().__init__(path, timeout=timeout)

    def make(*given):
        done.append(given)
        location.database.touch()

    monkeypatch.setattr(filelock, "FileLock", Lock)
    monkeypatch.setattr(database, "_make", make)
    monkeypatch.setattr(database, "check_schema", done.append)
    deep = Location.parse(location.folder / "a" / "b")
    monkeypatch.setattr(database, "refuse_network", lambda place: done.append(("network", place)))
    database.create_database(location)
    database.create_database(location)
    checked = [("network", location), location]
    assert done == [checked[0], (location.database, location.artifacts), location, *checked]
    assert locks == [(location.folder / "create.lock", 120)] * 2
    monkeypatch.setattr(database, "_make", lambda *_: None)
    database.create_database(deep)
    assert deep.folder.is_dir()


def test_a_database_is_made_under_another_name_and_gets_its_own_when_it_is_whole(
    location, monkeypatch
):
    location.folder.mkdir()
    partial = location.folder / f"creating-{os.getpid()}.db"
    done = []

    class Store:
        def __init__(self, uri, artifacts):
            done.append((uri, artifacts))
            with closing(sqlite3.connect(partial)) as connection, connection:
                connection.execute("CREATE TABLE made (x)")
            self.engine = SimpleNamespace(dispose=lambda: done.append("disposed"))

    def flush(file):
        done.append(("flushed", file, location.database.exists()))
        Path(f"{partial}-wal").touch()
        (location.folder / "other.db").touch()

    monkeypatch.setattr(stores, "SqlAlchemyStore", Store)
    monkeypatch.setattr(database, "wait_for_disk", lambda *given: done.append(given))
    monkeypatch.setattr(database, "flush", flush)
    database._make(location.database, location.artifacts)
    assert done == [
        (partial, "OFF"),
        (f"sqlite:///{partial}", str(location.artifacts)),
        "disposed",
        ("flushed", partial, False),
    ]
    assert sorted(path.name for path in location.folder.iterdir()) == ["mlflow.db", "other.db"]
    with closing(sqlite3.connect(location.database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_creation_that_fails_leaves_nothing(location, monkeypatch):
    location.folder.mkdir()

    def fail(*_):
        (location.folder / f"creating-{os.getpid()}.db").touch()
        raise OSError("no space")

    monkeypatch.setattr(stores, "SqlAlchemyStore", fail)
    with pytest.raises(OSError, match="no space"):
        database._make(location.database, location.artifacts)
    assert list(location.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DROP TABLE alembic_version", "none"),
        ("DELETE FROM alembic_version", "none"),
        ("UPDATE alembic_version SET version_num = 'abd'", "abd"),
    ],
)
def test_a_database_of_another_schema_is_told_with_both(made, opened, monkeypatch, change, found):
    monkeypatch.setattr(database, "_installed_schema", lambda: "abc")
    database.check_schema(made)
    assert opened == [(f"file://{made.database}?mode=ro", {"uri": True})]
    with closing(sqlite3.connect(made.database)) as connection, connection:
        connection.execute(change)
    assert parts(lambda: database.check_schema(made)) == (
        f"store {made}",
        f"database schema {found}",
        "abc, that of the installed MLflow",
        (
            f"Back the store up, then run 'mlflow db upgrade {made.uri}', or install the MLflow that "
            "wrote it."
        ),
    )


def test_the_schema_of_the_installed_mlflow_is_asked_once():
    found = database._installed_schema()
    assert len(found) == 12
    assert database._installed_schema() is found


def test_files_of_an_experiment_are_moved_without_those_of_others(made, opened):
    database.move_artifacts(made, "1", old="/old/a", new="/elsewhere")
    assert opened == [(made.database, {"timeout": 20})]
    with closing(sqlite3.connect(made.database)) as connection:
        experiments = connection.execute("SELECT * FROM experiments").fetchall()
        runs = connection.execute("SELECT run_uuid, artifact_uri FROM runs").fetchall()
    assert experiments == [(1, "/elsewhere"), (2, "/old/a")]
    assert runs == [("r1", "/elsewhere/r1"), ("r2", "/older/r2"), ("r3", "/old/a/r3")]


def test_a_database_that_is_another_than_at_the_start_is_told_whenever_it_is_asked_for(made):
    presence = database.Presence(made)
    presence.check("look")
    told = (
        f"store {made}, look",
        f"no database {made.database} as it was when the run began",
        "the database it had at the start",
    )
    copy = made.database.with_name("copy")
    copy.write_bytes(made.database.read_bytes())
    copy.replace(made.database)
    assert parts(lambda: presence.check("look"))[:3] == told
    presence = database.Presence(made)
    presence.check("look")
    made.database.unlink()
    assert parts(lambda: presence.check("look"))[:3] == told
    database.Presence(made).check("there was none")
    made.folder.rename(made.folder.with_name("moved"))
    made.folder.touch()
    assert parts(lambda: presence.check("look"))[:3] == told
    database.Presence(SERVER).check("of a server nobody knows")


def answers(monkeypatch, error: Exception | None) -> list[Any]:
    """Let whatever is asked over the network end so; what was asked and closed."""
    asked: list[Any] = []

    def urlopen(address, timeout):
        asked.append((address, timeout))
        if error is not None:
            raise error
        return SimpleNamespace(close=lambda: asked.append("closed"))

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def code(number: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError(
        "http://h:5/health", number, "Why", http.client.HTTPMessage(), io.BytesIO()
    )


@pytest.mark.parametrize("error", [None, code(404), code(499)])
def test_a_server_that_answers_is_one_whatever_it_says_below_500(monkeypatch, error):
    asked = answers(monkeypatch, error)
    database.check_server(SERVER)
    assert asked[0] == ("http://h:5/health", 10)
    assert asked[1:] == ([] if error else ["closed"])
    assert error is None or error.closed


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (code(500), "HTTP Error 500: Why"),
        (code(503), "HTTP Error 503: Why"),
        (OSError("refused"), "no answer of a tracking server (OSError: refused)"),
        (http.client.BadStatusLine("SSH"), "no answer of a tracking server (BadStatusLine: SSH)"),
        (ValueError("port"), "no answer of a tracking server (ValueError: port)"),
    ],
)
def test_a_server_that_does_not_answer_as_one_is_told_by_what_it_said(monkeypatch, error, got):
    answers(monkeypatch, error)
    assert parts(lambda: database.check_server(SERVER))[:3] == (
        "store http://h:5, connect", got, "a tracking server that answers",
    )  # fmt: skip
