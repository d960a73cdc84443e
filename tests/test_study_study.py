"""What a claim test is given: readings by name, and a session that goes look by look."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdcheck.claims import Claim, Reading, nats
from kdcheck.errors import ClaimError
from kdcheck.evidence.failure import Failure
from kdcheck.evidence.store import Store
from kdcheck.study import session
from kdcheck.study.session import Session
from kdcheck.study.study import Study
from kdcheck.verdict import Word
from kdcheck.verdict.guards import NotFinite, SeedIgnored
from kdcheck.verdict.words import REHEARSED
from tests.study_doubles import ERM_SMALL, KD, LS_SMALL, NamedDigests, entropy_gap, scale

STUDY = Study(Claim(id="c", says="S.", where="s", holds="every", margin=nats(0), because="b"))
ENTROPY = "mean_entropy_nats"


@pytest.mark.parametrize(
    ("contrast", "reading"),
    [
        (STUDY.entropy(KD), Reading(ENTROPY, KD)),
        (STUDY.entropy(KD, split="validation"), Reading(ENTROPY, KD, "validation")),
        (STUDY.entropy(KD, temperature=2), Reading(ENTROPY, KD, temperature=2)),
        (STUDY.entropy_curve(KD), Reading(ENTROPY, KD, "test_sample", point="every")),
        (
            STUDY.entropy_curve(KD, split="train_sample"),
            Reading(ENTROPY, KD, "train_sample", point="every"),
        ),
        (STUDY.accuracy(KD, split="validation"), Reading("accuracy", KD, "validation")),
        (STUDY.smoothing_floor(LS_SMALL), Reading("smoothing_floor_nats", LS_SMALL)),
        (
            STUDY.read("ece", KD, split="train_sample", point="first"),
            Reading("ece", KD, "train_sample", point="first"),
        ),
    ],
    ids=lambda case: getattr(case, "text", ""),
)
def test_a_reading_is_what_its_name_and_options_say(contrast, reading):
    assert contrast.readings() == (reading,)


def test_accuracies_are_read_in_points_and_entropies_as_they_are():
    assert STUDY.accuracy(KD).value(lambda reading: 0.75) == 75.0
    assert STUDY.entropy(KD).value(lambda reading: 0.75) == 0.75


def test_ys_come_before_xs():
    by_arm = {KD: 0.9, LS_SMALL: 0.5, ERM_SMALL: 0.1}
    entropies = [STUDY.entropy(arm) for arm in by_arm]
    slope = STUDY.slope(ys=entropies[:2], xs=entropies[1:])
    assert slope.value(lambda reading: by_arm[reading.arm]) == pytest.approx(1.0)
    squared = [STUDY.apply("*", each, each) for each in entropies[:2]]
    slope = STUDY.slope(ys=squared, xs=entropies[:2])
    assert slope.value(lambda reading: by_arm[reading.arm]) == pytest.approx(1.4)


def test_least_and_first_are_those_of_a_curve():
    curve = [3.0, 1.0, 2.0]
    found = {name: getattr(STUDY, name)(STUDY.entropy_curve(KD)) for name in ("least", "first")}
    assert {name: each.value(lambda reading: curve) for name, each in found.items()} == {
        "least": 1.0, "first": 3.0,
    }  # fmt: skip


BUILD = "Build it from study.entropy(...) or study.accuracy(...)."
READS_A_RUN = "a contrast that reads at least one run"


@pytest.mark.parametrize(
    ("contrast", "got", "wanted", "step"),
    [
        (0.5, "the contrast 0.5", READS_A_RUN, BUILD),
        (STUDY.apply("+", 1.0, 2.0), "the contrast 1 + 2", READS_A_RUN, BUILD),
        (
            STUDY.entropy_curve(KD),
            f"the contrast {STUDY.entropy_curve(KD).text}, a curve",
            "one number for each task and seed",
            "Take study.least(...) or study.first(...) of the curve.",
        ),
    ],
    ids=["number", "constant", "curve"],
)
def test_what_cannot_be_judged_is_refused_with_what_it_is(contrast, got, wanted, step):
    with pytest.raises(ClaimError) as caught:
        STUDY.judge(contrast)
    error = caught.value
    assert (error.who, error.got, error.wanted, error.next_step) == ("claim 'c'", got, wanted, step)


@pytest.mark.parametrize(
    ("seeds", "decided_at", "gone_through"),
    [("5", None, [5]), ("until-decided", 5, [3, 5]), ("until-decided", None, [3, 5, 8, 12])],
)
def test_a_session_goes_through_the_looks_until_all_is_decided(
    monkeypatch, seeds, decided_at, gone_through
):
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: NamedDigests())
    made = Session([entropy_gap(LS_SMALL, ERM_SMALL)], scale(), seeds, SimpleNamespace())
    trained: list[int] = []
    monkeypatch.setattr(
        Session, "store", SimpleNamespace(digests=set, encoders=dict, failures=dict)
    )
    monkeypatch.setattr(Session, "job", lambda self: None)

    def judged(self):
        word = Word.SUPPORTED if len(self.graph.seeds) == decided_at else Word.UNDECIDED
        return {"c": SimpleNamespace(word=word, fault=None)}

    monkeypatch.setattr(Session, "verdicts", property(judged))
    made.train(lambda job, store: trained.append(len(made.graph.seeds)))
    assert trained == gone_through


def test_a_session_names_each_run_that_cannot_be_had_once(monkeypatch):
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: NamedDigests())
    claims = [entropy_gap(LS_SMALL, ERM_SMALL, "one"), entropy_gap(ERM_SMALL, LS_SMALL, "other")]
    made = Session(claims, scale(), "3", SimpleNamespace())
    lost = made.graph.runs[LS_SMALL]["b"][1]
    failure = Failure(LS_SMALL.key, "b", 1, "a loss that is not finite")
    store = SimpleNamespace(digests=set, encoders=dict, failures=lambda: {lost: failure})
    monkeypatch.setattr(Session, "store", store)
    assert made.failures() == [f"{LS_SMALL.key} on b with seed 1: a loss that is not finite"]
    assert made.missing() == len(made.graph.recipes) - 1


@pytest.mark.parametrize(
    ("words", "fault", "is_open"),
    [
        ((Word.UNDECIDED, Word.SUPPORTED, Word.SUPPORTED), None, True),
        ((Word.SUPPORTED, Word.UNDECIDED, Word.UNDECIDED), None, False),
        ((Word.INVALID, Word.SUPPORTED, Word.SUPPORTED), SeedIgnored("x"), True),
        ((Word.INVALID, Word.SUPPORTED, Word.SUPPORTED), NotFinite("x"), False),
        ((Word.NOT_TESTABLE, Word.UNDECIDED, Word.SUPPORTED), None, True),
        ((Word.NOT_TESTABLE, Word.SUPPORTED, Word.UNDECIDED), None, True),
        ((Word.NOT_TESTABLE, Word.REFUTED, Word.UNDECIDED), None, False),
        ((Word.NOT_TESTABLE, Word.UNDECIDED, Word.EQUIVALENT), None, False),
        ((Word.NOT_TESTABLE, Word.INVALID, Word.UNDECIDED), None, False),
    ],
)
def test_what_more_seeds_may_decide_is_open(monkeypatch, words, fault, is_open):
    """Of a claim that rests on a premise, which rests on another, which is the session's no more."""
    made = a_session(monkeypatch)
    rests = {"above": ("one",), "one": ("other",), "other": ("gone",)}
    made.__dict__["verdicts"] = {
        name: SimpleNamespace(
            word=word,
            fault=fault if name == "above" else None,
            criterion=SimpleNamespace(rests_on=rests[name]),
        )
        for name, word in zip(rests, words, strict=True)
    }
    assert made._is_open(made.verdicts["above"]) is is_open


def a_session(monkeypatch, **options):
    """A session of one claim, without a store."""
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: NamedDigests())
    claims = [entropy_gap(LS_SMALL, ERM_SMALL)]
    return Session(claims, scale(), "3", SimpleNamespace(store="a place"), **options)


@pytest.mark.parametrize(("asked", "tried"), [("", []), ("today", ["today"])])
def test_what_failed_is_tried_again_before_anything_is_counted_as_lost(monkeypatch, asked, tried):
    made = a_session(monkeypatch, retry_failed=asked)
    failing = made.graph.runs[LS_SMALL]["a"][0]
    failures, sessions = {failing: Failure(LS_SMALL.key, "a", 0, "no memory")}, []

    def retry(recipes, session_of):
        assert recipes == made.graph.recipes
        sessions.append(session_of)
        failures.clear()

    store = SimpleNamespace(
        digests=set,
        encoders=dict,
        failures=lambda: dict(failures),
        retry=retry,
        claims=lambda **_: [],
    )
    monkeypatch.setattr(Session, "store", store)
    monkeypatch.setattr(Session, "_open", lambda self: [])
    trained = []
    made.train(lambda job, at: trained.append((len(job.orders), at, made.missing())))
    assert sessions == tried
    lost = 0 if tried else 1
    assert trained == [(len(made.graph.recipes), store, len(made.graph.recipes) - lost)]


@pytest.mark.parametrize("is_worker", [False, True])
def test_a_store_is_tidied_by_whoever_controls_and_never_by_a_worker(monkeypatch, is_worker):
    made = a_session(monkeypatch, is_worker=is_worker)
    seen = []

    def create(place, *, rehearsal):
        seen.append((place, rehearsal))
        return SimpleNamespace(reap=lambda: seen.append("reaped"))

    monkeypatch.setattr(Store, "create", create)
    assert made.store is made.store
    assert seen == [("a place", False), *([] if is_worker else ["reaped"])]


def test_seeds_are_those_of_the_scale_unless_others_are_asked_for(monkeypatch):
    assert a_session(monkeypatch).seeds == tuple(range(12))
    made = a_session(monkeypatch, first_seed=50)
    assert (made.seeds, made.counts) == (tuple(range(50, 62)), (3,))
    assert made.graph.seeds == (50, 51, 52)
    assert a_session(monkeypatch).registration == f"EXPLORATORY. {session.NO_LOCK}"


def test_a_rehearsal_says_that_it_is_one_whatever_is_registered(monkeypatch):
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: NamedDigests())
    rehearsed = scale(rehearsal=True)
    made = Session([entropy_gap(LS_SMALL, ERM_SMALL)], rehearsed, "3", SimpleNamespace())
    assert made.registration == f"REHEARSAL. {REHEARSED}"
    assert made.section is None
