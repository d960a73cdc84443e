"""One migrated store per session, copied for each test: making one takes seconds, copying none."""

import multiprocessing
import os
import sqlite3
from contextlib import closing

import pytest

from kdcheck.evidence.store import Store


@pytest.fixture(scope="session")
def store_template(tmp_path_factory):
    """A database that nobody writes to."""
    base = tmp_path_factory.getbasetemp()
    # Workers of pytest-xdist share it; the store's own lock lets one of them make it.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    Store.create(shared / "store-template")
    return shared / "store-template" / "mlflow.db"


@pytest.fixture
def store_folder(store_template, tmp_path):
    """Folder of a store of the test's own, empty."""
    folder = tmp_path / "store"
    folder.mkdir()
    with (
        closing(sqlite3.connect(store_template)) as template,
        closing(sqlite3.connect(folder / "mlflow.db")) as copy,
    ):
        template.backup(copy)
        copy.execute("PRAGMA journal_mode = WAL")
    return folder


@pytest.fixture
def store(store_folder):
    """A store of the test's own, empty."""
    return Store.create(store_folder)


@pytest.fixture(scope="module")
def fresh():
    """Processes that never saw this one's connections, and share one costly import."""
    context = multiprocessing.get_context("forkserver")
    costly = ("mlflow.store.tracking.sqlalchemy_store", "alembic.script", "pyarrow.parquet")
    context.set_forkserver_preload([*costly, "kdcheck.evidence.store"])
    return context
