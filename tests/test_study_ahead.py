"""What claims read of runs, taken while others train: judging finds it taken, and nothing else changes."""

from __future__ import annotations

from collections import Counter

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.source import ReadOnce
from kdcheck.study.ahead import Asked
from kdcheck.study.graph import build
from kdcheck.study.judging import measure
from kdcheck.study.readings import Readings
from tests.study_doubles import (
    ERM_SMALL,
    KD,
    LS_SMALL,
    SELF,
    NamedDigests,
    entropy_gap,
    evidence,
    planned,
    scale,
)

SEEDS = (0, 1, 2)
AGREE = planned(
    lambda study: study.read("teacher_agreement", KD) - study.read("teacher_agreement", SELF),
    "agree",
)
CURVE = planned(
    lambda study: study.least(study.entropy_curve(LS_SMALL)) - study.entropy(ERM_SMALL), "curve"
)
GAP = entropy_gap(LS_SMALL, ERM_SMALL, "gap")
CLAIMS = (CURVE, AGREE, GAP)
GRAPH = build(CLAIMS, scale(), SEEDS, NamedDigests())


class Runs:
    """A source that notes what is read of it, and of which some runs may be damaged."""

    def __init__(self) -> None:
        self.read: Counter[tuple[str, bool]] = Counter()
        self.damaged: set[str] = set()

    def claims(self, **_):
        return ()

    def lock(self, digest):
        raise AssertionError(digest)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        self.read[digest, trajectory] += 1
        if digest in self.damaged:
            raise EvidenceError(f"run {digest[:8]}", "damage", "none", "Train it again.")
        return evidence(GRAPH.recipes[digest])


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def asked() -> Asked:
    made = Asked()
    for claim in CLAIMS:
        made.add(claim.measures, GRAPH.table(claim.measures))
    return made


def readings_of(runs: Runs, asked: Asked) -> Readings:
    return Readings(ReadOnce(runs, set, asked.has_curve).get)


def measured(readings: Readings):
    return [measure(each.measures, GRAPH.table(each.measures), readings) for each in CLAIMS]


def digests_of(arm) -> set[str]:
    return {digest for seeds in GRAPH.runs[arm].values() for digest in seeds.values()}


def test_runs_whose_curve_is_read_are_known_beforehand(asked: Asked):
    assert {each for each in GRAPH.recipes if asked.has_curve(each)} == digests_of(LS_SMALL)


def test_every_run_is_read_once_and_with_its_curve_where_any_claim_reads_it(runs, asked):
    measured(readings_of(runs, asked))
    curves = digests_of(LS_SMALL)
    assert set(runs.read.values()) == {1}
    assert {digest for digest, whole in runs.read if whole} == curves


def test_what_is_taken_while_others_train_is_what_judging_finds_and_is_not_read_again(runs, asked):
    ahead = readings_of(runs, asked)
    order = list(GRAPH.recipes)  # teachers stand before their students
    for count in range(len(order) + 1):
        asked.take(order[:count], ahead)
    before = dict(runs.read)
    assert {digest for digest, _ in before} == set(order)
    assert measured(ahead) == measured(readings_of(Runs(), asked))
    assert runs.read == before


def test_only_what_is_finished_is_read_and_no_run_that_no_claim_reads(runs, asked):
    first = min(digests_of(ERM_SMALL))
    asked.take({first, "a run of another study"}, readings_of(runs, asked))
    assert dict(runs.read) == {(first, False): 1}


def test_what_a_slow_store_leaves_no_time_for_is_taken_at_the_next_look(runs, asked, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("kdcheck.study.ahead.time.monotonic", lambda: now[0])
    get = runs.get

    def slow(digest, **how):
        now[0] += 0.3
        return get(digest, **how)

    ahead = Readings(slow)
    wanted = sorted(digests_of(ERM_SMALL))
    asked.take(wanted, ahead)
    assert len(runs.read) == 2
    asked.take(wanted, ahead)
    assert len(runs.read) == 4
    assert set(runs.read.values()) == {1}


def test_a_run_that_cannot_be_read_stops_no_training_and_is_told_of_when_it_is_judged(runs, asked):
    damaged = min(digests_of(LS_SMALL))
    runs.damaged = {damaged}
    ahead = readings_of(runs, asked)
    asked.take(GRAPH.recipes, ahead)
    asked.take(GRAPH.recipes, ahead)
    assert runs.read[damaged, True] == 1  # no try at each look
    with pytest.raises(EvidenceError, match="got damage"):
        measured(ahead)
    runs.damaged = set()
    assert measured(ahead) == measured(readings_of(Runs(), asked))
