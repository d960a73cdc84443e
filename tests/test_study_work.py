"""Workers: each recipe once, teachers first, failures recorded, the queue in the file system."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kdcheck.engine import loop, settings
from kdcheck.engine.stopped import Stopped
from kdcheck.errors import (
    BusyError,
    CheckpointError,
    EvidenceError,
    RecipeError,
    TrainingError,
)
from kdcheck.places import Places
from kdcheck.study import work as room
from kdcheck.study.graph import build
from kdcheck.study.work import Job, Worker, work
from tests.study_doubles import (
    ERM_LARGE,
    ERM_SMALL,
    KD,
    SELF,
    MemoryStore,
    NamedDigests,
    entropy_gap,
    evidence,
    scale,
)

ADDRESS = "http://me:secret@tracker:5000"


@pytest.fixture
def asked(job, monkeypatch):
    """By digest, what the loop was asked beside recipe and inputs."""
    asked, train = {}, loop.train

    def watched(recipe, inputs, **options):
        asked[recipe.digest] = options
        return train(recipe, inputs, **options)

    monkeypatch.setattr(loop, "train", watched)
    return asked


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Two students and their teachers on two tasks with two seeds, trained by a double."""
    graph = build([entropy_gap(KD, SELF)], scale(), (0, 1), NamedDigests())
    monkeypatch.setattr(room.Resources, "inputs_of", lambda self, recipe: None)

    def train(recipe, inputs, *, teacher, **_):
        assert (teacher is None) == (recipe.teacher is None)
        time.sleep(0.005)
        return evidence(recipe)

    monkeypatch.setattr(loop, "train", train)
    places = Places.resolve(store=ADDRESS, data_dir=tmp_path / "data", work=tmp_path)
    return Job.of(graph, places)


def test_a_job_survives_its_file(job):
    first, *others = job.orders
    exported = replace(first, model_folder=Path("model"))
    job = replace(job, orders=(exported, *others), modules=("json",), checkpoint_seconds=7.0)
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert {order.teaches for order in job.orders} == {True, False}


def test_the_password_of_a_store_is_in_the_file_of_a_job_and_not_in_what_is_printed(job):
    assert ADDRESS in str(job.to_dict())
    assert "secret" not in repr(job)


def test_teachers_are_marked_and_come_first(job):
    teaches = [order.teaches for order in job.orders]
    assert teaches == sorted(teaches, reverse=True)
    assert sum(teaches) == 8


@pytest.mark.parametrize("number", [1, 4])
def test_workers_at_once_train_each_recipe_once_and_no_student_before_its_teacher(job, number):
    store = MemoryStore()
    workers = [Worker(f"w{i}") for i in range(number)]
    threads = [threading.Thread(target=work, args=(job, store, each)) for each in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(store.begun) == sorted(order.recipe.digest for order in job.orders)
    assert sorted(digest for each in workers for digest in each.trained) == sorted(store.begun)
    place = {digest: i for i, digest in enumerate(store.kept)}
    for order in job.orders:
        if order.recipe.teacher:
            assert place[order.recipe.teacher.digest] < place[order.recipe.digest]


def test_a_student_waits_for_its_teacher_in_whatever_order_the_job_names_them(job):
    store, worker = MemoryStore(), Worker("w0")
    work(replace(job, orders=job.orders[::-1]), store, worker)
    place = {digest: i for i, digest in enumerate(worker.trained)}
    students = [order.recipe for order in job.orders if order.recipe.teacher]
    assert len(students) == 8
    assert all(place[recipe.teacher.digest] < place[recipe.digest] for recipe in students)


def test_what_is_in_the_store_is_neither_begun_nor_trained_again(job, monkeypatch):
    store = MemoryStore()
    work(job, store, Worker("w0"))
    monkeypatch.setattr(store, "begin", None)
    work(job, store, Worker("w1"))


def test_what_another_finished_since_the_store_was_asked_is_not_trained_again(job, monkeypatch):
    store, late = MemoryStore(), Worker("w1")
    work(job, store, Worker("w0"))
    monkeypatch.setattr(loop, "train", None)
    monkeypatch.setattr(store, "digests", set)
    work(job, store, late)
    assert late.trained == []


def fails_on(monkeypatch, digest, error):
    """Let the training of one recipe fail."""
    train = loop.train

    def failing(recipe, inputs, **options):
        if recipe.digest == digest:
            raise error
        return train(recipe, inputs, **options)

    monkeypatch.setattr(loop, "train", failing)


DIVERGED = TrainingError("step 3, seed 0", "a loss that is not finite", "finite ones", "Stop.")


def test_a_recipe_that_cannot_be_trained_is_marked_and_whatever_does_not_need_it_is_trained(
    job, monkeypatch
):
    teacher = job.orders[0].recipe
    assert job.orders[0].teaches
    fails_on(monkeypatch, teacher.digest, DIVERGED)
    store, worker = MemoryStore(), Worker("w0")
    work(job, store, worker)
    needs_it = {o.recipe.digest for o in job.orders if teacher in o.recipe.lineage()}
    assert len(needs_it) > 1
    assert set(store.kept) == {o.recipe.digest for o in job.orders} - needs_it
    assert list(store.failed) == [teacher.digest]
    assert "step 3, seed 0" in store.failed[teacher.digest]
    assert worker.failed == [DIVERGED]
    # Neither this worker, nor one that starts later, nor one that knew nothing of it tries it again.
    monkeypatch.setattr(loop, "train", None)
    work(job, store, Worker("w1"))
    monkeypatch.setattr(store, "failures", dict)
    late = Worker("w2")
    work(job, store, late)
    assert (late.trained, late.failed) == ([], [])


@pytest.mark.parametrize("error", [EvidenceError, CheckpointError, RecipeError])
def test_a_fault_of_store_disk_or_data_ends_the_worker_and_is_no_recipes_failure(
    job, monkeypatch, error
):
    fails_on(monkeypatch, job.orders[0].recipe.digest, error("x", "a full disk", "room", "Stop."))
    store, marked = MemoryStore(), []
    store.fail = lambda begun, reason, status="FAILED": marked.append((reason, status))
    with pytest.raises(error):
        work(job, store, Worker("w0"))
    assert marked == [("x: got a full disk; wanted room. Stop.", "KILLED")]


def test_a_device_that_is_refused_ends_the_worker_and_is_no_recipes_failure(job):
    store = MemoryStore()
    with pytest.raises(TrainingError, match="device: got 'meta'"):
        work(job, store, Worker("w0", "meta"))
    assert not store.begun


def test_what_another_machine_trains_is_left_to_it_and_asked_about_again(job, monkeypatch):
    monkeypatch.setattr(room, "BUSY_SECONDS", 0.0)
    store, worker, refused = MemoryStore(), Worker("w0"), []
    begin = store.begin

    def begin_later(recipe, **options):
        if refused.count(recipe.digest) < 2:
            refused.append(recipe.digest)
            raise BusyError("store", "a recipe that another trains", "a free one", "Wait.")
        return begin(recipe, **options)

    monkeypatch.setattr(store, "begin", begin_later)
    work(job, store, worker)
    assert sorted(worker.trained) == sorted(order.recipe.digest for order in job.orders)
    assert store.left, "others need not wait for this process any more"


def test_evidence_of_a_recipe_that_another_took_up_meanwhile_is_dropped(job, monkeypatch):
    monkeypatch.setattr(room, "BUSY_SECONDS", 0.0)
    store, worker, finish = MemoryStore(), Worker("w0"), MemoryStore.finish
    lost = []

    def finish_late(begun, found):
        finish(store, begun, found)
        if not lost:
            lost.append(begun.digest)
            raise BusyError("store", "a run that was taken up", "its own", "Wait.")

    monkeypatch.setattr(store, "finish", finish_late)
    work(job, store, worker)
    assert sorted([*worker.trained, *lost]) == sorted(o.recipe.digest for o in job.orders)


def test_a_worker_that_is_stopped_ends_though_another_has_taken_up_its_recipe(job, monkeypatch):
    fails_on(monkeypatch, job.orders[0].recipe.digest, KeyboardInterrupt())
    store = MemoryStore()

    def taken_up(begun, reason, status):
        raise BusyError("store", "a run that was taken up", "its own", "Wait.")

    store.fail = taken_up
    with pytest.raises(KeyboardInterrupt):
        work(job, store, Worker("w0"))
    assert len(store.begun) == 1


def test_sigterm_ends_the_work_after_a_step_and_its_recipe_is_taken_up_again(job, monkeypatch):
    def terminated(recipe, inputs, *, stop, **_):
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        raise Stopped("SIGTERM")

    monkeypatch.setattr(loop, "train", terminated)
    store, marked, before = MemoryStore(), [], signal.getsignal(signal.SIGTERM)
    store.fail = lambda begun, reason, status="FAILED": marked.append((reason, status))
    with pytest.raises(Stopped):
        work(job, store, Worker("w0"))
    assert marked == [("stopped by SIGTERM", "KILLED")]
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_between_two_recipes_ends_the_work_before_the_next(job, monkeypatch):
    def finish(begun, found):
        os.kill(os.getpid(), signal.SIGTERM)

    store = MemoryStore()
    monkeypatch.setattr(store, "finish", finish)
    with pytest.raises(Stopped):
        work(job, store, Worker("w0"))
    assert len(store.begun) == 1


def test_a_recipe_that_is_stopped_by_hand_is_marked_so_and_its_checkpoints_stay(job, monkeypatch):
    def stopped(recipe, inputs, *, workdir, **_):
        workdir.mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", stopped)
    store, marked = MemoryStore(), []
    store.fail = lambda begun, reason, status="FAILED": marked.append((begun, reason, status))
    with pytest.raises(KeyboardInterrupt):
        work(job, store, Worker("w0"))
    first = job.orders[0].recipe
    assert marked == [(first, "stopped by Ctrl-C", "KILLED")]
    assert [path.name for path in (job.places.work / "runs").iterdir()] == [first.digest]


def test_whoever_shows_progress_is_called_once_the_file_says_what_is_new(job, monkeypatch):
    train, seen, now = loop.train, [], [100.0]

    def reporting(recipe, inputs, *, progress, **options):
        for step, seconds in ((1, 1.9), (2, 0.1), (3, 1.9), (4, 2.0), (5, 0.0)):
            now[0] += seconds
            progress(step, 5)
        return train(recipe, inputs, **options)

    def look():
        seen.append(json.loads((job.places.work / "workers" / "w0.json").read_text()))

    monkeypatch.setattr(loop, "train", reporting)
    monkeypatch.setattr("kdcheck.study.work.time.monotonic", lambda: now[0])
    worker = Worker("w0")
    work(replace(job, orders=job.orders[:1]), MemoryStore(), worker, report=look)
    digest = job.orders[0].recipe.digest
    assert [(each["step"], each["total"]) for each in seen] == [(2, 5), (4, 5), (1, 1)]
    assert {each["digest"] for each in seen} == {digest}
    assert [each["trained"] for each in seen] == [[], [], [digest]]
    assert worker.trained == [digest]


def test_each_order_reaches_the_loop_with_its_own_recipe_device_folder_and_teacher(
    job, asked, monkeypatch
):
    *others, last = job.orders
    last = replace(last, model_folder=Path("model"))
    job = replace(job, orders=(*others, last), checkpoint_seconds=7.0)
    store = MemoryStore()
    monkeypatch.setattr(settings, "DEVICES", ("cpu", "meta"))
    work(job, store, Worker("w0", "meta"))
    for order in job.orders:
        options = asked[order.recipe.digest]
        assert str(options["device"]) == "meta"
        assert options["workdir"] == job.places.work / "runs" / order.recipe.digest
        assert options["checkpoint_seconds"] == 7.0
        assert options["model_folder"] == order.model_folder
        teacher = order.recipe.teacher
        kept = teacher and store.kept[teacher.digest].final.predictions["train"]
        assert options["teacher"] is kept


def test_claims_of_a_later_day_may_ask_what_was_trained_without_students_to_teach(job, asked):
    alone = [replace(order, teaches=False) for order in job.orders if not order.recipe.teacher]
    work(replace(job, orders=tuple(alone)), MemoryStore(), Worker("w0"))
    assert [options["predict_train"] for options in asked.values()] == [True] * 8


def test_a_teacher_without_logits_on_the_training_split_is_refused(job):
    store = MemoryStore()
    work(job, store, Worker("w0"))
    student = next(order for order in job.orders if order.recipe.teacher)
    teacher = store.kept[student.recipe.teacher.digest]
    del teacher.final.predictions["train"]
    del store.kept[student.recipe.digest]
    with pytest.raises(EvidenceError, match="without logits on the training split"):
        work(job, store, Worker("w0"))


def test_arms_that_teach_are_named_by_the_arm_that_asked_for_them(job):
    roles = {order.role for order in job.orders if order.teaches}
    assert roles == {ERM_LARGE.key, ERM_SMALL.key}
