"""Leases without MLflow: what is written, who is watched for how long, and what a race or a fault leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from kdcheck.errors import EvidenceError
from kdcheck.evidence import leases as room
from kdcheck.evidence import owner
from kdcheck.evidence.leases import LEASES, Leases


class Server:
    """What MLflow promises: names are unique, a parameter never changes, what is not there is an error."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.runs: dict[str, Any] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.looks = 0
        self.before: dict[str, Callable[[], None]] = {}
        """By call, what happens on the server just before it, once."""

    def _note(self, *call: Any) -> None:
        if happens := self.before.pop(call[0], None):
            happens()
        self.calls.append(call)

    def get_experiment_by_name(self, name: str) -> Any:
        found = next((key for key, each in self.names.items() if each == name), None)
        return None if found is None else SimpleNamespace(experiment_id=found)

    def create_experiment(self, name: str) -> str:
        self._note("create_experiment", name)
        self.names[made := f"e{len(self.names)}"] = name
        return made

    def rename_experiment(self, experiment: str, name: str) -> None:
        self._note("rename_experiment", experiment, name)
        if name in self.names.values():
            raise MlflowException("it exists")
        self.names[experiment] = name

    def delete_experiment(self, experiment: str) -> None:
        self._note("delete_experiment", experiment)
        del self.names[experiment]

    def create_run(self, experiment: str, *, run_name: str) -> Any:
        self._note("create_run", experiment, run_name)
        info = SimpleNamespace(run_id=f"r{len(self.runs)}", experiment=experiment)
        data = SimpleNamespace(params={}, tags={})
        self.runs[info.run_id] = SimpleNamespace(info=info, data=data)
        return self.runs[info.run_id]

    def search_runs(self, experiments: list[str], *, max_results: int) -> list[Any]:
        assert max_results == 1, "there is no other to look for"
        return [run for run in self.runs.values() if run.info.experiment in experiments][:1]

    def get_run(self, run_id: str) -> Any:
        self.looks += 1
        return self.runs[run_id]

    def log_param(self, run_id: str, key: str, value: str) -> None:
        self._note("log_param", key, value)
        if self.runs[run_id].data.params.setdefault(key, value) != value:
            raise MlflowException("it has another value")

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._note("set_tag", key, value)
        self.runs[run_id].data.tags[key] = value

    def delete_tag(self, run_id: str, key: str) -> None:
        self._note("delete_tag", key)
        if self.runs[run_id].data.tags.pop(key, None) is None:
            raise MlflowException("there is none")

    @property
    def table(self) -> Any:
        """The one run of leases."""
        [run] = [run for run in self.runs.values() if self.names.get(run.info.experiment) == LEASES]
        return run.data


class Thread:
    """A thread that does its work when it is started."""

    made: list[Thread]

    def __init__(self, *, target: Callable[[], None], name: str, daemon: bool) -> None:
        self.target, self.name, self.daemon, self.joined = target, name, daemon, False
        Thread.made.append(self)

    def start(self) -> None:
        self.target()

    def join(self) -> None:
        self.joined = True


class Event:
    """Waits that are over at once; after some of them somebody has set it."""

    waits = 0
    made: list[Event]

    def __init__(self) -> None:
        self.left, self.is_set, self.waited = Event.waits, False, []
        Event.made.append(self)

    def set(self) -> None:
        self.is_set = True

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.left -= 1
        return self.left < 0


@pytest.fixture
def server(monkeypatch):
    Thread.made, Event.made, Event.waits = [], [], 0
    threads = SimpleNamespace(Thread=Thread, Event=Event)
    monkeypatch.setattr(room, "threading", threads)
    return Server()


@pytest.fixture
def clock(monkeypatch):
    """The watcher's clock, which a test moves on."""
    now = [1000.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def process_on(server, monkeypatch):
    """A process that takes leases on a machine of that name."""

    def start(host: str, **options: Any) -> Leases:
        leases = Leases(server, **options)

        def beat(self=leases):
            with monkeypatch.context() as patch:
                patch.setattr(owner.platform, "node", lambda: host)
                Leases._beat(self)

        leases._beat = beat
        return leases

    return start


def test_the_table_is_made_under_another_name_and_shared_by_all(server):
    one, other = Leases(server), Leases(server)
    assert one.take("x")
    assert other.take("y")
    made, run, renamed, *_ = server.calls
    assert made[0] == "create_experiment"
    assert re.fullmatch(r"kdcheck/leases [0-9a-f]{32}", made[1])
    assert (run, renamed) == (
        ("create_run", "e0", "leases"),
        ("rename_experiment", "e0", "kdcheck/leases"),
    )
    assert (len(server.runs), list(server.names.values())) == (1, ["kdcheck/leases"])
    assert list(server.table.params) == ["x.0", "y.0"]
    assert server.looks == 0, "whoever is first need not look"
    holders = server.table.params.values()
    assert all(re.fullmatch(r"[0-9a-f]{12}", holder) for holder in holders)
    assert len(set(holders)) == 2


def test_whoever_is_slower_to_make_the_table_takes_that_of_the_other(server):
    other = Leases(server)
    server.before["rename_experiment"] = lambda: other.take("y")
    assert Leases(server).take("x")
    assert list(server.names.values()) == [LEASES]
    assert ("delete_experiment", "e0") in server.calls
    assert list(server.table.params) == ["y.0", "x.0"]


def test_a_table_that_cannot_be_named_though_nobody_else_has_one_is_an_error(server):
    def refuse() -> None:
        raise MlflowException("no names today")

    server.before["rename_experiment"] = refuse
    with pytest.raises(MlflowException, match="no names today"):
        Leases(server).take("x")
    assert server.names == {}


def test_a_table_whose_run_was_deleted_is_an_error_with_the_way_back(server):
    server.names["e7"] = LEASES
    with pytest.raises(EvidenceError) as caught:
        Leases(server).take("x")
    error = caught.value
    assert (error.who, error.got, error.wanted, error.next_step) == (
        "store, experiment 'kdcheck/leases'",
        "it or its run deleted in the UI",
        "it alive: it says who trains what",
        "Run 'mlflow experiments restore -x e7', and 'mlflow runs restore' for its run.",
    )


def test_a_table_is_looked_for_once(server):
    leases = Leases(server)
    leases.take("x")
    server.names.clear()
    assert leases.take("y")
    assert len(server.runs) == 1


def test_what_a_process_has_it_keeps_and_what_another_has_is_refused(server, process_on):
    one, other = process_on("a"), process_on("b")
    assert (one.take("x"), other.take("x"), one.take("x"), other.take("x")) == (
        True, False, True, False,
    )  # fmt: skip
    assert list(server.table.params) == ["x.0"]


def test_a_lease_whose_answer_was_lost_is_had_and_another_error_is_raised(server, process_on):
    leases = process_on("a")
    leases.take("x")

    def lost() -> None:
        server.table.params["y.0"] = leases._me
        raise MlflowException("lost")

    server.before["log_param"] = lost
    assert leases.take("y")

    def away() -> None:
        raise MlflowException("away")

    server.before["log_param"] = away
    with pytest.raises(MlflowException, match="away"):
        leases.take("z")
    assert leases.take("z")
    assert list(server.table.params) == ["x.0", "y.0", "z.0"]


@pytest.mark.parametrize("seconds", [60.0, 8.0])
def test_a_process_is_dead_once_its_heart_has_stood_still_for_a_whole_lease(
    server, process_on, clock, seconds
):
    options = {} if seconds == 60.0 else {"lease_seconds": seconds}
    dead, other = process_on("a", **options), process_on("b", **options)
    dead.take("x")
    assert not other.take("x")
    clock[0] += seconds - 0.1
    assert not other.take("x")
    clock[0] += 0.1
    assert other.take("x")
    assert server.table.params["x.1"] == other._me
    assert f"process.{dead._me}" not in server.table.tags, "nobody watches it again"
    assert not dead.take("x"), "should it wake up after all"


def test_a_heart_that_beats_is_watched_anew_from_each_beat_that_was_seen(process_on, clock):
    slow, other = process_on("a"), process_on("b")
    slow.take("x")
    assert not other.take("x")
    clock[0] += 50
    slow._beat()
    assert not other.take("x")
    clock[0] += 59
    assert not other.take("x")
    clock[0] += 1
    assert other.take("x")


def test_each_process_is_watched_for_itself(process_on, clock):
    one, two, other = process_on("a"), process_on("b"), process_on("c")
    one.take("x")
    two.take("y")
    assert not other.take("x")
    clock[0] += 60
    assert not other.take("y"), "it was not seen before"
    assert other.take("x")


def test_a_process_of_this_machine_is_asked_for_and_not_watched(server, monkeypatch, clock):
    one, other = Leases(server), Leases(server)
    one.take("x")
    clock[0] += 999
    assert not other.take("x")
    tag = f"process.{one._me}"
    dead = json.loads(server.table.tags[tag]) | {owner.BOOT: "another"}
    server.table.tags[tag] = json.dumps(dead)
    assert other.take("x")


def test_what_is_given_back_is_nobodys_and_free_and_what_is_not_ones_own_stays(server, process_on):
    one, other = process_on("a"), process_on("b")
    one.take("x")
    other.give_back("x")
    assert list(server.table.params) == ["x.0"]
    one.give_back("x")
    assert server.table.params["x.1"] == "nobody"
    assert other.take("x")
    assert server.table.params["x.2"] == other._me
    assert not any(call[0] == "delete_tag" for call in server.calls), "nobody has no tag"
    other.give_back("none of anybody")
    assert len(server.table.params) == 3


def test_leases_are_numbered_and_each_recipe_for_itself(server, process_on):
    one = process_on("a")
    one.take("x")
    server.table.params.update({f"x.{n}": "nobody" for n in (1, 9, 10)})
    server.table.params["x2.11"] = server.table.params["a.x.12"] = one._me
    assert one.take("x")
    assert server.table.params["x.11"] == one._me
    assert one.take("a.x"), "whatever is before the last dot is the name"


def test_who_leaves_says_so_and_whoever_goes_on_begins_to_beat_again(server, process_on):
    one, other = process_on("a"), process_on("b")
    one.leave()
    assert server.calls == [], "it never began"
    one.take("x")
    [thread], [event] = Thread.made, [each for each in Event.made if each.waited]
    one.leave()
    assert (event.is_set, thread.joined) == (True, True)
    assert server.table.tags == {}
    assert other.take("x")
    one.leave()
    assert [call for call in server.calls if call[0] == "delete_tag"] == [
        ("delete_tag", f"process.{one._me}")
    ]
    assert not one.take("x")
    assert len(Thread.made) == 3
    assert f"process.{one._me}" in server.table.tags


def test_a_tag_that_another_has_taken_off_already_is_no_error(server, process_on):
    one = process_on("a")
    one.take("x")
    server.table.tags.clear()
    one.leave()


def test_a_heart_beats_four_times_a_lease_and_counts_also_while_the_server_is_away(server):
    Event.waits = 3
    leases = Leases(server, lease_seconds=8.0)

    def away() -> None:
        raise MlflowException("away")

    real, beats = leases._beat, []

    def beat() -> None:
        beats.append(len(beats))
        if len(beats) == 2:
            server.before["set_tag"] = away
        real()

    leases._beat = beat
    leases.take("x")
    [thread], [event] = Thread.made, [each for each in Event.made if each.waited]
    assert (thread.name, thread.daemon) == ("heartbeat", True)
    assert event.waited == [2.0] * 4
    tags = [call for call in server.calls if call[0] == "set_tag"]
    assert [json.loads(value)["beat"] for _, _, value in tags] == [1, 3, 4]
    assert {name for _, name, _ in tags} == {f"process.{leases._me}"}
    assert json.loads(tags[-1][2]) == {**owner.this_process(), "beat": 4}
    leases.take("y")
    assert len(Thread.made) == 1, "one heart a process"
