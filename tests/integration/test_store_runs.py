"""The store on a real MLflow database: what goes in, comes out, and shows in the UI's terms.

Its rules are tested without MLflow in test_evidence_store.py.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from kdcheck.errors import EvidenceError
from kdcheck.evidence.files import digest_of
from kdcheck.evidence.store import Store
from kdcheck.places import Location
from tests.evidence_doubles import (
    OTHER,
    TEACHER,
    add,
    record,
    sample_evidence,
    sample_judged,
    sample_recipe,
)


def begin(store, seed=0, **changes):
    options = {"role": "student", "claims": ["c[a]"], "worker": "gw0"} | changes
    return store.begin(sample_recipe(seed), **options)


def client(store):
    return MlflowClient(store.location.uri)


def runs(store, name="kdcheck/trainings", condition=""):
    mlflow = client(store)
    experiment = mlflow.get_experiment_by_name(name).experiment_id
    return mlflow.search_runs([experiment], condition, order_by=["attributes.start_time ASC"])


def test_evidence_comes_back_through_another_store_object(store):
    recipe = sample_recipe(task="dozens", arm=TEACHER)
    digest = add(store, recipe)
    other = Store.open(store.location)
    assert other.digests() == {digest}
    back, wanted = other.get(digest, trajectory=True), sample_evidence(recipe)
    assert back.recipe == recipe
    assert [p.values for p in back.points] == [p.values for p in wanted.points]
    for old, new in zip(wanted.points, back.points, strict=True):
        for split, predictions in old.predictions.items():
            assert (predictions.logits_NK == new.predictions[split].logits_NK).all()


def test_mlflow_shows_parameters_tags_curves_and_files(store):
    digest = add(store)
    [run] = runs(store, condition=f"tags.digest = '{digest}' AND tags.`claim.c.a` = 'evidence'")
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "5e-05"
    assert run.data.tags["role"] == "taught/smaller"
    assert run.data.tags["kdcheck.worker"] == "gw0"
    history = client(store).get_metric_history(run.info.run_id, "test_sample/accuracy")
    wanted = [(p.step, p.values["test_sample/accuracy"]) for p in sample_evidence().points]
    assert [(m.step, m.value) for m in history] == wanted
    listed = client(store).list_artifacts(run.info.run_id, "posteriors")
    splits = ("test", "test_sample", "train_sample", "trajectory", "validation")
    assert [entry.path for entry in listed] == [f"posteriors/{each}.parquet" for each in splits]


def test_files_of_a_run_are_open_to_whom_its_store_is(store):
    add(store)
    [run] = runs(store)
    folder = Path(run.info.artifact_uri)
    new = store.location.folder / "new"
    new.mkdir()
    modes = {path.stat().st_mode for path in (folder, folder / "posteriors")}
    assert modes == {new.stat().st_mode}


def test_a_running_or_failed_training_is_not_in_the_store(store):
    add(store, 0)
    begin(store, 1)
    store.fail(begin(store, 2), "out of memory")
    assert store.digests() == {sample_recipe(0).digest}
    with pytest.raises(EvidenceError, match=r"no finished training.*pytest claims/"):
        store.get(sample_recipe(1).digest)
    [failed] = runs(store, condition="attributes.status = 'FAILED'")
    assert failed.data.tags["kdcheck.reason"] == "out of memory"


def test_a_failed_training_is_taken_up_in_the_same_run(store):
    first = begin(store)
    store.fail(first, "interrupted", status="KILLED")
    second = begin(store)
    assert second.run_id == first.run_id
    store.finish(second, sample_evidence())
    [run] = runs(store)
    assert run.info.status == "FINISHED"
    assert "kdcheck.reason" not in run.data.tags


def test_what_another_store_object_did_since_is_seen_before_each_write(store):
    begun, other = begin(store), Store.open(store.location)
    assert begin(other).run_id == begun.run_id
    with pytest.raises(EvidenceError, match=r"RUNNING and was taken up by another"):
        store.finish(begun, sample_evidence())
    add(other, 1)
    assert begin(store, 1) is None
    add(store, 2)
    assert begin(other, 2) is None


def test_logging_the_metrics_twice_changes_nothing(store, monkeypatch):
    """A process may die after its metrics and before FINISHED, where MLflow writes them."""
    store._runs._rows = None
    begun = begin(store)
    with monkeypatch.context() as patch:
        patch.setattr(store._runs, "end", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(EvidenceError, match="killed"):
            store.finish(begun, sample_evidence())
    assert store.digests() == set()
    store.finish(begin(store), sample_evidence())
    [run] = runs(store)
    history = client(store).get_metric_history(run.info.run_id, "test_sample/accuracy")
    assert len(history) == len(sample_evidence().points)


def test_more_than_a_thousand_metrics_arrive_in_batches(store):
    begun = begin(store)
    evidence = sample_evidence(steps=range(1, 401))
    store.finish(begun, evidence)
    history = client(store).get_metric_history(begun.run_id, "test_sample/accuracy")
    assert len(history) == 400


def test_mlflow_variables_of_the_environment_do_not_leak_in(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of somebody else")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    digest = add(Store.open(store.location))
    [run] = runs(store)
    assert run.data.tags["digest"] == digest
    assert run.info.run_id != "0" * 32


def test_trainings_are_tied_to_claims_and_only_news_is_written(store, monkeypatch):
    digest = add(store, claims=["c[a]"])
    store.tag_claims({digest: ["d", "c[a]"]})
    [run] = runs(store, condition="tags.claims LIKE '%c[a]%' AND tags.`claim.d` = 'evidence'")
    assert run.data.tags["claims"] == "c[a], d"
    monkeypatch.setattr(store._runs, "log", None)
    store.tag_claims({digest: ["d"]})


def test_a_claim_is_found_by_its_tags_and_comes_back(store):
    judged = sample_judged()
    run_id = record(store, judged)
    condition = "tags.claim = 'smoothing_raises_entropy[smaller]' AND tags.verdict = 'SUPPORTED'"
    [run] = runs(store, "kdcheck/claims", condition)
    assert run.info.run_id == run_id
    assert run.data.metrics["effect"] == judged.verdict.effect
    assert run.data.params["margin"] == "0.05 nats"
    assert run.data.tags["mlflow.note.content"].startswith("## Smoothing raises entropy.")
    assert Store.open(store.location).claims() == (judged,)


def test_a_changed_verdict_supersedes_the_older_one_of_its_paper_and_scale_alone(store):
    old, mini = sample_judged(), sample_judged(scale="mini")
    elsewhere, new = sample_judged(paper=OTHER), sample_judged(effect=-0.5)
    for judged in (old, mini, elsewhere, new):
        record(store, judged)
    assert store.claims() == (mini, new, elsewhere)
    current = [run.data.tags["current"] for run in runs(store, "kdcheck/claims")]
    assert current == ["false", "true", "true", "true"]


def test_locks_are_found_by_tag_and_trainings_by_content(store):
    lock = {"paper": "one"}
    held = replace(sample_judged(), lock=digest_of(lock))
    record(store, held, lock)
    record(store, sample_judged("free"))
    opened = Store.open(store.location)
    assert opened.locks() == {held.lock}
    assert opened.lock(held.lock) == lock
    assert opened.claims() == (sample_judged("free"), held)
    assert {seed for _, _, seed in opened.trained()} == {0, 1, 2}


def test_a_moved_store_is_put_right_by_the_controller_and_refused_to_workers(store, tmp_path):
    digest = add(store)
    moved = tmp_path / "elsewhere"
    store.location.folder.rename(moved)
    with pytest.raises(EvidenceError, match=r"moved or copied; run 'kdcheck ui'"):
        Store.open(moved)
    again = Store.create(moved)
    assert again.get(digest).recipe.digest == digest
    add(again, 1)
    assert len(list((moved / "artifacts/trainings").iterdir())) == 2
    assert not store.location.folder.exists()
    [run] = runs(again, condition=f"tags.digest = '{digest}'")
    assert {f.path for f in client(again).list_artifacts(run.info.run_id)} >= {"recipe.json"}


def test_the_ui_finds_notes_and_saved_views(store):
    experiment = client(store).get_experiment_by_name("kdcheck/claims")
    assert "kdcheck-verdicts" in experiment.tags["mlflow.note.content"]
    assert "mlflow.sharedViewState.kdcheck-verdicts" in experiment.tags


def test_the_note_shows_the_board_and_keeps_it_when_the_store_is_opened_again(store):
    def note():
        return client(store).get_experiment_by_name("kdcheck/claims").tags["mlflow.note.content"]

    start = note()
    record(store, sample_judged(theme="Smoothing"))
    assert note() == start
    store.describe_claims()
    board = note()
    assert board.startswith(start)
    assert "**Smoothing**" in board
    Store.create(store.location)
    assert note() == board
    record(store, sample_judged(theme="Smoothing", effect=-0.5))
    store.describe_claims()
    assert "- REFUTED: Smoothing raises entropy." in note()
    assert "SUPPORTED" not in note()


def test_a_view_that_mlflow_refuses_does_not_stop_the_store(store_folder, monkeypatch):
    from mlflow.exceptions import MlflowException

    def refuse(*_):
        raise MlflowException("no such tag allowed")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    add(Store.create(store_folder))


def test_an_sqlite_address_is_a_store_too(store_folder):
    (store_folder / "mlflow.db").rename(store_folder / "tracking.db")
    location = Location.parse(f"sqlite:///{store_folder}/tracking.db")
    digest = add(Store.create(location))
    assert Store.open(location).digests() == {digest}
    assert (store_folder / "artifacts/trainings").is_dir()
