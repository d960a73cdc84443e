"""What a local database waits for: a power cut may cost a run, a killed process nothing."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
import sqlalchemy

from kdcheck.evidence import database
from kdcheck.evidence.durability import wait_for_disk
from kdcheck.places import Location

FULL, NORMAL, OFF = 2, 1, 0

INSERT_AND_DIE = """
import os, signal, sys
from pathlib import Path
import sqlalchemy
from kdcheck.evidence.durability import wait_for_disk
wait_for_disk(Path(sys.argv[1]), "NORMAL")
with sqlalchemy.create_engine(f"sqlite:///{sys.argv[1]}").begin() as connection:
    connection.exec_driver_sql("INSERT INTO rows VALUES (7)")
os.kill(os.getpid(), signal.SIGKILL)
"""


def level(uri):
    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    engine.dispose()  # Python 3.13 warns of what is left open
    return found


def test_a_store_syncs_at_no_commit_and_other_databases_as_they_did(tmp_path):
    ours, others = tmp_path / "store" / "mlflow.db", tmp_path / "others.db"
    ours.parent.mkdir()
    (tmp_path / "link").symlink_to(ours.parent)
    wait_for_disk(tmp_path / "link" / "mlflow.db", "NORMAL")
    assert level(f"sqlite:///{ours}") == NORMAL
    assert level(f"sqlite:///{others}") == FULL
    assert level("sqlite://") == FULL


def test_a_client_of_a_local_store_waits_for_no_sync(tmp_path):
    location = Location.parse(tmp_path / "store")
    database.create_database(location)
    assert database.connect(location).search_experiments()  # a first use opens the database
    assert level(location.uri) == NORMAL


def test_a_new_database_is_on_the_disk_whole_before_it_has_its_name(tmp_path, monkeypatch):
    location = Location.parse(tmp_path / "store")
    found, flush = [], database.flush

    def watched(partial):
        with closing(sqlite3.connect(partial)) as connection:
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        found.append((level(f"sqlite:///{partial}"), version, location.database.exists()))
        flush(partial)

    monkeypatch.setattr(database, "flush", watched)
    database.create_database(location)
    assert found == [(OFF, database._installed_schema(), False)]
    assert location.database.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_takes_no_commit_away(tmp_path):
    file = tmp_path / "some.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE rows (number)")
    died = subprocess.run([sys.executable, "-c", INSERT_AND_DIE, str(file)], check=False)
    assert died.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT number FROM rows").fetchall() == [(7,)]
