"""What is around training is timed in a run of pytest in which evidence is invented."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdcheck.cli import main
from kdcheck.errors import InputError, TrainingError
from kdcheck.places import Places
from kdcheck.planning import clock, forecast, overhead
from kdcheck.plugin import probe
from kdcheck.plugin.config import EXECUTOR, SESSION
from kdcheck.study.graph import build
from kdcheck.study.resources import Resources
from kdcheck.study.work import Job
from tests.study_doubles import ERM_SMALL, KD, MemoryStore, NamedDigests, entropy_gap, scale

# The clock


def test_the_clock_leaves_out_what_the_system_says_was_waited(monkeypatch, tmp_path):
    told = tmp_path / "schedstat"
    told.write_text("1500000000 2500000000 7\n")
    assert clock.waited(told) == 2.5
    assert clock.waited(tmp_path / "not on this system") == 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: 100.0)
    monkeypatch.setattr(clock, "waited", lambda: 40.0)
    assert clock.seconds() == 60.0


BUSY = """
import os, time
from kdcheck.planning import clock
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.fork()
began, cpu, idle = time.perf_counter(), time.process_time(), clock.seconds()
while time.process_time() - cpu < 0.3:
    pass
print(f"{time.perf_counter() - began} {clock.seconds() - idle}\\n", end="", flush=True)
"""


@pytest.mark.skipif(not clock.SCHEDSTAT.exists(), reason="this system does not tell who waits")
def test_two_processes_that_share_a_core_have_the_time_of_one_by_the_clock():
    told = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=True)
    walls, idle = zip(*(map(float, line.split()) for line in told.stdout.splitlines()), strict=True)
    assert idle == pytest.approx((0.3, 0.3), rel=0.2)
    assert max(walls) > 0.4, "they did get in each other's way"


# The run of pytest


class Clock:
    """Time that goes by where a double says so."""

    now = 0.0

    def seconds(self):
        return self.now

    def spend(self, seconds, value=None):
        self.now += seconds
        return value


@pytest.fixture
def timed(monkeypatch):
    """What a probe makes of a session whose parts take known times."""
    time_goes_by, closed = Clock(), []
    spend = time_goes_by.spend
    monkeypatch.setattr(probe, "clock", time_goes_by)
    monkeypatch.setattr(probe, "_put", lambda job, store: spend(60.0, 40.0))
    monkeypatch.setattr(probe, "_get", lambda store: spend(5.0, 0.5))

    class Store:
        location = "here"

        @classmethod
        def open(cls, location):
            assert location == "here"
            spend(1.0)

    def run(*calls):
        found = probe.Probe(before=2.0)
        stash = {EXECUTOR: SimpleNamespace(close=lambda: closed.append(1))}
        stash[SESSION] = SimpleNamespace(store=Store())
        spend(10.0)
        found.pytest_collection_finish(SimpleNamespace(config=SimpleNamespace(stash=stash)))
        assert stash[EXECUTOR] is found
        stash[EXECUTOR].run(SimpleNamespace(orders=range(8)), None, len)
        assert closed, "no worker is left that waits for a job"
        assert not found.has_judged
        for seconds in calls:
            claim = found.pytest_runtest_call()
            next(claim)
            spend(seconds)
            with pytest.raises(StopIteration):
                claim.send(None)
        spend(7.0)
        assert found.has_judged
        return found.finish()

    return run


def test_what_is_timed_has_the_fewest_seeds_that_can_be_judged_and_the_workers_of_the_plan(
    monkeypatch,
):
    seconds = {"before": 1, "put": 2, "get": 3, "judge_run": 4, "judge_claim": 5, "after": 6}
    asked = []

    def run(command, **_):
        asked.append(" ".join(command))
        Path(command[4]).write_text(json.dumps(seconds))

    monkeypatch.setattr(subprocess, "run", run)
    found = overhead.overhead(["claims", "--scale", "mini"], Places.resolve(data_dir="rows"), 3)
    assert vars(found) == seconds
    assert "claims --scale mini --seeds 2 --workers 3 --store" in asked[0]
    assert asked[0].endswith("--data-dir rows")
    assert "-p no:cacheprovider" in asked[0], "nothing is left in the folder of the claims"


def test_each_part_of_a_session_is_timed_by_itself(timed):
    assert timed(19.0, 2.0, 4.0) == {
        "before": 2.0
        + 10.0
        + 1.0,  # before it looked, until it trained, and a store that is opened
        "put": 5.0,
        "get": 0.5,
        "judge_run": (19.0 - 3.0) / 8,  # with the first claim all verdicts are made
        "judge_claim": 3.0,
        "after": 7.0,
    }


def test_of_one_claim_alone_all_is_judging_its_runs(timed):
    found = timed(16.0)
    assert (found["judge_run"], found["judge_claim"]) == (2.0, 0.0)


def test_what_is_stored_is_as_large_as_what_a_run_leaves_and_its_making_is_left_out(monkeypatch):
    time_goes_by, made = Clock(), []
    monkeypatch.setattr(probe, "clock", time_goes_by)
    monkeypatch.setattr(Resources, "_load_task", lambda self, name: f"task {name}")
    monkeypatch.setattr(
        "kdcheck.planning.invented.invented",
        lambda recipe, *about: time_goes_by.spend(100, made.append((recipe, *about))),
    )

    class Store(MemoryStore):
        def begin(self, recipe, **more):
            return time_goes_by.spend(2.0, super().begin(recipe, **more))

        def finish(self, begun, found):
            time_goes_by.spend(3.0, super().finish(begun, found))

        def get(self, digest):
            return time_goes_by.spend(0.25, super().get(digest))

    graph = build([entropy_gap(KD, ERM_SMALL)], scale(), (0, 1), NamedDigests())
    job, store = Job.of(graph, Places.resolve(store="s")), Store()
    assert probe._put(job, store) == 5.0 * 12
    assert {recipe.digest for recipe, *_ in made} == store.digests() == set(graph.recipes)
    for recipe, task, whole in made:
        assert task == f"task {recipe.task}"
        assert whole == (recipe.teacher is None), "a teacher's, or one that may teach"
    assert probe._get(store) == 0.25


def test_a_run_of_pytest_that_judges_nothing_is_an_error_with_its_last_words():
    said = r"exit code 4: .*nowhere\.toml.*; wanted claims that can be run here"
    with pytest.raises(TrainingError, match=said):
        overhead.overhead(["claims", "--scale", "nowhere.toml"], Places.resolve(), 1)


# The command


@pytest.fixture
def asked(monkeypatch, capsys):
    """What ``kdcheck plan`` asks to be timed, and the plan that it prints; an hour stands for any study."""

    def time_here(claims, asked, scale, places, workers):
        seen.update(claims=[claim.id for claim in claims], asked=asked, workers=workers)
        return SimpleNamespace(seconds=lambda *_: 3600.0, to_dict=dict, stretch=3.0)

    def run(*arguments):
        assert main(["plan", *arguments, "--scale", "paper", "--format", "json"]) == 0
        return seen, json.loads(capsys.readouterr().out)

    seen = {}
    monkeypatch.setattr(forecast, "time_here", time_here)
    return run


def test_some_claims_are_planned_and_timed_by_what_pytest_is_told_of_them(asked):
    seen, plan = asked("claims", "-k", "triples", "--measure", "--workers", "3")
    assert seen["claims"] == ["ls_triples_entropy"]
    assert seen["asked"] == ["claims", "-k", "triples", "--scale", "paper"]
    assert seen["workers"] == 3
    assert [each["claim"] for each in plan["each_claim"]] == seen["claims"]
    assert plan["measured"] == {"hours": 1.0, "hours_as_busy": 3.0}


def test_without_measure_nothing_is_timed_and_one_claim_is_planned_by_its_id(asked):
    seen, plan = asked("claims/test_smoothing.py::test_ls_raises_entropy[larger]")
    assert seen == {}
    assert plan["measured"] is None
    assert [each["claim"] for each in plan["each_claim"]] == ["ls_raises_entropy[larger]"]


def test_a_scale_that_needs_a_device_is_not_timed_without_one(monkeypatch):
    monkeypatch.setattr(forecast, "cuda_devices", tuple)
    claims = [entropy_gap(KD, ERM_SMALL)]
    needs = replace(scale(), needs_cuda=True)
    with pytest.raises(
        InputError, match="no CUDA device; wanted one, as the scale 'made up' needs"
    ):
        forecast.time_here(claims, ["claims"], needs, Places.resolve())
