"""Several processes on one store: none locked out, no run lost, the dead told from the living."""

import os
import shutil
import signal
import time

import pytest

from kdcheck.evidence import database
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.study import session as room
from tests.evidence_doubles import add, sample_evidence, sample_recipe
from tests.study_doubles import ERM_SMALL, LS_SMALL, NamedDigests, entropy_gap, scale

PROCESSES, RUNS = 4, 5


def log_runs(folder, first_seed, started, errors):
    try:
        store = Store.open(folder)
        started.wait()
        for seed in range(first_seed, first_seed + RUNS):
            add(store, seed, worker=str(os.getpid()))
    except Exception as error:  # noqa: BLE001 - whatever it is, the test counts it
        errors.put(repr(error))


def test_four_processes_at_once_lose_no_run_and_lock_nobody_out(store, fresh):
    started, errors = fresh.Barrier(PROCESSES), fresh.SimpleQueue()
    workers = [
        fresh.Process(target=log_runs, args=(store.location.folder, n * RUNS, started, errors))
        for n in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    found = [] if errors.empty() else [errors.get()]
    assert found == []
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    digests = store.digests()
    assert digests == {sample_recipe(seed).digest for seed in range(PROCESSES * RUNS)}
    assert len(digests) == 20
    for digest in digests:
        assert store.get(digest).recipe.digest == digest


def begin_and_hang(folder, begun):
    store = Store.open(folder)
    begun.put(store.begin(sample_recipe(), role="x", claims=[], worker="doomed").run_id)
    time.sleep(600)


@pytest.fixture
def doomed(store, fresh):
    """A process in the middle of a training, and the run it began."""
    queue = fresh.SimpleQueue()
    process = fresh.Process(target=begin_and_hang, args=(store.location.folder, queue))
    process.start()
    yield process, queue.get()
    process.kill()
    process.join()


def test_a_killed_process_is_reaped_and_its_training_taken_up(store, doomed):
    doomed, run_id = doomed
    assert store.reap() == [], "it lives"
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.join()
    assert store.reap() == [sample_recipe().digest]
    run = store._runs.look(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["kdcheck.reason"] == f"process {doomed.pid} died"
    begun = store.begin(sample_recipe(), role="x", claims=[], worker="next")
    assert begun.run_id == run_id
    store.finish(begun, sample_evidence())
    assert store.digests() == {sample_recipe().digest}


def test_a_session_marks_what_the_dead_left_but_its_workers_do_not(store, doomed, monkeypatch):
    doomed, run_id = doomed
    monkeypatch.setattr(room, "ScaleDigests", lambda *_: NamedDigests())
    places = Places.resolve(store=store.location.folder)

    def status_after_a_look_of(*, is_worker):
        claims = [entropy_gap(LS_SMALL, ERM_SMALL)]
        assert room.Session(claims, scale(), "1", places, is_worker=is_worker).missing() == 4
        return store._runs.look(run_id).info.status

    assert status_after_a_look_of(is_worker=False) == "RUNNING", "it lives"
    doomed.kill()
    doomed.join()
    assert status_after_a_look_of(is_worker=True) == "RUNNING"
    assert status_after_a_look_of(is_worker=False) == "KILLED"


def create(folder, template, errors):
    def slowly(target, _):
        with (folder / "made").open("a") as log:
            log.write("once ")
        time.sleep(0.3)
        shutil.copy(template, target)

    try:
        database._make = slowly
        Store.create(folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test counts it
        errors.put(repr(error))


def test_two_controllers_that_make_one_store_at_once_make_it_once(tmp_path, store_template, fresh):
    """With MLflow alone this breaks the database for good."""
    folder, errors = tmp_path / "store", fresh.SimpleQueue()
    makers = [fresh.Process(target=create, args=(folder, store_template, errors)) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(120)
    assert errors.empty(), errors.get()
    assert (folder / "made").read_text() == "once "
    assert Store.open(folder).digests() == set()
