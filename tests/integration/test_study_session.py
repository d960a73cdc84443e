"""A session on a real store: the family is what the lock lists, and whatever differs is exploratory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kdcheck.claims import Claim, Paper, nats
from kdcheck.cli.lock import _known as known_to
from kdcheck.errors import ClaimError, EncoderError, EvidenceError
from kdcheck.evidence import note
from kdcheck.evidence.failure import Failure, why_lost
from kdcheck.evidence.judged import Judged
from kdcheck.evidence.layout import CLAIMS
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.study import session
from kdcheck.study.graph import build
from kdcheck.study.lock import Lock, TaskFacts, section_of
from kdcheck.study.recheck import verify
from kdcheck.study.registering import Known, register
from kdcheck.study.scale import Scale
from kdcheck.study.session import Session
from kdcheck.verdict import Plan, Verdict, Word
from kdcheck.verdict.guards import FailedRun
from kdcheck.verdict.words import REHEARSED
from tests.refusal import refused
from tests.study_doubles import (
    CLASSES,
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_LARGE,
    LS_SMALL,
    NamedDigests,
    entropy_gap,
    evidence,
    scale,
)

ONE, OTHER = (entropy_gap(LS_SMALL, ERM_SMALL, name) for name in ("one", "other"))
FALSE = entropy_gap(ERM_SMALL, LS_SMALL, "false")
BESIDE = entropy_gap(LS_LARGE, ERM_LARGE, "beside")
Run = Callable[..., dict[str, Judged]]


@pytest.fixture
def places(store: Store, tmp_path: Path) -> Places:
    return Places.resolve(store=str(store.location.folder), work=tmp_path / "work")


def locked(*claims: Claim, at: Scale | None = None, lock: Lock | None = None, known=None) -> Lock:
    """A lock that registers claims at a scale."""
    at = at or scale()
    facts = {
        task: TaskFacts(digest=f"content of {task}", classes=CLASSES[task]) for task in "abc"[:2]
    }
    plan = Plan.of(at.seeds)
    seeds = tuple(range(at.first_seed, at.first_seed + plan.looks[-1]))
    new = section_of(claims, at, NamedDigests(), facts.__getitem__, seeds, plan)
    return register(lock or Lock(), new, at.name, known or Known()).lock


@pytest.fixture
def trained(store: Store) -> list[str]:
    """Digests of what was trained for the sessions of a test, in order."""
    return []


@pytest.fixture
def run(store: Store, places: Places, trained: list[str], monkeypatch) -> Run:
    """Train, judge and record some claims in a session of their own; what the store then holds."""
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: NamedDigests())

    def train(job, store):
        for order in job.orders:
            if why_lost(order.recipe, store.failures()):
                continue
            if order.recipe.digest not in store.digests():
                begun = store.begin(order.recipe, role=order.role, claims=order.claims, worker="w0")
                store.finish(begun, evidence(order.recipe))
                trained.append(order.recipe.digest)

    def settle(*claims: Claim, at: Scale | None = None, lock=None, seeds="3", **options):
        made = Session(claims, at or scale(), seeds, places, lock=lock, **options)
        made.train(train)
        for each in claims:
            made.record(made.judged(each))
        paper, name = made.family
        return {e.claim.id: e for e in made.store.claims(paper=paper, scale=name)}

    return settle


def standing(found: dict[str, Judged]) -> dict[str, tuple[str, ...]]:
    return {claim: each.verdict.exploratory for claim, each in found.items()}


# Standing


def test_a_whole_registered_family_is_confirmatory_and_names_its_lock(run: Run, store: Store):
    lock = locked(ONE, OTHER)
    [digest] = lock.families
    found = run(ONE, OTHER, lock=lock)
    assert standing(found) == {"one": (), "other": ()}
    assert {each.lock for each in found.values()} == {digest}
    assert {each.verdict.family_size for each in found.values()} == {2}
    assert store.lock(digest) == lock.families[digest].to_dict()


def test_without_a_lock_every_verdict_is_exploratory(run: Run):
    found = run(ONE, OTHER)["one"]
    assert found.verdict.exploratory == (session.NO_LOCK,)
    assert (found.lock, found.verdict.family_size) == ("", 2)


def test_a_part_of_the_family_pays_for_all_of_it_and_is_exploratory(run: Run):
    lock = locked(ONE, OTHER, BESIDE)
    found = run(ONE, lock=lock)
    assert standing(found) == {"one": ("1 of 3 registered claims were run.",)}
    assert found["one"].verdict.family_size == 3


def test_parts_that_were_run_one_by_one_end_as_the_family_that_they_are(run: Run, store: Store):
    lock = locked(ONE, OTHER)
    run(ONE, lock=lock)
    one_by_one = run(OTHER, lock=lock)
    assert standing(one_by_one) == {"one": (), "other": ()}
    assert run(ONE, OTHER, lock=lock) == one_by_one


def test_a_copy_of_the_scale_under_another_name_pays_the_same_price(run: Run):
    lock = locked(ONE, OTHER, BESIDE)
    copy = scale(name="copy")
    found = run(ONE, OTHER, lock=lock, at=copy)  # one claim left out
    assert set(standing(found).values()) == {("2 of 3 registered claims were run.",)}
    assert {each.verdict.family_size for each in found.values()} == {3}
    whole = run(ONE, OTHER, BESIDE, lock=lock, at=copy)
    assert set(standing(whole).values()) == {()}


def test_a_claim_that_is_deleted_once_it_was_judged_still_counts(run: Run, store: Store):
    lock = locked(ONE, OTHER)
    before = run(ONE, OTHER, lock=lock)
    after = run(ONE, lock=lock)
    assert after == before


def test_a_margin_that_moves_is_exploratory_and_the_claims_beside_it_are_not(run: Run):
    lock = locked(ONE, OTHER)
    run(ONE, OTHER, lock=lock)
    found = run(replace(ONE, margin=nats(0.2)), OTHER, lock=lock)
    assert standing(found) == {"one": ("Its margin is 0.2, registered was 0.",), "other": ()}
    assert found["one"].verdict.criterion.margin == 0.2
    assert found["other"].verdict.family_size == 2


def test_a_late_claim_is_judged_beside_the_family_and_never_makes_it_smaller(run: Run):
    found = run(ONE, OTHER, lock=locked(ONE))
    assert standing(found) == {"one": (), "other": ("The lock does not register this claim.",)}
    assert [found[each].verdict.family_size for each in ("one", "other")] == [1, 2]


def test_a_late_claim_of_a_later_attempt_has_its_price(run: Run):
    first = locked(ONE, BESIDE)
    second = locked(ONE, lock=first, known=Known(first.families))
    found = run(ONE, OTHER, lock=second)
    assert {each.verdict.criterion.plan.attempt for each in found.values()} == {2}


def test_other_settings_make_every_verdict_exploratory(run: Run):
    lock = locked(ONE, OTHER)
    found = run(ONE, OTHER, lock=lock, at=scale(training={"batch_size": 16}))
    told = ("Setting training.batch_size is 16, registered was 8.",)
    assert standing(found) == {"one": told, "other": told}


def test_seeds_that_are_not_the_registered_ones_are_exploratory(run: Run):
    found = run(ONE, lock=locked(ONE), first_seed=50)
    assert standing(found) == {"one": ("The seeds are 50 to 61, registered were 0 to 11.",)}
    assert found["one"].table.seeds == (50, 51, 52)
    assert found["one"].verdict.measured.tasks["a"].seeds == (50, 51, 52)


def test_what_was_measured_under_other_settings_does_not_stand_in_for_a_registered_claim(run: Run):
    lock = locked(ONE, OTHER)
    run(OTHER, lock=lock, at=scale(training={"batch_size": 16}))
    assert standing(run(ONE, lock=lock))["one"] == ("1 of 2 registered claims were run.",)


def test_a_lock_that_hides_an_earlier_one_makes_no_verdict_confirmatory(run: Run, places):
    first = locked(ONE, OTHER)
    [digest] = first.families
    run(ONE, OTHER, lock=first)
    hidden = run(ONE, lock=locked(ONE))
    reason = f"The store has verdicts on the same data under the lock {digest[:8]}, which this one hides."  # fmt: skip
    assert hidden["one"].verdict.exploratory == (reason,)
    honest = locked(ONE, lock=first, known=known_to(places))
    found = run(ONE, lock=honest)
    assert found["one"].verdict.exploratory == ()
    assert found["one"].verdict.criterion.plan.attempt == 3
    [left] = list(found["other"].verdict.exploratory)
    assert (
        left
        == f"It was judged under the lock {digest[:8]}, and the claims beside it under another."
    )


def test_a_premise_that_is_not_at_hand_was_not_run(run: Run):
    found = run(replace(ONE, rests_on=("gone",)))
    assert found["one"].verdict.family_size == 2


def test_claims_of_another_paper_are_another_family_even_by_the_same_id(run: Run, store: Store):
    lock = locked(ONE, OTHER)
    run(ONE, OTHER, lock=lock)
    theirs = replace(ONE, paper=Paper(name="theirs", title="T"), margin=nats(0.3))
    assert standing(run(theirs, lock=lock)) == {"one": (session.NO_LOCK,)}
    assert [(*each.family, each.claim.id) for each in store.claims()] == [
        ("own", "made up", "one"),
        ("own", "made up", "other"),
        ("theirs", "made up", "one"),
    ]
    with pytest.raises(ClaimError, match="claims of own and theirs; wanted claims of one paper"):
        run(ONE, theirs)


def test_what_the_lock_makes_of_a_session_is_said_before_it_trains(run: Run, places: Places):
    lock = locked(ONE, OTHER)
    [digest] = lock.families
    known = f"lock {digest[:8]}, 2 claims, attempt 1"

    def told(**changes):
        return Session([ONE], scale(**changes), "3", places, lock=lock).registration

    assert told() == f"{known}; 1 of them here and 0 more in the store"
    run(OTHER, lock=lock)
    assert told() == f"{known}; 1 of them here and 1 more in the store"
    other = told(training={"batch_size": 4})
    assert (
        other == f"EXPLORATORY beside {known}. Setting training.batch_size is 4, registered was 8."
    )
    alone = Session([ONE], scale(), "3", places)
    assert alone.registration == f"EXPLORATORY. {session.NO_LOCK}"


# Looks


def test_a_claim_that_is_decided_gets_no_more_seeds(run: Run, trained: list[str], monkeypatch):
    """At the first look one of them is decided: the next ones train for the other alone."""
    lock = locked(ONE, BESIDE)
    undecided_until = {"one": 0, "beside": 8}
    real = session.judge_under

    def judged(*args, **kwargs):
        found = real(*args, **kwargs)
        return {
            claim: replace(verdict, word=_word(verdict, undecided_until[claim]))
            for claim, verdict in found.items()
        }

    monkeypatch.setattr(session, "judge_under", judged)
    found = run(ONE, BESIDE, lock=lock, seeds="until-decided")
    assert found["one"].table.seeds == (0, 1, 2)
    assert found["beside"].table.seeds == tuple(range(8))
    assert len(trained) == 2 * 2 * 3 + 2 * 2 * 8


def _word(verdict: Verdict, until: int) -> Word:
    seeds = len(verdict.measured.tasks["a"].seeds)
    return Word.SUPPORTED if seeds >= until else Word.UNDECIDED


# Records


def test_where_all_tasks_are_binary_the_record_says_what_that_leaves_out(run: Run, places):
    run(ONE)
    three_classes = Session([ONE], scale(), "3", places)
    binary = Session([ONE], scale(tasks=("b",)), "3", places)
    assert three_classes.judged(ONE).deviations == ()
    assert [each[:27] for each in binary.judged(ONE).deviations] == ["Every task has two classes,"]


def test_a_claim_with_too_many_runs_to_list_links_to_the_table_of_them(
    run: Run, store: Store, monkeypatch
):
    def text() -> str:
        run(ONE)
        [current] = store._runs.search(CLAIMS, "tags.claim = 'one' AND tags.current = 'true'")
        return current.data.tags["mlflow.note.content"]

    assert "[seed 2](" in text()
    monkeypatch.setattr(note, "LONGEST_NOTE", 1000)
    run(ONE, lock=locked(ONE))  # another record
    short = text()
    assert "[seed 2](" not in short
    assert f"[All 12 runs]({store.trainings_url('one')})" in short


# Judged again


def differing(store: Store, lock: Lock | None = None) -> dict[str, tuple[str, ...]]:
    return {c.stored.criterion.claim: c.differences for c in verify(store, lock) if not c.same}


def test_what_sessions_store_is_what_verify_finds_whichever_claims_they_asked_for(
    run: Run, store: Store
):
    lock = locked(ONE, OTHER, BESIDE)
    run(ONE, lock=lock)
    assert differing(store, lock) == {}
    run(OTHER, FALSE, lock=lock)
    assert differing(store, lock) == {}
    run(ONE, OTHER, BESIDE, FALSE, lock=lock)
    assert differing(store, lock) == {}
    run(BESIDE, lock=lock)
    assert differing(store, lock) == {}


def test_without_a_lock_each_session_is_a_family_that_verify_judges_again(run: Run, store: Store):
    run(ONE, OTHER, FALSE)
    run(ONE)
    assert differing(store) == {}


def test_a_claim_whose_company_was_judged_anew_cannot_be_judged_again(run: Run, store: Store):
    run(ONE, OTHER, FALSE)
    run(OTHER, BESIDE, at=scale(training={"batch_size": 4}))
    found = differing(store)
    assert set(found) <= {"one", "false"}
    assert found["false"][0].startswith("judged beside other, of which another session has judged")


# Failures


LOSS = "step 3, seed 1: got a loss that is not finite"


@pytest.fixture
def failing(store: Store, run: Run, monkeypatch) -> list[str]:
    """Digests of recipes that cannot be trained; a test adds to them."""
    broken: list[str] = []
    finish = Store.finish

    def finish_or_fail(self, begun, found):
        if begun.recipe.digest in broken:
            self.fail(begun, LOSS)
            return ""
        return finish(self, begun, found)

    monkeypatch.setattr(Store, "finish", finish_or_fail)
    return broken


def recipes_of(*claims: Claim, seeds=(0, 1, 2)):
    return build(claims, scale(), seeds, NamedDigests())


def test_a_recipe_that_fails_makes_the_claims_that_need_it_invalid_and_no_others(
    run: Run, store: Store, failing: list[str], trained: list[str]
):
    graph = recipes_of(ONE, BESIDE)
    failing.append(graph.runs[LS_SMALL]["b"][1])
    found = run(ONE, BESIDE)
    assert {claim: each.verdict.word for claim, each in found.items()} == {
        "one": Word.INVALID,
        "beside": Word.SUPPORTED,
    }
    fault = found["one"].verdict.fault
    assert fault == FailedRun(f"not trained is {LS_SMALL.key} on b with seed 1: {LOSS}")
    assert fault.detail[1:] in found["one"].verdict.reason
    assert "--retry-failed" in fault.advice
    assert store.failures() == {failing[0]: Failure(LS_SMALL.key, "b", 1, LOSS)}
    assert len(store.digests()) == len(graph.recipes) - 1
    # Judged again it is the same, also where nobody tells of the failure but the record itself.
    assert [check.differences for check in verify(store)] == [(), ()]
    # Nothing of it is trained again, and nothing is recorded anew.
    trained.clear()
    assert run(ONE, BESIDE) == found
    assert trained == []


def test_a_teacher_that_fails_is_named_for_its_students(run: Run, failing: list[str]):
    taught = entropy_gap(ERM_SMALL, KD, "taught")
    graph = recipes_of(taught)
    failing.append(graph.recipes[graph.runs[KD]["a"][2]].teacher.digest)
    verdict = run(taught)["taught"].verdict
    assert verdict.word is Word.INVALID
    student = (
        f"{KD.key} on a with seed 2: its teacher {ERM_LARGE.key} on a with seed 2 failed: {LOSS}"
    )
    assert verdict.fault == FailedRun(f"not trained is {student}")


def test_a_claim_of_which_every_run_failed_is_invalid_and_not_merely_not_run(
    run: Run, failing: list[str]
):
    failing.extend(recipes_of(ONE).recipes)
    assert run(ONE)["one"].verdict.word is Word.INVALID


def test_what_failed_is_tried_again_where_that_is_asked_for_once_a_session(
    run: Run, store: Store, failing: list[str], trained: list[str]
):
    failing.append(recipes_of(ONE).runs[LS_SMALL]["a"][0])
    run(ONE)
    run(ONE, retry_failed="first")
    assert store.failures().keys() == set(failing), "it failed again"
    [digest] = failing
    failing.clear()
    run(ONE, retry_failed="first")
    assert store.failures().keys() == {digest}, "of this session it was tried already"
    trained.clear()
    assert run(ONE, retry_failed="second")["one"].verdict.word is Word.SUPPORTED
    assert trained == [digest]
    assert store.failures() == {}


class OtherWeights(NamedDigests):
    def encoder(self, size: str) -> str:
        return f"other weights of {size}" if size == "larger" else super().encoder(size)


def test_an_encoder_whose_files_have_changed_is_an_error_and_no_new_study(
    run: Run, trained: list[str], monkeypatch
):
    run(BESIDE)
    trained.clear()
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: OtherWeights())
    with pytest.raises(
        EncoderError, match=r"encoder 'tiny-2': got files with the content other we"
    ):
        run(BESIDE)
    assert trained == []


# Rehearsals, and what is said of rows


def test_a_rehearsal_is_marked_whatever_the_lock_says_and_verified_as_no_evidence(run, store):
    at = scale(name="rehearsal of made up", rehearsal=True)
    found = run(ONE, OTHER, at=at, lock=locked(ONE, OTHER))
    assert standing(found) == {"one": (REHEARSED,), "other": (REHEARSED,)}
    assert {each.verdict.standing for each in found.values()} == {"REHEARSAL"}
    checks = {check.again.criterion.claim: check for check in verify(store)}
    assert all(not check.same for check in checks.values())
    assert "a rehearsal, which is evidence of nothing" in checks["one"].differences


def test_a_rehearsal_whose_mark_was_taken_off_is_found_by_what_was_run(run, store):
    at = scale(name="rehearsal of made up", rehearsal=True)
    [found] = run(ONE, at=at).values()
    store.record_claim(replace(found, verdict=replace(found.verdict, exploratory=())))
    [check] = verify(store)
    assert check.again.standing == "REHEARSAL"
    assert "stored as CONFIRMATORY, not REHEARSAL" in check.differences


def test_rehearsals_and_evidence_never_share_a_store(run, store, tmp_path):
    run(ONE)
    with refused(EvidenceError, "a store with trainings", "Leave --store out"):
        run(ONE, at=scale(name="rehearsal of made up", rehearsal=True))
    place = tmp_path / "apart"
    Store.create(place, rehearsal=True)
    Store.create(place, rehearsal=True)
    with refused(EvidenceError, "a store of rehearsals", "no rehearsal is evidence"):
        Store.create(place, rehearsal=False)


def test_a_claim_says_what_its_figures_must_not_be_read_without(run, store):
    found = run(ONE, at=scale(rows={"a": {"train": 7}}))["one"]
    assert found.data["a"]["rows"]["train"] == 60
    assert found.data["a"]["marks"] == {"cut": "Each run trains on 7 of 60 rows."}
    assert found.data["b"]["marks"] == {}
    assert found.data_said == ("a, cut: Each run trains on 7 of 60 rows.",)
    assert "a, cut: Each run trains on 7 of 60 rows." in note.note(found, store)
