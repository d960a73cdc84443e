"""Rows of MLflow's tables in small: what is asked and written in SQL, and that it is all or nothing.

That MLflow writes the same is tested in ``integration/test_store_rows.py``.
"""

# ruff: noqa: S608 - every statement is one of these tests

from __future__ import annotations

import gc
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence import rows as room
from kdcheck.evidence.rows import COLUMNS, Rows

TABLES = """
CREATE TABLE experiments (experiment_id INTEGER, artifact_location, lifecycle_stage);
CREATE TABLE runs (run_uuid, name, experiment_id INTEGER, user_id, status, lifecycle_stage, start_time,
    end_time, deleted_time, artifact_uri, source_type, source_name, source_version, entry_point_name);
CREATE TABLE tags (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
CREATE TABLE params (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan,
    PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE latest_metrics (key, value, timestamp, run_uuid, step, is_nan, PRIMARY KEY (key, run_uuid));
INSERT INTO experiments VALUES (1, '/files/a', 'active'), (2, '/files/b', 'active'), (3, '/c', 'deleted');
INSERT INTO runs (run_uuid, name, experiment_id, user_id, status, lifecycle_stage, start_time, end_time,
    artifact_uri) VALUES
    ('r1', 'one', 1, 'me', 'RUNNING', 'active', 10, NULL, '/files/a/r1'),
    ('r2', 'two', 1, 'me', 'FINISHED', 'active', 30, 31, '/files/a/r2'),
    ('r3', 'three', 2, 'me', 'FINISHED', 'active', 5, 6, '/files/b/r3'),
    ('r4', 'four', 1, 'me', 'FINISHED', 'deleted', 1, 2, '/files/a/r4'),
    ('r6', 'six', 1, 'you', 'FINISHED', 'active', 20, 22, '/files/a/r6'),
    ('r5', 'five', 1, 'me', 'FINISHED', 'active', 20, 21, '/files/a/r5');
INSERT INTO tags (run_uuid, key, value) VALUES
    ('r1', 'digest', 'd'), ('r1', 'attempt', 'x'), ('r2', 'digest', 'e'), ('r2', 'other', 'd'),
    ('r3', 'digest', 'd'), ('r4', 'digest', 'd'), ('r4', 'attempt', 'y'), ('r5', 'digest', 'd');
INSERT INTO params (run_uuid, key, value) VALUES ('r2', 'seed', '3'), ('r5', 'seed', '4'), ('r5', 'k', 'v');
"""


@pytest.fixture
def database(tmp_path) -> Path:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.executescript(TABLES)
    return tmp_path / "mlflow.db"


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time of day, which a test may move on."""
    made = SimpleNamespace(now=12.3456)
    monkeypatch.setattr(room, "time", SimpleNamespace(time=lambda: made.now))
    return made


@pytest.fixture
def rows(database, clock) -> Rows:
    return Rows(database)


def read(database: Path, statement: str) -> list[tuple[Any, ...]]:
    """What another connection sees."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()


def test_a_database_is_opened_to_be_written_at_no_sync_and_is_never_made(
    database, monkeypatch, tmp_path
) -> None:
    opened, connect = [], sqlite3.connect

    def record(place: str, **options: Any) -> sqlite3.Connection:
        opened.append((place, options))
        return connect(place, **options)

    monkeypatch.setattr(room.sqlite3, "connect", record)
    rows = Rows(database)
    options = {"uri": True, "check_same_thread": False, "timeout": 20, "isolation_level": None}
    assert opened == [(f"file://{database}?mode=rw", options)]
    assert rows._connection.execute("PRAGMA synchronous").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        Rows(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    connection = rows._connection
    del rows
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


@pytest.mark.parametrize("table", COLUMNS)
@pytest.mark.parametrize("change", ["ADD COLUMN more", "RENAME COLUMN run_uuid TO run_id"])
def test_tables_with_other_columns_are_not_known(database, table: str, change: str) -> None:
    assert Rows(database).are_known is True
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"ALTER TABLE {table} {change}")
    assert Rows(database).are_known is False
    gc.collect()


def test_states_are_those_of_an_experiment_with_a_tag_without_deleted_runs(rows) -> None:
    assert rows.states("1", "digest", "d") == ["RUNNING", "FINISHED"]
    assert rows.states("2", "digest", "d") == ["FINISHED"]
    assert rows.states("1", "digest", "none") == []


def test_a_state_comes_with_what_a_tag_says_or_nothing(rows) -> None:
    assert rows.state("r1", "attempt") == ("RUNNING", "x")
    assert rows.state("r2", "attempt") == ("FINISHED", None)
    assert rows.state("r4", "attempt") == ("deleted", None)
    assert rows.state("none", "attempt") == ("deleted", None)


def told(run: Any) -> dict[str, Any]:
    return {**dict(run.info), "tags": run.data.tags, "params": run.data.params}


FIVE = {
    "run_id": "r5",
    "run_name": "five",
    "experiment_id": "1",
    "user_id": "me",
    "status": "FINISHED",
    "lifecycle_stage": "active",
    "start_time": 20,
    "end_time": 21,
    "artifact_uri": "/files/a/r5",
    "tags": {"digest": "d"},
    "params": {"seed": "4", "k": "v"},
}


def test_finished_trainings_come_the_oldest_first_with_their_own_tags_and_parameters(rows) -> None:
    five, six, two = rows.finished("1")
    assert told(five) == FIVE
    assert told(six) == FIVE | {
        "run_id": "r6", "run_name": "six", "user_id": "you", "end_time": 22,
        "artifact_uri": "/files/a/r6", "tags": {}, "params": {},
    }  # fmt: skip
    assert (two.info.run_id, two.info.start_time) == ("r2", 30)
    assert (two.data.tags, two.data.params) == ({"digest": "e", "other": "d"}, {"seed": "3"})
    assert [run.info.run_id for run in rows.finished("1", "d")] == ["r5"]
    assert [run.info.run_id for run in rows.finished("2")] == ["r3"]
    assert rows.finished("1", "none") == []


def test_a_new_run_is_a_row_of_its_experiment_with_its_tags(rows, database) -> None:
    tags = {"mlflow.runName": "new", "digest": "f"}
    run = rows.add("1", tags)
    run_id = run.info.run_id
    assert len(run_id) == 32
    place = f"/files/a/{run_id}/artifacts"
    assert told(run) == {
        "run_id": run_id,
        "run_name": "new",
        "experiment_id": "1",
        "user_id": "unknown",
        "status": "RUNNING",
        "lifecycle_stage": "active",
        "start_time": 12345,
        "end_time": None,
        "artifact_uri": place,
        "tags": tags,
        "params": {},
    }
    assert read(database, f"SELECT * FROM runs WHERE run_uuid = '{run_id}'") == [
        (run_id, "new", 1, "unknown", "RUNNING", "active", 12345, None, None, place,
         "UNKNOWN", "", "", ""),
    ]  # fmt: skip
    found = read(database, f"SELECT key, value FROM tags WHERE run_uuid = '{run_id}'")
    assert dict(found) == tags
    assert rows.add("2", tags).info.artifact_uri.startswith("/files/b/")


def test_nothing_is_begun_in_a_deleted_experiment(rows, database) -> None:
    before = read(database, "SELECT * FROM runs")
    told = (
        "store, experiment 3: got it deleted in the UI; wanted it alive. "
        "Run 'mlflow experiments restore -x 3', or choose another store."
    )
    with pytest.raises(EvidenceError, match=f"^{re.escape(told)}$"):
        rows.add("3", {"mlflow.runName": "new"})
    assert read(database, "SELECT * FROM runs") == before
    assert not rows._connection.in_transaction


METRICS = [("m", 0.5, 9), ("m", 0.7, 2), ("n", -2.0, 4), ("n", -1.0, 4), ("n", -3.0, 4)]


def test_what_a_run_left_is_written_with_the_latest_of_each_metric_and_its_end(
    rows, database, clock
) -> None:
    run = rows.add("1", {"mlflow.runName": "new", "digest": "f"})
    run_id = run.info.run_id
    other = read(database, f"SELECT * FROM runs WHERE run_uuid != '{run_id}'")
    left = {"params": {"p": "1"}, "tags": {"digest": "g", "t": "2"}, "metrics": METRICS}
    clock.now = 20.0
    rows.finish(run, **left)
    rows.finish(run, **left)
    of_run = f"WHERE run_uuid = '{run_id}'"
    assert read(database, f"SELECT key, value FROM params {of_run}") == [("p", "1")]
    assert dict(read(database, f"SELECT key, value FROM tags {of_run}")) == {
        "mlflow.runName": "new", "digest": "g", "t": "2",
    }  # fmt: skip
    asked = "SELECT key, value, step, timestamp, is_nan FROM"
    assert sorted(read(database, f"{asked} metrics {of_run}")) == sorted(
        (*each, 12345, 0) for each in METRICS
    )
    assert sorted(read(database, f"{asked} latest_metrics {of_run}")) == [
        ("m", 0.5, 9, 12345, 0), ("n", -1.0, 4, 12345, 0),
    ]  # fmt: skip
    ended = read(database, f"SELECT status, start_time, end_time FROM runs {of_run}")
    assert ended == [("FINISHED", 12345, 20000)]
    assert read(database, f"SELECT * FROM runs WHERE run_uuid != '{run_id}'") == other
    assert read(database, f"SELECT * FROM metrics WHERE run_uuid != '{run_id}'") == []


def test_a_write_holds_the_database_from_its_start_and_is_undone_where_it_fails(
    rows, database
) -> None:
    run = rows.add("1", {"mlflow.runName": "new"})
    statements: list[str] = []
    rows._connection.set_trace_callback(statements.append)
    rows.finish(run, params={}, tags={}, metrics=METRICS)
    assert (statements[0], statements[-1]) == ("BEGIN IMMEDIATE", "COMMIT")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "CREATE TRIGGER full AFTER INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        rows.finish(run, params={"p": "1"}, tags={}, metrics=[("o", 1.0, 1)])
    assert statements[-1] == "ROLLBACK"
    assert read(database, "SELECT * FROM params WHERE key = 'p'") == []
