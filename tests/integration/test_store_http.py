"""A store behind MLflow's own server, whose application runs in a thread here: no process, no waiting."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from kdcheck.engine import loop
from kdcheck.errors import BusyError
from kdcheck.evidence import owner, patience, tracking
from kdcheck.evidence.layout import TRAININGS
from kdcheck.evidence.leases import LEASE_SECONDS, Leases
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.study import work as room
from kdcheck.study.graph import build
from kdcheck.study.work import Job, Worker, work
from tests.evidence_doubles import add, record, sample_evidence, sample_judged, sample_recipe
from tests.study_doubles import KD, SELF, NamedDigests, entropy_gap, evidence, scale

# A warning that is an error would be an answer with code 500: what the server's libraries warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a tracking server with an empty database, a password in it."""
    from mlflow import server
    from mlflow.server import handlers

    with closing(sqlite3.connect(store_folder / "mlflow.db")) as made, made:
        # Made again by whoever uses the server, or their files would be in a folder of this machine.
        for table in ("experiment_tags", "experiments"):
            made.execute(f"DELETE FROM {table} WHERE experiment_id != 0")  # noqa: S608 - our own
    for name, value in (
        (server.BACKEND_STORE_URI_ENV_VAR, f"sqlite:///{store_folder}/mlflow.db"),
        (server.ARTIFACTS_DESTINATION_ENV_VAR, str(tmp_path / "files")),
        (server.ARTIFACT_ROOT_ENV_VAR, "mlflow-artifacts:/"),
        (server.SERVE_ARTIFACTS_ENV_VAR, "true"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(patience, "WAIT_SECONDS", 1)  # whatever goes wrong ends soon
    for name in ("_tracking_store", "_model_registry_store", "_artifact_repo"):
        monkeypatch.setattr(handlers, name, None)  # as in a process of its own
    with make_server("127.0.0.1", 0, server.app, Threads, Quiet) as http:
        threading.Thread(target=partial(http.serve_forever, 0.01), daemon=True).start()
        yield f"http://me:secret@127.0.0.1:{http.server_port}"
        http.shutdown()


def test_what_is_stored_over_http_comes_back_and_no_password_is_printed(
    address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    judged = sample_judged(seeds=(0,))
    writer = Store.create(address)
    record(writer, judged)
    writer.leave()
    store = Store.open(address)
    back = store.get(sample_recipe().digest, trajectory=True)
    for old, new in zip(sample_evidence().points, back.points, strict=True):
        assert old.values == new.values
        for split, predictions in old.predictions.items():
            assert (predictions.logits_NK == new.predictions[split].logits_NK).all()
    (again,) = store.claims()
    assert again.verdict.to_dict() == judged.verdict.to_dict()
    assert store.digests() == set(judged.table.digests())
    assert list((tmp_path / "files").rglob("*.parquet")), "files went through the server too"
    said = capfd.readouterr()
    assert "secret" not in said.out + said.err


@pytest.fixture
def machines(address, tmp_path, monkeypatch):
    """Study on a machine of some name: a thread of that name, with a work folder and locks of its own."""
    monkeypatch.setattr(owner.platform, "node", lambda: threading.current_thread().name)
    monkeypatch.setattr(tracking, "Leases", Named)
    monkeypatch.setattr(room, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(room.Resources, "inputs_of", lambda self, recipe: None)
    graph = build([entropy_gap(KD, SELF)], scale(tasks=("a",)), (0, 1), NamedDigests())
    Store.create(address)

    def on(name: str, train) -> SimpleNamespace:
        here = SimpleNamespace(name=name, trained=[], errors=[])

        def study() -> None:
            places = Places.resolve(store=address, work=tmp_path / name)
            here.store = Store.open(address)
            monkeypatch.setattr(loop, "train", partial(train_by_machine, trainers))
            try:
                work(Job.of(graph, places), here.store, Worker("w0"))
            except Stopped:
                here.errors.append("stopped")

        def trained(recipe):
            here.trained.append(recipe.digest)
            return train(recipe)

        trainers[name] = trained
        here.thread = threading.Thread(target=study, name=name)
        here.thread.start()
        return here

    trainers: dict = {}
    return on


class Stopped(BaseException):
    """Ends a thread as a power cut would: nothing is told to anybody."""


class Named(Leases):
    """Leases whose heart beats as the machine that they are of."""

    seconds = LEASE_SECONDS

    def __init__(self, client) -> None:
        super().__init__(client, lease_seconds=self.seconds)
        self._name = threading.current_thread().name

    def _go_on(self) -> None:
        threading.current_thread().name = self._name
        super()._go_on()


def train_by_machine(trainers, recipe, _inputs, **_):
    return trainers[threading.current_thread().name](recipe)


def runs_of(address: str) -> list:
    return Store.open(address)._runs.search(TRAININGS, "")


def test_two_machines_share_the_work_and_train_nothing_twice(address, machines):
    both = threading.Barrier(2, timeout=60)

    def train(recipe):
        if len(met) < 2:  # each has begun one by then
            met.append(recipe.digest)
            both.wait()
        return evidence(recipe)

    met: list[str] = []
    one, two = machines("one", train), machines("two", train)
    for each in (one, two):
        each.thread.join(60)
    runs = runs_of(address)
    assert Counter(run.data.tags["digest"] for run in runs) == Counter(one.trained + two.trained)
    assert len(runs) == len(set(one.trained + two.trained)) == 8
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["kdcheck.host"] for run in runs} == {"one", "two"}
    assert len(set(met)) == 2


def test_what_a_machine_trained_that_has_died_is_taken_up_after_a_lease(
    address, machines, monkeypatch
):
    monkeypatch.setattr(Named, "seconds", 0.3)
    begun = threading.Event()

    def die(recipe):
        one.store._leases._stop.set()  # its heart
        one.store._leases.leave = lambda: None
        begun.set()
        raise Stopped

    one = machines("one", die)
    assert begun.wait(60)
    one.thread.join(60)
    (left,) = runs_of(address)
    assert (left.info.status, left.data.tags["kdcheck.host"]) == ("RUNNING", "one")
    two = machines("two", evidence)
    two.thread.join(60)
    runs = runs_of(address)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["kdcheck.host"] for run in runs} == {"two"}
    assert left.info.run_id in {run.info.run_id for run in runs}, "the same run, taken up"
    assert sorted(two.trained) == sorted(run.data.tags["digest"] for run in runs)
    assert len(runs) == 8


def test_what_a_machine_leaves_in_order_is_free_at_once_and_what_it_holds_is_not(
    address, monkeypatch
):
    monkeypatch.setattr(owner.platform, "node", lambda: threading.current_thread().name)
    one, two = Store.create(address), Store.open(address)
    options = {"role": "r", "claims": [], "worker": "w"}

    def on_another_machine(action):
        found: list = []
        thread = threading.Thread(target=lambda: found.append(action()), name="another")
        thread.start()
        thread.join(60)
        return found

    one.begin(sample_recipe(), **options)

    def busy():
        with pytest.raises(BusyError, match="another machine"):
            two.begin(sample_recipe(), **options)
        return True

    assert on_another_machine(busy) == [True]
    one.leave()
    (taken_up,) = on_another_machine(lambda: two.begin(sample_recipe(), **options))
    two.finish(taken_up, sample_evidence())
    assert add(one, 1) in two.digests()
    for each in (one, two):
        each.leave()
