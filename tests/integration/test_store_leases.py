"""Leases on a real MLflow: of all who want one, one gets it; of those who hold one, the dead lose it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from mlflow.tracking import MlflowClient

from kdcheck.errors import BusyError
from kdcheck.evidence import leases as room
from kdcheck.evidence import owner
from kdcheck.evidence.leases import LEASES, Leases
from kdcheck.evidence.store import Store
from tests.evidence_doubles import sample_evidence, sample_recipe

PROCESSES, RECIPES = 4, 6


@pytest.fixture
def client(store):
    return MlflowClient(store.location.uri)


@pytest.fixture
def clock(monkeypatch):
    """The watcher's clock, which a test moves on."""
    now = [1000.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def process_on(client, monkeypatch):
    """Another process that takes leases, on a machine of that name; its heart does not beat by itself."""
    made = []

    def start(host: str) -> Leases:
        leases = Leases(client, lease_seconds=60.0)

        def beat(self=leases):
            with monkeypatch.context() as patch:
                patch.setattr(owner.platform, "node", lambda: host)
                Leases._beat(self)

        leases._beat, leases._go_on = beat, lambda: None
        made.append(leases)
        return leases

    yield start
    for each in made:
        each.leave()


def test_a_recipe_goes_to_the_first_who_takes_it_and_stays_with_it(process_on):
    one, other = process_on("a"), process_on("b")
    assert one.take("x")
    assert not other.take("x")
    assert other.take("y")
    assert (one.take("x"), other.take("x"), one.take("y")) == (True, False, False)


def test_a_process_whose_heart_has_stood_still_for_a_lease_loses_what_it_holds(process_on, clock):
    dead, other = process_on("a"), process_on("b")
    for recipe in ("x", "y"):
        assert dead.take(recipe)
    assert not other.take("x")
    clock[0] += 59
    assert not other.take("x")
    clock[0] += 2
    assert other.take("x")
    assert other.take("y"), "it need not be watched for another lease"
    assert not dead.take("x"), "should it wake up after all"


def test_a_heart_that_beats_keeps_a_lease_however_wrong_the_clocks_are(process_on, clock):
    slow, other = process_on("a"), process_on("b")
    assert slow.take("x")
    for _ in range(4):
        assert not other.take("x")
        clock[0] += 45
        slow._beat()
    assert not other.take("x")


def test_what_is_given_back_and_what_those_held_who_left_is_free_at_once(process_on):
    one, other, third = process_on("a"), process_on("b"), process_on("c")
    assert one.take("x")
    assert one.take("y")
    one.give_back("x")
    assert other.take("x")
    assert not third.take("y")
    one.leave()
    assert third.take("y")
    assert not third.take("x")


def test_a_process_of_this_machine_that_died_is_not_waited_for(client, process_on, clock):
    code = (
        "import sys; from mlflow.tracking import MlflowClient\n"
        "from kdcheck.evidence.leases import Leases\n"
        "leases = Leases(MlflowClient(sys.argv[1])); print(leases.take('x'), flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, client.tracking_uri]
    here = Leases(client)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout.readline() == "True\n"
        assert not here.take("x")
        it.kill()
        it.wait()
        assert here.take("x")
    here.leave()


def take_all(uri, started, results):
    leases = Leases(MlflowClient(uri))
    started.wait()
    got = [recipe for recipe in map(str, range(RECIPES)) if leases.take(recipe)]
    results.put((got, leases._table))
    started.wait()  # whoever left would set its own free


def test_of_processes_that_begin_at_once_each_recipe_goes_to_one_and_there_is_one_table(
    store, client, fresh
):
    started, results = fresh.Barrier(PROCESSES), fresh.SimpleQueue()
    options = {"target": take_all, "args": (store.location.uri, started, results)}
    processes = [fresh.Process(**options) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    found = [results.get() for _ in processes]
    taken = Counter(recipe for got, _ in found for recipe in got)
    assert taken == dict.fromkeys(map(str, range(RECIPES)), 1)
    assert len({table for _, table in found}) == 1
    names = [each.name for each in client.search_experiments()]
    assert [name for name in names if name.startswith(LEASES)] == [LEASES]


# The store of two machines


@pytest.fixture
def shared(store, process_on):
    """The store as one of the machines sees it that share it through a server."""

    def on(host: str) -> Store:
        other = Store.open(store.location)
        other._leases = process_on(host)
        return other

    return on


def begin(store, monkeypatch, host):
    with monkeypatch.context() as patch:
        patch.setattr(owner.platform, "node", lambda: host)
        return store.begin(sample_recipe(), role="x", claims=[], worker="w")


def test_what_another_machine_trains_is_not_begun_until_that_is_dead(shared, clock, monkeypatch):
    one, other = shared("a"), shared("b")
    first = begin(one, monkeypatch, "a")
    with pytest.raises(BusyError, match=r"a recipe that another machine is training.*Wait for it"):
        begin(other, monkeypatch, "b")
    clock[0] += 61
    second = begin(other, monkeypatch, "b")
    assert second.run_id == first.run_id
    with pytest.raises(BusyError, match="taken up by another process"):
        one.finish(first, sample_evidence())
    other.finish(second, sample_evidence())
    assert begin(one, monkeypatch, "a") is None
    assert one.digests() == {sample_recipe().digest}


def test_what_was_finished_elsewhere_is_seen_though_its_lease_is_held(shared, monkeypatch):
    one, other = shared("a"), shared("b")
    one.finish(begin(one, monkeypatch, "a"), sample_evidence())
    assert begin(other, monkeypatch, "b") is None


def test_what_failed_elsewhere_and_is_to_be_tried_again_is_free(shared, monkeypatch):
    one, other = shared("a"), shared("b")
    one.fail(begin(one, monkeypatch, "a"), "a loss that is not finite")
    other.retry([sample_recipe().digest], "later")
    assert begin(other, monkeypatch, "b") is not None


def test_a_store_of_one_machine_takes_no_leases(store, client):
    store.begin(sample_recipe(), role="x", claims=[], worker="w")
    assert client.get_experiment_by_name(LEASES) is None
