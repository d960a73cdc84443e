"""The store on a real MLflow database: what goes in, comes out, and shows in the UI's terms."""

import dataclasses

import pytest
from mlflow.tracking import MlflowClient

from kdcheck.errors import EvidenceError
from kdcheck.evidence import owner
from kdcheck.evidence.bundle import Bundle, export_bundle
from kdcheck.evidence.samples import sample_evidence, sample_recipe
from kdcheck.evidence.source import ClaimRecord
from kdcheck.evidence.store import Store
from kdcheck.places import Location

CLAIM = ClaimRecord(
    claim_id="ls_raises_entropy[sst2]",
    scale="embedded",
    evidence=(sample_recipe().digest,),
    note="# LS raises entropy\n**SUPPORTED at embedded scale**",
    tags={"verdict": "SUPPORTED"},
    metrics={"effect": 0.48},
    params={"margin": "0.05 nats"},
)


def begin(store, seed=0, **changes):
    options = {"role": "student", "claims": ["c[a]"], "worker": "gw0"} | changes
    return store.begin(sample_recipe(seed), **options)


def add(store, seed=0, **changes):
    begun = begin(store, seed, **changes)
    store.finish(begun, sample_evidence(seed))
    return begun.recipe.digest


def client(store):
    return MlflowClient(store.location.uri)


def runs(store, name="kdcheck/trainings", condition=""):
    mlflow = client(store)
    experiment = mlflow.get_experiment_by_name(name).experiment_id
    return mlflow.search_runs([experiment], condition, order_by=["attributes.start_time ASC"])


def test_evidence_comes_back_through_another_store_object(store):
    digest = add(store)
    other = Store.open(store.location)
    assert other.digests() == {digest}
    back, wanted = other.get(digest, trajectory=True), sample_evidence()
    assert back.recipe == wanted.recipe
    assert [p.values for p in back.points] == [p.values for p in wanted.points]
    for old, new in zip(wanted.points, back.points, strict=True):
        assert (old.predictions["test"].logits_NK == new.predictions["test"].logits_NK).all()


def test_mlflow_shows_parameters_tags_curves_and_files(store):
    digest = add(store)
    [run] = runs(store, condition=f"tags.digest = '{digest}' AND tags.`claim.c.a` = 'evidence'")
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "5e-05"
    assert run.data.tags["role"] == "student"
    assert run.data.tags["kdcheck.worker"] == "gw0"
    history = client(store).get_metric_history(run.info.run_id, "test/accuracy")
    wanted = [(p.step, p.values["test/accuracy"]) for p in sample_evidence().points]
    assert [(m.step, m.value) for m in history] == wanted
    listed = client(store).list_artifacts(run.info.run_id, "posteriors")
    assert {entry.path.rpartition("/")[2] for entry in listed} == {
        "test.parquet",
        "trajectory.parquet",
        "validation.parquet",
    }


def test_metrics_need_no_file_and_equal_those_of_a_bundle(store, tmp_path):
    digest = add(store)
    bundle = Bundle(export_bundle(store, tmp_path / "bundle"))
    [path] = store.location.artifacts.glob("trainings/*/artifacts/points.json")
    path.unlink()
    assert store.metrics([digest]) == bundle.metrics([digest])


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


def test_a_finished_training_is_not_begun_again(store):
    add(store)
    assert begin(store) is None
    assert len(runs(store)) == 1


def test_who_lost_a_training_to_another_process_cannot_finish_it(store):
    first = begin(store)
    second = begin(store)
    with pytest.raises(EvidenceError, match=r"taken up by another process.*evidence is the same"):
        store.finish(first, sample_evidence())
    store.finish(second, sample_evidence())
    with pytest.raises(EvidenceError, match="a run that is FINISHED"):
        store.fail(first, "too late")


def test_logging_the_metrics_twice_changes_nothing(store, monkeypatch):
    """A process may die after its metrics and before FINISHED."""
    begun = begin(store)
    with monkeypatch.context() as patch:
        patch.setattr(store._runs, "end", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(EvidenceError, match="killed"):
            store.finish(begun, sample_evidence())
    assert store.digests() == set()
    store.finish(begin(store), sample_evidence())
    [run] = runs(store)
    history = client(store).get_metric_history(run.info.run_id, "test/accuracy")
    assert len(history) == len(sample_evidence().points)


def test_evidence_of_another_recipe_is_refused(store):
    with pytest.raises(EvidenceError, match=f"got evidence of recipe {sample_recipe(1).short}"):
        store.finish(begin(store), sample_evidence(1))
    assert [run.info.status for run in runs(store)] == ["RUNNING"]


def test_evidence_that_mlflow_would_change_is_refused_before_anything_is_written(store):
    evidence = sample_evidence()
    broken = dataclasses.replace(evidence, cost={"seconds": float("nan")})
    with pytest.raises(EvidenceError, match="cost seconds = nan"):
        store.finish(begin(store), broken)
    assert list(store.location.artifacts.glob("trainings/*/artifacts/*")) == []


def test_more_than_a_thousand_metrics_arrive_in_batches(store):
    begun = begin(store)
    evidence = sample_evidence(points=400)
    store.finish(begun, evidence)
    history = client(store).get_metric_history(begun.run_id, "test/accuracy")
    assert len(history) == 400


def test_more_files_can_be_kept_and_are_checked(store, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    begun = begin(store)
    artifacts = {"checkpoint/model.safetensors": tmp_path / "model.bin"}
    store.finish(begun, sample_evidence(), artifacts)
    digest = begun.recipe.digest
    assert store.artifact(digest, "checkpoint/model.safetensors") == b"weights"
    [kept] = store.location.artifacts.glob("trainings/*/artifacts/checkpoint/*")
    assert not kept.is_symlink()
    kept.write_bytes(b"Weights")
    with pytest.raises(EvidenceError, match=r"checkpoint/model\.safetensors with sha256"):
        store.artifact(digest, "checkpoint/model.safetensors")


def test_a_missing_artifact_is_named_before_anything_is_written(store, tmp_path):
    with pytest.raises(EvidenceError, match=r"no file .*absent"):
        store.finish(begin(store), sample_evidence(), {"x": tmp_path / "absent"})
    assert list(store.location.artifacts.glob("trainings/*/artifacts/*")) == []


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


def test_a_claim_is_found_by_its_tags_and_comes_back(store, tmp_path):
    run_id = store.record_claim(CLAIM, {"figure.svg": b"<svg/>", "seeds.csv": b"1,2\n"})
    condition = "tags.claim = 'ls_raises_entropy[sst2]' AND tags.verdict = 'SUPPORTED'"
    [run] = runs(store, "kdcheck/claims", condition)
    assert run.info.run_id == run_id
    assert run.data.metrics == {"effect": 0.48}
    assert run.data.params == {"margin": "0.05 nats"}
    assert run.data.tags["mlflow.note.content"] == CLAIM.note
    [record] = Store.open(store.location).claims()
    assert record == dataclasses.replace(CLAIM, files=("figure.svg", "seeds.csv"))
    assert store.claim_file(record, "figure.svg") == b"<svg/>"


def test_a_claim_that_is_recorded_anew_gives_its_new_file_though_it_was_listed_before(store):
    store.record_claim(CLAIM, {"seeds.csv": b"old"})
    [listed] = store.claims()
    store.record_claim(CLAIM, {"seeds.csv": b"new"})
    assert store.claim_file(listed, "seeds.csv") == b"new"


def test_recording_the_same_claim_again_writes_nothing(store):
    first = store.record_claim(CLAIM, {"figure.svg": b"<svg/>"})
    assert store.record_claim(CLAIM, {"figure.svg": b"<svg/>"}) == first
    assert len(runs(store, "kdcheck/claims")) == 1


def test_a_changed_verdict_supersedes_the_older_one_of_its_scale_alone(store):
    mini = dataclasses.replace(CLAIM, scale="mini")
    changed = dataclasses.replace(CLAIM, tags={"verdict": "REFUTED"})
    for record in (CLAIM, mini, changed):
        store.record_claim(record)
    assert store.claims() == (changed, mini)
    current = [run.data.tags["current"] for run in runs(store, "kdcheck/claims")]
    assert current == ["false", "true", "true"]


def test_a_crash_between_two_records_leaves_one_current_claim(store, monkeypatch):
    store.record_claim(CLAIM)
    changed = dataclasses.replace(CLAIM, tags={"verdict": "REFUTED"})
    with monkeypatch.context() as patch:
        patch.setattr(store._runs, "tag", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(EvidenceError, match="killed"):
            store.record_claim(changed)
    assert store.claims() == (changed,)
    store.record_claim(changed)
    assert len(runs(store, "kdcheck/claims", "tags.current = 'true'")) == 1


def test_reaping_kills_what_the_dead_left_and_nothing_else(store):
    begun = {alive: begin(store, seed) for seed, alive in enumerate([True, False, None])}
    verdicts = {item.run_id: alive for alive, item in begun.items()}
    by_digest = {item.recipe.digest: verdicts[item.run_id] for item in begun.values()}
    reaped = store.reap(lambda tags: by_digest[tags["digest"]])
    assert reaped == [begun[False].recipe.digest]
    assert [run.info.status for run in runs(store)] == ["RUNNING", "KILLED", "RUNNING"]
    assert store.reap() == [], "this process lives"


def test_a_recipe_that_a_living_process_trains_is_not_taken(store, monkeypatch):
    begin(store)
    monkeypatch.setattr(owner, "is_this_process", lambda _: False)
    with pytest.raises(EvidenceError, match=r"that process \d+ is training.*Wait for it"):
        begin(store)


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
    assert "viewStateShareKey=kdcheck-verdicts" in store.claims_url()
    assert "tags.claim%20%3D%20%27c%5Ba%5D%27" in store.claims_url("c[a]")
    assert "claim.c.a" in store.trainings_url("c[a]", chart=True)
    assert store.run_url(add(store)).startswith("#/experiments/1/runs/")


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
