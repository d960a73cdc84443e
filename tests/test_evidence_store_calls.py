"""What each call of the store says that it does, writes into a run, and hands on."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest

from kdcheck.errors import BusyError, EvidenceError, FailedBeforeError
from kdcheck.evidence import layout, owner
from kdcheck.evidence.files import digest_of, kept_of_test
from kdcheck.evidence.layout import CLAIMS, TRAININGS
from kdcheck.evidence.note import note
from kdcheck.evidence.store import Store
from kdcheck.evidence.tracking import Tracking
from kdcheck.places import Location
from tests.evidence_doubles import (
    PLAIN,
    TEACHER,
    MemoryTracking,
    add,
    memory_store,
    record,
    sample_evidence,
    sample_judged,
    sample_recipe,
)
from tests.test_evidence_files import same_predictions

RECIPE = sample_recipe(3)
LOCK = {"paper": "one"}
AGAIN = (
    "Run pytest claims/ to make it. Name the right one with --store, or make one by running pytest "
    "claims/."
)


class Shared(MemoryTracking):
    """Runs on a server: whoever trains takes leases."""

    def leases(self) -> Any:
        return self.taken

    taken: Any = None


class Leases:
    """Leases that note what is asked."""

    def __init__(self, *, free: bool = True) -> None:
        self.free, self.asked = free, []

    def take(self, digest: str) -> bool:
        self.asked.append(("take", digest))
        return self.free

    def give_back(self, digest: str) -> None:
        self.asked.append(("give back", digest))

    def leave(self) -> None:
        self.asked.append(("leave",))


@pytest.fixture
def tracking() -> MemoryTracking:
    return MemoryTracking()


@pytest.fixture
def store(tmp_path, tracking) -> Store:
    return memory_store(tmp_path, tracking)


@pytest.fixture
def remote() -> Store:
    """A store on a server."""
    runs = Shared()
    runs.taken = Leases()
    return Store(Location.parse("http://h:5"), runs)  # type: ignore[arg-type]


def begin(store: Store, recipe=RECIPE, **changes: Any) -> Any:
    given = {"role": "plain/smaller", "claims": ["c[a]"], "worker": "gw1"} | changes
    return store.begin(recipe, **given)


def parts(act: Callable[[], Any], kind: type[EvidenceError] = EvidenceError) -> tuple[str, ...]:
    with pytest.raises(kind) as caught:
        act()
    error = caught.value
    return error.who, error.got, error.wanted, error.next_step


# What it says that it does


JUDGED = sample_judged(seeds=(0,))


def held(store: Store) -> str:
    judged = replace(JUDGED, lock=digest_of(LOCK))
    record(store, judged, LOCK)
    return judged.lock


CALLS: dict[str, tuple[Callable[[Store], Any], list[str]]] = {
    "digests": (lambda s: s.digests(), ["list the trainings"]),
    "get": (lambda s: s.get(RECIPE.digest), [f"read recipe {RECIPE.digest[:8]}"]),
    "validation": (lambda s: s.validation(RECIPE.digest), [f"read recipe {RECIPE.digest[:8]}"]),
    "claims": (lambda s: s.claims(), ["list the claims"]),
    "lock": (lambda s: s.lock(digest_of(LOCK)), [f"read the lock {digest_of(LOCK)[:8]}"]),
    "locks": (lambda s: s.locks(), ["list the locks"]),
    "encoders": (lambda s: s.encoders(), []),
    "trained": (lambda s: s.trained(), ["list the trainings"]),
    "failures": (lambda s: s.failures(), ["list the failed trainings"]),
    "begin": (lambda s: begin(s, sample_recipe(9)), [f"begin recipe {sample_recipe(9).short}"]),
    "retry": (lambda s: s.retry([], "x"), ["let failed trainings be tried again"]),
    "leave": (lambda s: s.leave(), []),
    "reap": (lambda s: s.reap(), ["look for runs of dead processes"]),
    "record": (lambda s: s.record_claim(JUDGED), [f"record claim {JUDGED.claim.id}"]),
    "describe": (lambda s: s.describe_claims(), ["list the claims", "describe the claims"]),
    "tag": (
        lambda s: s.tag_claims({RECIPE.digest: ["new"]}), ["list the trainings", "tag the trainings"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_each_call_looks_at_the_database_before_and_after_and_says_what_for(
    store, tracking, name: str
) -> None:
    tracking.tags = {}
    add(store, RECIPE)
    held(store)
    call, actions = CALLS[name]
    said: list[str] = []
    store._presence = SimpleNamespace(check=said.append)
    call(store)
    assert said == [each for action in actions for each in (action, action)]


def test_finishing_and_failing_say_so_too(store) -> None:
    begun, said = begin(store), []
    store._presence = SimpleNamespace(check=said.append)
    store.finish(begun, sample_evidence(RECIPE))
    other = begin(store, sample_recipe(4))
    del said[:]
    store.fail(other, "why", status="KILLED")
    assert said == [f"mark recipe {other.recipe.short} as KILLED"] * 2
    del said[:]
    third = begin(store, sample_recipe(5))
    store.finish(third, sample_evidence(5))
    assert said[2:] == [f"finish recipe {third.recipe.short}"] * 2


def test_who_leaves_a_server_says_so(remote) -> None:
    said: list[str] = []
    remote._presence = SimpleNamespace(check=said.append)
    remote.leave()
    assert said == ["leave"] * 2
    assert remote._leases.asked == [("leave",)]


def test_what_mlflow_raises_is_told_with_the_call(store, tracking, monkeypatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("database is locked")

    monkeypatch.setattr(tracking, "search", fail)
    who, got, wanted, _ = parts(store.failures)
    assert (who, got) == (
        f"store {store.location}, list the failed trainings",
        "database is locked",
    )
    assert wanted == "the database within 20 s"


@pytest.mark.parametrize("use", ["create", "open"])
@pytest.mark.parametrize("form", [str, Path, partial(Location.parse, origin="--store")])
def test_a_store_is_made_or_opened_from_a_place_in_any_form(tmp_path, monkeypatch, use, form):
    made: list[Any] = []
    runs = MemoryTracking()
    monkeypatch.setattr(Tracking, use, lambda location: made.append(location) or runs)
    given = form(str(tmp_path))
    location = given if isinstance(given, Location) else Location.parse(given)
    store = getattr(Store, use)(given)
    assert (made, store.location, store._runs, store._leases) == ([location], location, runs, None)
    assert re.fullmatch(r"[0-9a-f]{12}", store.session)
    assert store.session != getattr(Store, use)(tmp_path).session

    def fail(_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Tracking, use, fail)
    who, got, *_ = parts(lambda: getattr(Store, use)(tmp_path))
    assert (who, got) == (f"store {location}, {use}", "No space left on device")


@pytest.mark.parametrize("rehearsal", [True, False, None])
def test_a_store_is_kept_apart_from_the_other_kind_where_its_kind_is_said(
    tmp_path, monkeypatch, rehearsal
) -> None:
    asked: list[Any] = []
    runs = SimpleNamespace(keep_apart=lambda *given, **named: asked.append((*given, named)))
    monkeypatch.setattr(Tracking, "create", lambda _: runs)
    location = Location.parse(tmp_path)
    Store.create(location, rehearsal=rehearsal)
    assert asked == ([] if rehearsal is None else [(location, {"rehearsal": rehearsal})])


def test_one_writer_at_a_time_holds_a_lock_on_this_machine_and_none_on_a_server(
    store, remote, monkeypatch
) -> None:
    locks: list[Any] = []

    def lock(path: Any, timeout: float) -> Any:
        locks.append((path, timeout))
        return nullcontext()

    monkeypatch.setattr(filelock, "FileLock", lock)
    begun = begin(store)
    store.fail(begun, "why")
    store.retry([], "x")
    store.reap()
    assert locks == [(store.location.folder / "write.lock", 300)] * 4
    begin(remote)
    assert len(locks) == 4


# Reading


def test_of_two_finished_runs_of_one_recipe_the_older_is_read_and_of_two_claims_the_newer(
    store, tracking
) -> None:
    digest = add(store, RECIPE)
    tracking.runs.append(SimpleNamespace(**vars(tracking.runs[0]) | {"files": {}}))
    assert store.digests() == {digest}
    assert store.get(digest).recipe == RECIPE
    old, new = JUDGED, sample_judged(effect=-0.5, seeds=(0,))
    record(store, old)
    record(store, new)
    for run in tracking.search(CLAIMS, ""):
        run.data.tags["current"] = "true"
    assert store.claims() == (new,)


def test_validation_logits_are_those_of_the_run(store) -> None:
    add(store, RECIPE)
    wanted = sample_evidence(RECIPE).final.predictions["validation"]
    assert same_predictions(store.validation(RECIPE.digest), wanted)


@pytest.mark.parametrize("trajectory", [True, False])
def test_curves_are_read_on_demand(store, trajectory: bool) -> None:
    add(store, RECIPE)
    options = {"trajectory": True} if trajectory else {}
    back = store.get(RECIPE.digest, **options)
    assert bool(back.points[0].predictions) is trajectory


def test_encoders_are_told_by_name_with_all_their_digests(store) -> None:
    assert store.encoders() == {}
    changed = replace(sample_recipe(5, arm=PLAIN), encoder_digest="b" * 64)
    for recipe in (sample_recipe(3, arm=PLAIN), sample_recipe(4, arm=PLAIN), changed):
        add(store, recipe)
    add(store, sample_recipe(6, arm=TEACHER))
    store.digests()
    assert store.encoders() == {"tiny-2": {"s" * 64, "b" * 64}, "tiny-4": {"l" * 64}}


def test_the_trainings_of_a_store_are_listed_when_its_encoders_are_first_asked_for(
    store, tracking, tmp_path
) -> None:
    add(store, RECIPE)
    assert memory_store(tmp_path, tracking).encoders() == {"tiny-2": {"s" * 64}}


def test_what_is_not_there_is_told_by_its_digest_with_the_way_to_it(store) -> None:
    absent = "0123456789" * 6
    for act, what in (
        (lambda: store.get(absent), "finished training 01234567"),
        (lambda: store.validation(absent), "finished training 01234567"),
        (lambda: store.lock(absent), "claim judged under the lock 01234567"),
    ):
        assert parts(act) == (f"store {store.location}", f"no {what}", "one", AGAIN)


def test_damage_is_told_with_store_and_run(store, tracking) -> None:
    digest = add(store, RECIPE)
    run = tracking.runs[0]
    run.files["cost.json"] = b"{}"
    who, got, *_ = parts(lambda: store.get(digest))
    assert who == f"store {store.location}, run {run.info.run_id}"
    assert got.startswith("cost.json with sha256")
    name = held(store)
    claim = next(each for each in tracking.runs if each.experiment == CLAIMS)
    claim.files["lock.json"] = b"{}"
    place = f"store {store.location}, run {claim.info.run_id}"
    assert parts(lambda: store.lock(name))[0] == place
    other = replace(sample_judged("other", seeds=(0,)), lock="b" * 64)
    last = tracking.look(record(store, other, LOCK))
    assert parts(lambda: store.lock(other.lock)) == (
        f"store {store.location}, run {last.info.run_id}",
        f"a section {digest_of(LOCK)[:8]} of a lock",
        "the section bbbbbbbb",
        "It was altered; judge again: pytest claims/.",
    )


# Writing


def test_a_training_begins_with_all_its_tags_and_ends_with_parameters_seal_and_digest(
    store, tracking
) -> None:
    store.session = "session-1"
    begun = begin(store)
    [run] = tracking.runs
    assert run.data.tags == {
        **layout.recipe_tags(RECIPE, role="plain/smaller", claims=["c[a]"]),
        **owner.this_process(),
        **owner.controller(),
        "kdcheck.session": "session-1",
        "kdcheck.worker": "gw1",
        "kdcheck.attempt": begun.attempt,
    }
    assert re.fullmatch(r"[0-9a-f]{32}", begun.attempt)
    assert (run.data.params, begun.run_id, begun.recipe) == ({}, run.info.run_id, RECIPE)
    before = dict(run.data.tags)
    evidence = sample_evidence(RECIPE)
    assert store.finish(begun, evidence) == run.info.run_id
    assert run.data.tags == before | {
        "kdcheck.manifest": hashlib.sha256(run.files["manifest.json"]).hexdigest(),
        "weights_digest": evidence.weights_digest,
        "test_logits": kept_of_test(evidence),
    }
    assert run.data.params == layout.parameters(RECIPE)
    assert run.data.metrics == layout.metric_rows(evidence)
    assert (run.info.status, run.info.reason) == ("FINISHED", None)
    assert "posteriors/trajectory.parquet" in run.files


def test_what_is_taken_up_again_gets_new_tags_in_its_old_run(store, tracking) -> None:
    first = begin(store, worker="gw1")
    store.fail(first, "somebody ended it", status="KILLED")
    second = begin(store, worker="gw2", claims=["d"])
    [run] = tracking.runs
    assert run.info.status == "RUNNING"
    assert second.run_id == first.run_id
    assert second.attempt != first.attempt
    tags = run.data.tags
    assert (tags["kdcheck.worker"], tags["kdcheck.deaths"], tags["claims"]) == ("gw2", "0", "d")


def test_files_are_written_beside_where_they_go_in_a_folder_that_is_gone_afterwards(
    store, remote, monkeypatch
) -> None:
    for each, place in ((store, store.location.folder), (remote, Path(tempfile.gettempdir()))):
        put, folders = each._runs.put, []

        def watched(run: Any, folder: Path, put=put, folders=folders) -> None:
            folders.append(folder.parent)
            put(run, folder)

        monkeypatch.setattr(each._runs, "put", watched)
        add(each, RECIPE)
        held(each)
        assert len(folders) > 2
        assert {folder.parent for folder in folders} == {place}
        assert all(folder.name.startswith("kdcheck-") for folder in folders)
        assert not any(folder.exists() for folder in folders)


def test_who_lost_a_training_is_told_its_state_and_to_let_the_other_end(store) -> None:
    first = begin(store)
    store.finish(begin(store), sample_evidence(RECIPE))
    for act in (
        lambda: store.finish(first, sample_evidence(RECIPE)),
        lambda: store.fail(first, "x"),
    ):
        assert parts(act, BusyError) == (
            f"store {store.location}, recipe {RECIPE.short}",
            "a run that is FINISHED and was taken up by another process",
            "the run as it was begun",
            "Let the other process end; its evidence is the same.",
        )


def test_a_failure_is_recorded_as_one_unless_it_was_only_ended(store, tracking) -> None:
    store.fail(begin(store), "not finite")
    [run] = tracking.runs
    assert (run.info.status, run.info.reason) == ("FAILED", "not finite")
    assert run.data.params == layout.parameters(RECIPE)
    who, got, *_ = parts(lambda: begin(store), FailedBeforeError)
    assert who == f"store {store.location}, begin recipe {RECIPE.short}"
    assert got == "a recipe that failed: not finite"


def test_what_too_many_processes_died_of_is_recorded_as_failed_and_told_by_store(
    store, tracking
) -> None:
    begin(store)
    [run] = tracking.runs
    run.data.tags |= {"kdcheck.pid": "999999999", "kdcheck.deaths": "2"}
    reason = "3 processes died while they trained it, the last of them 999999999"
    who, got, *_ = parts(lambda: begin(store), FailedBeforeError)
    assert who == f"store {store.location}, begin recipe {RECIPE.short}"
    assert got == f"a recipe that failed: {reason}"
    assert (run.info.status, run.info.reason) == ("FAILED", reason)


def test_a_recipe_that_the_store_has_no_run_of_costs_no_search(
    store, tracking, monkeypatch
) -> None:
    monkeypatch.setattr(tracking, "search", None)
    monkeypatch.setattr(tracking, "states", lambda *given: asked.append(given) or [])
    asked: list[Any] = []
    begin(store)
    assert asked == [(TRAININGS, "digest", RECIPE.digest)]


def test_what_is_to_be_tried_again_is_ended_by_somebody_and_its_deaths_are_forgotten(
    store, tracking
) -> None:
    store.fail(begin(store), "not finite")
    tags = tracking.runs[0].data.tags
    tags["kdcheck.deaths"] = "2"
    store.retry([RECIPE.digest], "s1")
    assert (tags["kdcheck.retried"], tags["kdcheck.deaths"]) == ("s1", "0")
    info = tracking.runs[0].info
    assert (info.status, info.reason) == ("KILLED", "to be tried again")


def test_a_process_that_died_is_named_where_its_runs_are_reaped(store, tracking) -> None:
    begun = begin(store)
    store._runs.add(CLAIMS, {"kdcheck.pid": "77"})
    assert store.reap(lambda tags: False) == [RECIPE.digest]
    assert [run.info.reason for run in tracking.runs] == [
        f"process {begun.run.data.tags['kdcheck.pid']} died", "process 77 died",
    ]  # fmt: skip
    assert {run.info.status for run in tracking.runs} == {"KILLED"}


def test_a_run_that_another_machine_took_up_is_not_reaped(remote) -> None:
    begin(remote)
    remote._runs.add(CLAIMS, {})
    remote._leases = Leases(free=False)
    assert remote.reap(lambda tags: False) == []
    assert [run.info.status for run in remote._runs.runs] == ["RUNNING", "KILLED"]
    assert remote._leases.asked == [("take", RECIPE.digest), ("leave",)]
    remote._leases = Leases()
    assert remote.reap(lambda tags: None) == []
    assert remote._leases.asked == []
    assert remote.reap(lambda tags: False) == [RECIPE.digest]


def test_on_a_server_a_recipe_is_leased_as_it_begins_and_given_back_as_it_fails(remote) -> None:
    begun = begin(remote)
    remote.fail(begun, "why")
    assert remote._leases.asked == [("take", RECIPE.digest), ("give back", RECIPE.digest)]
    remote._leases.free = False
    who, got, *_ = parts(lambda: begin(remote, sample_recipe(4)), BusyError)
    assert who == f"store http://h:5, begin recipe {sample_recipe(4).short}"
    assert got == "a recipe that another machine is training"


# Claims


def test_a_claim_is_recorded_with_all_its_tags_parameters_and_metrics(store, tracking) -> None:
    store.session = "session-1"
    judged = replace(JUDGED, lock=digest_of(LOCK))
    run_id = record(store, judged, LOCK)
    run = tracking.look(run_id)
    assert run.data.tags == {
        **layout.judged_tags(judged, note(judged, store)),
        **owner.this_process(),
        "kdcheck.session": "session-1",
        "kdcheck.lock": judged.lock,
        "kdcheck.manifest": hashlib.sha256(run.files["manifest.json"]).hexdigest(),
        "current": "true",
    }
    assert run.data.params == layout.judged_parameters(judged)
    assert run.data.metrics == layout.judged_metrics(judged)
    assert sorted(run.files) == ["judged.json", "lock.json", "manifest.json", "paper.json"]
    free = tracking.look(record(store, sample_judged("free", seeds=(0,))))
    assert "kdcheck.lock" not in free.data.tags
    assert "lock.json" not in free.files


def test_a_claim_that_is_stored_so_already_supersedes_what_was_left_beside_it(
    store, tracking
) -> None:
    first = record(store, JUDGED)
    second = record(store, sample_judged(effect=-0.5, seeds=(0,)))
    tracking.look(first).data.tags["current"] = "true"
    assert store.record_claim(sample_judged(effect=-0.5, seeds=(0,))) == second
    assert [run.data.tags["current"] for run in tracking.search(CLAIMS, "")] == ["false", "true"]


def test_the_first_record_of_a_claim_costs_no_search_of_claims(
    store, tracking, monkeypatch
) -> None:
    record(store, JUDGED)
    asked, search = [], tracking.search

    def watched(name: str, condition: str) -> Any:
        asked.append(name)
        return search(name, condition)

    monkeypatch.setattr(tracking, "states", lambda *given: asked.append(given) or [])
    monkeypatch.setattr(tracking, "search", watched)
    store.record_claim(replace(JUDGED, lock="5eed"))
    assert CLAIMS not in asked
    assert (CLAIMS, "claim", JUDGED.claim.id) in asked


def test_the_board_of_the_current_verdicts_is_described(store, tracking, monkeypatch) -> None:
    record(store, JUDGED)
    described: list[Any] = []
    monkeypatch.setattr(tracking, "describe", lambda *given: described.append(given))
    store.describe_claims()
    assert described == [(CLAIMS, (JUDGED,))]


def test_claims_are_asked_for_by_paper_scale_and_id(store, tracking, monkeypatch) -> None:
    record(store, JUDGED)
    asked, search = [], tracking.search

    def watched(name: str, condition: str) -> Any:
        asked.append((name, condition))
        return search(name, condition)

    monkeypatch.setattr(tracking, "search", watched)
    store.claims()
    store.claims(paper="one", scale="small")
    store.record_claim(sample_judged(effect=-0.5, seeds=(0,)))
    base = "attributes.status = 'FINISHED' AND tags.current = 'true' AND tags.paper LIKE '%'"
    family = f"{base} AND tags.paper = 'one' AND tags.scale = 'small'"
    of_claims = [condition for name, condition in asked if name == CLAIMS]
    assert of_claims[:2] == [base, family]
    assert f"{family} AND tags.claim = '{JUDGED.claim.id}'" in of_claims


def test_trainings_that_are_known_to_serve_a_claim_are_not_looked_for_again(
    store, tracking, monkeypatch
) -> None:
    first, second = add(store, 1, claims=["a"]), add(store, 2, claims=[])
    store.digests()
    asked = []
    search = tracking.search
    monkeypatch.setattr(tracking, "search", lambda *given: asked.append(given) or search(*given))
    store.tag_claims({first: ["a"]})
    assert asked == []
    store.tag_claims({first: ["a"], second: ["b", "a"]})
    assert len(asked) == 1
    tags = {run.data.tags["digest"]: run.data.tags for run in tracking.runs}
    assert (tags[first]["claims"], tags[second]["claims"]) == ("a", "a, b")
