"""Broken stores: each gives an error that names the next step, and nothing is half-written."""

import base64
import contextlib
import http.server
import os
import shutil
import socket
import socketserver
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence.store import Store
from tests.evidence_doubles import sample_evidence, sample_recipe


def begin(store, seed=0):
    return store.begin(sample_recipe(seed), role="student", claims=[], worker="main")


def files_of(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_store_that_does_not_exist_is_not_made_by_a_worker(tmp_path):
    with pytest.raises(EvidenceError, match=r"no database mlflow\.db there.*pytest claims/"):
        Store.open(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_file_in_the_way_of_the_store_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        EvidenceError, match=r"A file is in the way; choose another place with --store"
    ):
        Store.create(tmp_path / "file" / "store")


@contextlib.contextmanager
def as_somebody_else():
    """Root may write everywhere, so be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public_folder():
    """Unlike tmp_path, all folders above it may be entered by anybody."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_store_says_so_and_stays_as_it_was(store_folder, public_folder):
    folder = public_folder / "store"
    shutil.copytree(store_folder, folder)
    store = Store.create(folder)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = files_of(folder)
    try:
        with (
            as_somebody_else(),
            pytest.raises(EvidenceError, match=r"may write to\. Make it writable \(chmod"),
        ):
            begin(store)
        assert files_of(folder) == before
    finally:
        folder.chmod(0o755)


def test_a_place_without_permission_says_so(public_folder):
    with (
        as_somebody_else(),
        pytest.raises(EvidenceError, match=r"[Pp]ermission denied.*choose another with --store"),
    ):
        Store.create(public_folder / "store")
    assert list(public_folder.iterdir()) == []


def test_a_store_deleted_in_mid_run_is_an_error_and_not_made_again(store):
    begun = begin(store)
    shutil.rmtree(store.location.folder)
    with pytest.raises(EvidenceError) as caught:
        store.finish(begun, sample_evidence())
    message = str(caught.value)
    assert "finish recipe" in message
    assert "deleted, moved or replaced the store during the run" in message
    assert "run again" in message
    assert not store.location.folder.exists()


def test_a_store_deleted_while_it_is_written_is_an_error_too(store, monkeypatch):
    """sqlite goes on writing into the deleted file and reports success."""
    begun = begin(store)
    finish = store._runs.finish

    def finish_after_deletion(*args, **kwargs):
        store.location.database.unlink()
        finish(*args, **kwargs)

    monkeypatch.setattr(store._runs, "finish", finish_after_deletion)
    with pytest.raises(EvidenceError, match="deleted, moved or replaced the store"):
        store.finish(begun, sample_evidence())


def test_a_replaced_database_is_noticed(store, store_template):
    begun = begin(store)
    store.location.database.unlink()
    shutil.copy(store_template, store.location.database)
    with pytest.raises(EvidenceError, match="deleted, moved or replaced the store"):
        store.finish(begun, sample_evidence())


@pytest.mark.parametrize("use", [Store.create, Store.open])
def test_another_schema_names_the_upgrade_and_is_not_migrated(store_folder, use):
    database = store_folder / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'abc123'")
        connection.execute("DROP TABLE webhooks")
    with pytest.raises(EvidenceError) as caught:
        use(store_folder)
    message = str(caught.value)
    assert "database schema abc123" in message
    assert f"mlflow db upgrade sqlite:///{database}" in message
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'webhooks'")
        assert tables.fetchall() == []


@pytest.mark.parametrize("use", [Store.create, Store.open])
@pytest.mark.parametrize("content", [b"not a database at all" * 99, b""])
def test_a_file_that_is_no_database_is_left_alone(tmp_path, use, content):
    (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(EvidenceError, match=r"Restore it from a copy|schema none"):
        use(tmp_path)
    assert (tmp_path / "mlflow.db").read_bytes() == content


def test_a_killed_creation_leaves_no_database_behind(tmp_path, monkeypatch):
    from mlflow.store.tracking import sqlalchemy_store

    class Killed(sqlalchemy_store.SqlAlchemyStore):
        def __init__(self, uri, _):
            Path(uri.removeprefix("sqlite:///")).write_bytes(b"half a database")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", Killed)
    with pytest.raises(EvidenceError, match="Free some space"):
        Store.create(tmp_path)
    assert files_of(tmp_path) in ([], ["create.lock"])


def test_a_deleted_experiment_names_the_restore_command(store):
    experiment = store._runs._client.get_experiment_by_name("kdcheck/trainings")
    store._runs._client.delete_experiment(experiment.experiment_id)
    with pytest.raises(EvidenceError, match=r"mlflow experiments restore -x 1"):
        Store.create(store.location)


@pytest.mark.parametrize("use", [Store.create, Store.open])
def test_a_server_that_is_down_is_reported_at_once(use):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(EvidenceError) as caught:
        use(address)
    message = str(caught.value)
    assert address in message
    assert "Connection refused" in message
    assert "Start it (mlflow server)" in message


@contextlib.contextmanager
def served(handler):
    """Address of a server of this process whose connections go to the handler."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Ssh(socketserver.StreamRequestHandler):
    """Not HTTP at all."""

    def handle(self):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


class Hangs(socketserver.StreamRequestHandler):
    """Takes the question and closes."""

    def handle(self):
        self.rfile.readline()


class Proxy(http.server.BaseHTTPRequestHandler):
    """A proxy whose server is down."""

    def do_GET(self):
        self.send_error(502)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("handler", "got"),
    [(Ssh, "BadStatusLine: SSH-2.0"), (Hangs, "closed connection"), (Proxy, "502: Bad Gateway")],
)
def test_what_answers_and_is_no_tracking_server_is_told_from_one(handler, got):
    with served(handler) as address, pytest.raises(EvidenceError) as caught:
        Store.open(f"http://{address}")
    assert got in str(caught.value)
    assert "wanted a tracking server that answers. Start it (mlflow server)" in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a b", "http://h.invalid", "http://ü:9/ü"])
def test_an_address_that_leads_nowhere_is_an_error_with_the_next_step(address):
    with pytest.raises(EvidenceError, match=r"correct its address"):
        Store.open(address)


class Guarded(Proxy):
    """A tracking server that lets nobody in, and remembers who asked."""

    code = 401
    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        if self.path == "/health":
            self.send_response(200)
            self.end_headers()
            return
        self.asked.append(self.headers["Authorization"])
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(b"Permission denied")


@pytest.mark.parametrize("code", [401, 403])
def test_a_password_in_the_address_goes_to_the_server_and_into_no_message(code, monkeypatch):
    monkeypatch.setattr(Guarded, "code", code)
    monkeypatch.setattr(Guarded, "asked", [])
    with served(Guarded) as address, pytest.raises(EvidenceError) as caught:
        Store.open(f"http://me:secret@{address}")
    assert Guarded.asked == ["Basic " + base64.b64encode(b"me:secret").decode()]
    assert f"store http://{address}, open" in str(caught.value)
    assert f"error code {code}" in str(caught.value)
    assert "MLFLOW_TRACKING_USERNAME" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_goes_down_in_mid_run_names_the_next_step(store, monkeypatch):
    """The client of a local store, pointed at a closed port, is a server that just went."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    begun = begin(store)
    monkeypatch.setattr(store._runs, "_client", MlflowClient("http://127.0.0.1:9"))
    monkeypatch.setattr(store._runs, "_rows", None)
    with pytest.raises(EvidenceError, match=r"Start it \(mlflow server\).*run again to go on"):
        store.finish(begun, sample_evidence())


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_posterior_is_found_when_it_is_read(store, damage):
    begun = begin(store)
    store.finish(begun, sample_evidence())
    [path] = store.location.artifacts.glob("trainings/*/artifacts/posteriors/test.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if damage == "flipped" else path.read_bytes()[:-20])
    with pytest.raises(EvidenceError) as caught:
        store.get(begun.recipe.digest)
    message = str(caught.value)
    assert f"run {begun.run_id}" in message
    assert "posteriors/test.parquet" in message
    assert "Delete this run (kdcheck ui" in message


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (os.mkfifo, "test.parquet is a pipe, socket or device"),
        (lambda path: path.symlink_to("/dev/zero"), "reached by a link, test.parquet"),
        (Path.mkdir, "Is a directory"),
    ],
)
def test_what_is_no_file_in_the_place_of_a_posterior_is_refused_at_once(store, put, said):
    begun = begin(store)
    store.finish(begun, sample_evidence())
    [path] = store.location.artifacts.glob("trainings/*/artifacts/posteriors/test.parquet")
    path.unlink()
    put(path)
    with pytest.raises(EvidenceError, match=said):
        store.get(begun.recipe.digest)


def test_a_run_deleted_in_the_ui_is_trained_anew(store):
    first = begin(store)
    store.finish(first, sample_evidence())
    store._runs._client.delete_run(first.run_id)
    assert store.digests() == set()
    second = begin(store)
    assert second.run_id != first.run_id
    store.finish(second, sample_evidence())
    assert store.digests() == {first.recipe.digest}
