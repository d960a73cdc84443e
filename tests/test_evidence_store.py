"""The rules of the store, without MLflow: what counts as finished, current, registered and tied."""

import dataclasses
from dataclasses import replace

import pytest

from kdcheck.claims import reading
from kdcheck.errors import EvidenceError, FailedBeforeError
from kdcheck.evidence import owner
from kdcheck.evidence.failure import Failure
from kdcheck.evidence.files import digest_of
from kdcheck.evidence.layout import CLAIMS, TRAININGS
from tests.evidence_doubles import (
    OTHER,
    PLAIN,
    TAUGHT,
    TEACHER,
    MemoryTracking,
    add,
    memory_store,
    record,
    sample_evidence,
    sample_judged,
    sample_recipe,
)
from tests.refusal import refused


@pytest.fixture
def tracking():
    return MemoryTracking()


@pytest.fixture
def store(tmp_path, tracking):
    return memory_store(tmp_path, tracking)


def begin(store, recipe=0, **changes):
    recipe = sample_recipe(recipe) if isinstance(recipe, int) else recipe
    return store.begin(
        recipe, **{"role": "plain/smaller", "claims": ["c[a]"], "worker": "w"} | changes
    )


@pytest.mark.parametrize("arm", [PLAIN, TEACHER, TAUGHT], ids=lambda arm: arm.key)
def test_evidence_comes_back_whole_from_beside_another(store, tmp_path, tracking, arm):
    recipes = [sample_recipe(seed, arm=arm) for seed in (3, 1)]
    for recipe in recipes:
        add(store, recipe)
    other = memory_store(tmp_path, tracking)
    assert other.digests() == {recipe.digest for recipe in recipes}
    for recipe in recipes:
        back, wanted = other.get(recipe.digest, trajectory=True), sample_evidence(recipe)
        assert (back.recipe, back.cost, back.notes) == (recipe, wanted.cost, wanted.notes)
        for old, new in zip(wanted.points, back.points, strict=True):
            assert (old.step, old.values) == (new.step, new.values)
            assert old.predictions.keys() == set(new.predictions)
            for split, predictions in old.predictions.items():
                assert (predictions.logits_NK == new.predictions[split].logits_NK).all()
        assert ("train" in back.final.predictions) == (arm is TEACHER)


def test_a_training_shows_its_own_recipe_claims_and_metrics(store, tracking):
    digest = add(store, sample_recipe(4, arm=TAUGHT), claims=["b[x]", "a"], worker="gw3")
    [run] = tracking.search(TRAININGS, f"tags.digest = '{digest}'")
    evidence = sample_evidence(sample_recipe(4, arm=TAUGHT))
    assert run.data.tags["kdcheck.worker"] == "gw3"
    assert run.data.tags["claims"] == "a, b[x]"
    assert run.data.tags["weights_digest"] == evidence.weights_digest
    assert run.data.params["seed"] == "4"
    assert ("total/seconds", evidence.cost["seconds"], 45) in run.data.metrics


def test_a_running_or_failed_training_is_not_in_the_store(store, tracking):
    add(store, 0)
    begin(store, 1)
    store.fail(begin(store, 2), "out of memory")
    assert store.digests() == {sample_recipe(0).digest}
    for seed in (1, 2):
        with pytest.raises(EvidenceError, match=r"no finished training.*pytest claims/"):
            store.get(sample_recipe(seed).digest)
    [failed] = tracking.search(TRAININGS, "attributes.status = 'FAILED'")
    assert failed.info.reason == "out of memory"
    assert failed.data.params["seed"] == "2"


def test_what_mlflow_would_cut_is_refused_before_anything_is_trained(store, tracking):
    recipe = replace(sample_recipe(), task_digest="0" * 6001)
    with pytest.raises(EvidenceError, match=r"task_digest.*6001 characters"):
        store.begin(recipe, role="student", claims=[], worker="gw0")
    assert not tracking.runs


def test_a_failed_training_is_taken_up_in_the_same_run_and_a_finished_one_not_at_all(store):
    first = begin(store)
    store.fail(first, "interrupted", status="KILLED")
    second = begin(store)
    assert second.run_id == first.run_id
    store.finish(second, sample_evidence())
    assert begin(store) is None


def test_what_failed_is_told_with_arm_task_seed_and_reason_and_not_begun_again(store):
    recipe = sample_recipe(3, task="dozens")
    store.fail(begin(store, recipe, role="smoothed/smaller"), "a loss that is not finite")
    told = Failure(
        arm="smoothed/smaller", task="dozens", seed=3, reason="a loss that is not finite"
    )
    assert store.failures() == {recipe.digest: told}
    assert str(told) == "smoothed/smaller on dozens with seed 3 failed: a loss that is not finite"
    with pytest.raises(
        FailedBeforeError, match=r"failed: a loss that is not finite.*--retry-failed"
    ):
        begin(store, recipe)


@pytest.mark.parametrize(("call", "tag"), [("digests", "digest"), ("get", "kdcheck.manifest")])
def test_a_finished_training_whose_tag_was_taken_away_is_refused_by_run_and_tag(
    store, tracking, call, tag
):
    digest = add(store)
    del tracking.runs[0].data.tags[tag]
    with refused(EvidenceError, f"run {0:032x}: got no tag or parameter {tag}", "Delete this run"):
        getattr(store, call)(*([digest] if call == "get" else []))


@pytest.mark.parametrize(
    ("call", "name", "value", "said"),
    [
        ("trained", "seed", "three", "the seed 'three'; wanted a number"),
        ("trained", "seed", None, "no tag or parameter seed"),
        ("trained", "task_digest", None, "no tag or parameter task_digest"),
        ("trained", "encoder_digest", None, "no tag or parameter encoder_digest"),
        ("encoders", "encoder", None, "no tag or parameter encoder;"),
        ("encoders", "encoder_digest", None, "no tag or parameter encoder_digest"),
    ],
)
def test_a_parameter_that_was_changed_or_taken_away_is_refused_by_its_name(
    store, tracking, call, name, value, said
):
    add(store)
    for kept in (tracking.runs[0].data.params, tracking.runs[0].data.tags):
        kept.pop(name, None)
        kept.update({} if value is None else {name: value})
    with refused(EvidenceError, said):
        getattr(store, call)()


def test_a_count_of_deaths_that_is_no_number_counts_for_nothing(store, tracking):
    store.fail(begin(store), "somebody ended it", status="KILLED")
    tracking.runs[0].data.tags["kdcheck.deaths"] = "many"
    assert begin(store) is not None


def test_what_failed_is_tried_again_once_a_session_and_nothing_else_is(store, tracking):
    for seed in (0, 1):
        store.fail(begin(store, seed), "not finite")
    asked = [sample_recipe(0).digest]
    store.retry(asked, "session")
    assert store.failures().keys() == {sample_recipe(1).digest}
    store.fail(begin(store), "not finite, again")
    store.retry(asked, "session")
    assert store.failures().keys() == {sample_recipe(0).digest, sample_recipe(1).digest}
    store.retry(asked, "another")
    assert begin(store) is not None


def dies(store, monkeypatch, controller="7 70"):
    """A worker of some controller begins a training and dies; what it leaves looks RUNNING."""
    with monkeypatch.context() as patch:
        patch.setattr(owner, "controller", lambda: {owner.CONTROLLER: controller})
        begun = begin(store)
    store._runs.tag(begun.run_id, owner.PID, "999999999")
    return begun


def test_a_recipe_that_processes_die_of_is_taken_up_twice_and_then_has_failed(store, monkeypatch):
    monkeypatch.setattr(owner, "controller", lambda: {owner.CONTROLLER: "7 70"})
    for _ in range(3):
        dies(store, monkeypatch)
        assert store.failures() == {}
    with pytest.raises(FailedBeforeError, match="3 processes died while they trained it"):
        begin(store)
    [failure] = store.failures().values()
    assert failure.reason == "3 processes died while they trained it, the last of them 999999999"
    store.retry(store.failures(), "session")
    dies(store, monkeypatch)
    assert begin(store) is not None, "it is counted anew"


def test_a_session_that_was_killed_as_a_whole_is_no_recipes_fault(store, monkeypatch):
    for number in range(5):
        dies(store, monkeypatch, controller=f"{number} 70")
    assert begin(store) is not None
    assert store.failures() == {}


def test_who_lost_a_training_to_another_process_cannot_finish_it(store):
    first = begin(store)
    second = begin(store)
    with pytest.raises(EvidenceError, match=r"taken up by another process.*evidence is the same"):
        store.finish(first, sample_evidence())
    store.finish(second, sample_evidence())
    with pytest.raises(EvidenceError, match="a run that is FINISHED"):
        store.fail(first, "too late")


def test_a_recipe_that_a_living_process_trains_is_not_taken(store, monkeypatch):
    begin(store)
    monkeypatch.setattr(owner, "is_this_process", lambda _: False)
    with pytest.raises(EvidenceError, match=r"that process \d+ is training.*Wait for it"):
        begin(store)


BROKEN = {
    "got evidence of recipe": sample_evidence(1),
    "cost seconds = nan": dataclasses.replace(sample_evidence(), cost={"seconds": float("nan")}),
}


@pytest.mark.parametrize("told", BROKEN)
def test_evidence_of_another_recipe_or_of_no_use_is_refused_before_anything_is_written(
    store, tracking, told
):
    with pytest.raises(EvidenceError, match=told):
        store.finish(begin(store), BROKEN[told])
    [run] = tracking.runs
    assert (run.info.status, run.files, run.data.metrics) == ("RUNNING", {}, [])


def test_reaping_kills_what_the_dead_left_and_nothing_else(store, tracking):
    begun = {alive: begin(store, seed) for seed, alive in enumerate([True, False, None])}
    by_digest = {item.recipe.digest: alive for alive, item in begun.items()}
    reaped = store.reap(lambda tags: by_digest[tags["digest"]])
    assert reaped == [begun[False].recipe.digest]
    assert [run.info.status for run in tracking.runs] == ["RUNNING", "KILLED", "RUNNING"]
    assert store.reap() == [], "this process lives"


def test_trainings_are_tied_to_claims_and_only_news_is_written(store, tracking, monkeypatch):
    digest, beside = add(store, 0, claims=["c[a]"]), add(store, 1, claims=["e"])
    store.tag_claims({digest: ["d", "c[a]"]})
    tags = {run.data.tags["digest"]: run.data.tags for run in tracking.runs}
    assert tags[digest]["claims"] == "c[a], d"
    assert tags[digest]["claim.c.a"] == tags[digest]["claim.d"] == "evidence"
    assert tags[beside]["claims"] == "e"
    monkeypatch.setattr(tracking, "log", None)
    store.tag_claims({digest: ["d"], beside: ["e"]})


def test_a_claim_is_recorded_with_its_verdict_and_tied_to_its_own_runs_alone(store, tracking):
    add(store, 9, claims=["another"])
    judged = sample_judged(seeds=(0, 1, 2))
    run_id = record(store, judged)
    [run] = tracking.search(CLAIMS, "attributes.status = 'FINISHED'")
    assert run.info.run_id == run_id
    assert run.data.tags["verdict"] == "SUPPORTED"
    assert run.data.tags["mlflow.note.content"].startswith("## Smoothing raises entropy.")
    assert {name for name, *_ in run.data.metrics} == {"n_seeds", "effect", "ci_low", "ci_high"}
    assert store.claims() == (judged,)
    tied = {
        run.data.tags["digest"]
        for run in tracking.runs
        if run.data.tags.get(f"claim.{judged.claim.id.replace('[', '.')[:-1]}") == "evidence"
    }
    assert tied == set(judged.table.digests())
    assert len(tied) == 12


def test_recording_the_same_claim_again_writes_nothing(store, tracking):
    judged = sample_judged()
    first = record(store, judged)
    before = len(tracking.runs)
    assert store.record_claim(judged) == first
    assert len(tracking.runs) == before


def test_a_changed_verdict_supersedes_the_older_one_of_its_paper_and_scale_alone(store, tracking):
    old, mini = sample_judged(), sample_judged(scale="mini")
    elsewhere, new = sample_judged(paper=OTHER), sample_judged(effect=-0.5)
    for judged in (old, mini, elsewhere, new):
        record(store, judged)
    assert store.claims() == (mini, new, elsewhere)
    assert store.claims(paper="one") == (mini, new)
    assert store.claims(paper="one", scale="small") == (new,)
    assert store.claims(paper="other") == (elsewhere,)
    current = [run.data.tags["current"] for run in tracking.search(CLAIMS, "")]
    assert current == ["false", "true", "true", "true"]


def test_a_crash_between_two_records_leaves_the_newer_claim_and_then_one_current(
    store, tracking, monkeypatch
):
    record(store, sample_judged())
    changed = sample_judged(effect=-0.5)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "tag", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(EvidenceError, match="killed"):
            store.record_claim(changed)
    assert store.claims() == (changed,)
    store.record_claim(changed)
    assert len(tracking.search(CLAIMS, "tags.current = 'true'")) == 1


LOCK = {"paper": "one", "claims": {}}


def test_the_section_of_a_lock_is_kept_with_the_claims_that_were_held_against_it(store):
    assert store.locks() == set()
    held = replace(sample_judged(), lock=digest_of(LOCK))
    record(store, sample_judged("free"))
    record(store, held, LOCK)
    assert store.locks() == {held.lock}
    assert store.lock(held.lock) == LOCK
    assert held in store.claims()
    store.record_claim(sample_judged(effect=-0.5))
    assert store.locks() == {held.lock}, "also where another record is current"
    with pytest.raises(EvidenceError, match="no claim judged under the lock abcdef12"):
        store.lock("abcdef1234")


def test_a_section_that_is_not_the_one_its_claim_names_is_refused(store):
    held = replace(sample_judged(), lock=digest_of(LOCK))
    record(store, held, {**LOCK, "claims": {"c": {}}})
    with pytest.raises(EvidenceError, match=rf"a section \w+ of a lock.*section {held.lock[:8]}"):
        store.lock(held.lock)


def test_what_was_trained_is_known_by_the_content_of_task_and_encoder_and_by_seed(store):
    add(store, sample_recipe(3, task="letters"))
    add(store, sample_recipe(4, task="dozens", arm=TEACHER))
    begin(store, sample_recipe(5, task="letters"))
    recipes = [sample_recipe(3, task="letters"), sample_recipe(4, task="dozens", arm=TEACHER)]
    assert store.trained() == {(r.task_digest, r.encoder_digest, r.seed) for r in recipes}
    assert len({task for task, _, _ in store.trained()}) == 2


def test_links_name_the_training_the_claim_and_its_curves(store):
    record(store, sample_judged("c[a]", contrast=reading("accuracy", PLAIN) - 0.5))
    digest = sample_recipe(2, arm=PLAIN).digest
    run_id = store._training(digest).info.run_id
    assert store.run_url(digest).startswith(f"#/experiments/1/runs/{run_id}?")
    assert store.run_url(digest, base="http://h:5/").startswith("http://h:5/#/experiments/1/")
    assert "tags.claim%20%3D%20%27c%5Ba%5D%27" in store.claims_url("c[a]")
    assert "viewStateShareKey=kdcheck-verdicts" in store.claims_url()
    assert "claim.c.a" in store.trainings_url("c[a]")
    assert "compareRunsMode=CHART" in store.trainings_url("c[a]", chart=True)
    assert "viewStateShareKey=kdcheck-curves" in store.trainings_url(chart=True)
