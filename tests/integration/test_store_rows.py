"""What is written beside MLflow is what MLflow would have written, all of it or nothing."""

import re
import sqlite3
from contextlib import closing

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence.layout import TRAININGS
from kdcheck.evidence.rows import COLUMNS, Rows
from kdcheck.evidence.store import Store
from kdcheck.evidence.tracking import FINISHED
from tests.evidence_doubles import add, record, sample_evidence, sample_judged, sample_recipe


def tables(store):
    """All rows of a store's runs; moments and what is drawn anew for each run in words of their own."""
    with closing(sqlite3.connect(store.location.database)) as connection:
        found = {}
        for table in COLUMNS:
            cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - a name of ours
            names = [name for name, *_ in cursor.description]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    ids = {row["run_uuid"]: f"run {index}" for index, row in enumerate(found["runs"])}
    began = {row["run_uuid"]: row["start_time"] for row in found["runs"]}
    drawn = ("kdcheck.session", "kdcheck.attempt", "kdcheck.started", "kdcheck.pid")

    def shown(row):
        told = dict(row, run_uuid=ids[row["run_uuid"]])
        if "timestamp" in told:
            told["timestamp"] -= began[row["run_uuid"]]
        if "end_time" in told:
            began_at, ended_at = told.pop("start_time"), told.pop("end_time")
            told["ended_after_it_began"] = ended_at and ended_at >= began_at
        told["artifact_uri"] = (
            str(told.get("artifact_uri")).partition("/artifacts/")[2].partition("/")[0]
        )
        if told.get("key") in drawn:
            told["value"] = "drawn"
        if told.get("key") == "mlflow.note.content":  # names runs by their ids
            told["value"] = re.sub(r"[0-9a-f]{32}", "some run", told["value"])
        return sorted((name, repr(value)) for name, value in told.items())

    return {table: sorted(map(shown, rows)) for table, rows in found.items()}


@pytest.fixture
def by_mlflow(tmp_path, store_template):
    """A store whose runs MLflow writes, as on a server."""
    store = Store.create(tmp_path / "by-mlflow")
    store._runs._rows = None
    return store


def test_every_row_of_trainings_and_claims_is_as_mlflow_writes_it(store, by_mlflow):
    for each in (store, by_mlflow):
        record(each, sample_judged())
        add(each, 7, claims=["c[a]", "d"])
    ours, theirs = tables(store), tables(by_mlflow)
    assert {table: len(rows) for table, rows in ours.items()} == {
        table: len(rows) for table, rows in theirs.items()
    }
    for table, rows in theirs.items():
        assert ours[table] == rows
    assert len(theirs["latest_metrics"]) > len(theirs["runs"]) > 1


def test_of_a_metric_the_latest_step_is_shown_and_of_two_there_the_larger(store, by_mlflow):
    rows = [("a", 3.0, 9), ("a", 5.0, 2), ("b", -1.0, 0), ("b", -2.0, 0), ("c", 0.0, 10**12)]
    for each in (store, by_mlflow):
        run = each._runs.add(TRAININGS, {"digest": "d", "mlflow.runName": "named"})
        each._runs.finish(run, params={"p": "1"}, tags={"digest": "e"}, metrics=rows)
    ours, theirs = tables(store), tables(by_mlflow)
    assert ours == theirs
    latest = {dict(row)["key"]: dict(row)["value"] for row in ours["latest_metrics"]}
    assert latest == {"'a'": "3.0", "'b'": "-1.0", "'c'": "0.0"}
    assert [dict(row)["value"] for row in ours["tags"]] == ["'e'", "'named'"]


def test_finished_trainings_are_those_that_mlflow_finds_in_its_order(store):
    digests = [add(store, seed) for seed in (5, 3, 4)]
    store.begin(sample_recipe(9), role="r", claims=[], worker="w")
    record(store, sample_judged())
    [deleted] = store._runs.finished(digests[1])
    store._runs._client.delete_run(deleted.info.run_id)
    found, wanted = store._runs.finished(), store._runs.search(TRAININGS, FINISHED)
    assert [dict(run.info) for run in found] == [dict(run.info) for run in wanted]
    assert [(r.data.tags, r.data.params) for r in found] == [
        (r.data.tags, r.data.params) for r in wanted
    ]
    assert len(found) > 2
    assert [run.data.tags["digest"] for run in store._runs.finished(digests[2])] == digests[2:]
    assert store._runs.finished(digests[1]) == store._runs.finished("none of them") == []


def test_nothing_is_begun_in_an_experiment_that_was_deleted_meanwhile(store):
    store._runs._client.delete_experiment(store._runs.experiments[TRAININGS])
    before = tables(store)
    with pytest.raises(EvidenceError, match=r"deleted in the UI.*mlflow experiments restore -x 1'"):
        store.begin(sample_recipe(0), role="r", claims=[], worker="w")
    assert tables(store) == before
    with closing(sqlite3.connect(store.location.database)) as connection, connection:
        connection.execute("DELETE FROM experiments WHERE experiment_id = 1")  # as mlflow gc does
    with pytest.raises(EvidenceError, match="deleted in the UI"):
        store.begin(sample_recipe(0), role="r", claims=[], worker="w")


@pytest.mark.parametrize("table", ["params", "tags", "metrics", "latest_metrics", "runs"])
def test_a_write_that_fails_half_way_leaves_nothing_of_it_and_can_be_done_again(store, table):
    begun = store.begin(sample_recipe(0), role="r", claims=["c"], worker="w")
    before = tables(store)
    event = "UPDATE" if table == "runs" else "INSERT"
    with closing(sqlite3.connect(store.location.database)) as connection:
        connection.execute(
            f"CREATE TRIGGER full AFTER {event} ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    with pytest.raises(EvidenceError, match="wanted room on the disk"):
        store.finish(begun, sample_evidence(sample_recipe(0)))
    assert tables(store) == before
    with closing(sqlite3.connect(store.location.database)) as connection:
        connection.execute("DROP TRIGGER full")
    store.finish(begun, sample_evidence(sample_recipe(0)))
    assert store.digests() == {begun.recipe.digest}


def test_a_commit_that_fails_leaves_the_store_to_others_and_can_be_done_again(store_folder):
    database = store_folder / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        # As a file that MLflow made itself: there a commit waits for whoever reads.
        connection.execute("PRAGMA journal_mode = DELETE")
    rows = Rows(database)
    rows._connection.execute("PRAGMA busy_timeout = 10")
    tags = {"mlflow.runName": "named"}
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM runs").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            rows.add("0", tags)
        reader.execute("COMMIT")
        reader.execute("BEGIN IMMEDIATE")
        reader.execute("COMMIT")
    run = rows.add("0", tags)
    assert rows.state(run.info.run_id, "mlflow.runName") == ("RUNNING", "named")


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_tables_of_another_shape_are_left_to_mlflow(store_folder, table):
    Store.create(store_folder)
    with closing(sqlite3.connect(store_folder / "mlflow.db")) as connection:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN of_a_later_version TEXT")
    store = Store.open(store_folder)
    assert store._runs._rows is None
    digest = add(store)
    assert (store.digests(), store.get(digest).recipe.digest) == ({digest}, digest)
