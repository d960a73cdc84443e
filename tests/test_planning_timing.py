"""From timed parts of a run to the seconds of a study, by hand; and how the parts are timed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch

from kdcheck.errors import TrainingError
from kdcheck.places import Places
from kdcheck.planning import timing, timing_worker
from kdcheck.planning.invented import invented
from kdcheck.planning.overhead import Overhead
from kdcheck.planning.timing import Seconds, Timing, measure
from kdcheck.planning.timing_worker import plain, timed
from kdcheck.study.resources import Resources
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task
from tests.study_doubles import ERM_SMALL, KD
from tests.test_planning_counts import made_up, run_of

AROUND = Overhead(before=100.0, put=7.0, get=3.0, judge_run=2.0, judge_claim=5.0, after=9.0)
PARTS = Seconds(
    prepare=11.0, cut=13.0, begin=17.0, step=19.0, look=29.0, look_token=0.01, digest=23.0
)


def made(workers, kinds):
    return Timing(device="CPU", workers=workers, cores=2, kinds=kinds, overhead=AROUND)


def test_a_run_takes_its_begin_steps_looks_and_its_place_in_the_store():
    graph, found = made_up()
    student, plainly = (run_of(graph, found, arm, "a") for arm in (KD, ERM_SMALL))
    every = made(2, {student.kind: PARTS})
    looks = 29 * (8 * 2 + 1) + 0.01 * student.looked_tokens + 23 * 8
    assert every.run(student) == pytest.approx(17 + 28 * 19 + looks + 3 + 7)
    looks = 29 * (6 * 2 + 2) + 0.01 * plainly.looked_tokens + 23 * 6
    assert every.run(plainly) == pytest.approx(17 + 21 * 19 + looks + 7), "nobody's logits are read"


def test_a_study_shares_its_runs_among_workers_and_nothing_else():
    _, found = made_up()
    parts = list(found.values())
    kinds = {each.kind: PARTS for each in parts}
    assert len(kinds) == 4, "two encoders on two tasks"
    one, two, three = (made(workers, kinds) for workers in (1, 2, 3))
    training = sum(map(one.run, parts))
    # Start, four times tokenising and cutting, six runs and one claim to judge, the page.
    rest = 100 + 4 * (11 + 13) + 6 * 2 + 5 + 9
    assert one.seconds(parts, 1) == pytest.approx(training + rest)
    assert two.seconds(parts, 1) == pytest.approx(training / 2 + rest)
    assert three.seconds(parts, 1) == two.seconds(parts, 1), "there are two cores"


class Clock:
    """Time that goes by where a double says so."""

    now = 0.0

    def seconds(self):
        return self.now


def test_the_first_step_is_not_taken_for_a_usual_one(monkeypatch):
    clock, calls = Clock(), []

    def train(recipe, inputs, *, device, progress):
        calls.append(recipe)
        clock.now += 40  # building the model
        for step in range(1, 1000):
            clock.now += 9 if step <= timing_worker.WARM else 0.5
            progress(step, 1000)

    monkeypatch.setattr(timing_worker, "clock", clock)
    monkeypatch.setattr(timing_worker, "train", train)
    task = tiny_task()
    recipe = tiny_recipe(task, tiny_encoder())
    begin, step = timing_worker._steps(recipe, None, torch.device("cpu"))
    assert (begin, step) == (48.5, 0.5)
    assert calls[0].objective.name == "erm"


def test_what_is_timed_is_of_the_kind_of_its_recipe_and_needs_no_teacher():
    graph, found = made_up()
    student = run_of(graph, found, KD, "a").recipe
    same = plain(replace(student, schedule="linear_over_longest", schedule_epochs=9))
    kept = ("task", "encoder", "precision", "batch_size", "rows", "max_length", "threads")
    assert [getattr(same, name) for name in kept] == [getattr(student, name) for name in kept]
    assert same.teacher is None
    assert same.evaluations_per_epoch == 0


def test_every_part_of_a_run_is_timed_on_the_engine(monkeypatch):
    monkeypatch.setattr(timing_worker, "SECONDS", 0.01)
    from kdcheck.engine.inputs import prepare

    task, encoder = tiny_task(train=80), tiny_encoder()
    whole = prepare(task, encoder, 128)

    class AtHand(Resources):
        def inputs_of(self, recipe):
            return whole.cut(recipe.rows)

    recipe = tiny_recipe(task, encoder, train_rows=40)
    found = timed(recipe, AtHand(Places.resolve()), torch.device("cpu"))
    assert set(found) == {field.name for field in fields(Seconds)} | {"wall", "waited"}
    assert all(value >= 0 for value in found.values())
    assert found["step"] > 0 < found["look_token"]
    assert found["wall"] - found["waited"] > found["prepare"]


TELLS = """
import json, sys
print(json.dumps("ready"), flush=True)
job = json.loads(sys.stdin.readline())
for recipe in job["recipes"]:
    names = "prepare cut begin step look look_token digest".split()
    print(json.dumps(dict.fromkeys(names, {step}) | {{"wall": 10.0, "waited": {waited}}}), flush=True)
"""


@pytest.mark.parametrize(("here", "stretch"), [(2, 2.0), (1, 1.0)])
def test_parts_are_means_over_the_processes_and_what_they_waited_for_is_kept_apart(
    monkeypatch, here, stretch
):
    """Of 20 seconds two processes waited 10: at that load it takes twice as long, but on one core alone
    they waited for each other."""
    monkeypatch.setattr(timing, "cores", lambda: here)
    told = iter([TELLS.format(step=2.0, waited=3.0), TELLS.format(step=4.0, waited=7.0)])

    def start():
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", next(told)]
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    monkeypatch.setattr(timing, "_start", start)
    _, found = made_up()
    taken = measure(list(found.values()), Places.resolve(), AROUND, (), 2)
    assert {each.step for each in taken.kinds.values()} == {3.0}
    assert (taken.cores, taken.stretch) == (here, pytest.approx(stretch))


def test_a_process_that_ends_without_its_times_is_an_error_with_its_last_words(monkeypatch):
    def start():
        command = [sys.executable, "-c", "raise SystemExit('no room')"]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    monkeypatch.setattr(timing, "_start", start)
    _, found = made_up()
    with pytest.raises(TrainingError, match="no room"):
        measure(list(found.values()), Places.resolve(), AROUND, (), 2)


@pytest.mark.parametrize("whole_train", [True, False])
def test_invented_evidence_has_the_rows_that_a_run_leaves(whole_train):
    from kdcheck.engine.inputs import prepare
    from kdcheck.engine.loop import train

    task, encoder = tiny_task(train=40, validation=9, test=21), tiny_encoder()
    recipe = tiny_recipe(task, encoder, evaluations_per_epoch=2, curve_rows=6, validation_rows=5)
    inputs = prepare(task, encoder, max_length=128).cut(recipe.rows)
    real = train(recipe, inputs, predict_train=whole_train)
    made = invented(recipe, task, whole_train)
    for evidence in (real, made):
        assert [point.step for point in evidence.points] == [point.step for point in real.points]
        assert [
            {name: part.logits_NK.shape for name, part in point.predictions.items()}
            for point in evidence.points
        ] == [
            {name: part.logits_NK.shape for name, part in point.predictions.items()}
            for point in real.points
        ]
