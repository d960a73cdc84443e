"""A session on a store that other sessions have used: the family is every claim that it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from kdcheck.study.arms import ERM, LS
from kdcheck.study.record import judge_again, judged, store_claim, stored_claims
from kdcheck.study.samples import SampleDigests

from kdcheck.claims import nats
from kdcheck.evidence.layout import CLAIMS
from kdcheck.evidence.store import Store
from kdcheck.study import record, session
from kdcheck.study.graph import Question, build
from kdcheck.study.session import Session, Where
from kdcheck.verdict import Verdict, Word
from kdcheck.verdict.guards import NotFinite, SeedIgnored
from tests.study_doubles import evidence, question, scale

ONE, OTHER = (
    question(lambda study: study.entropy(LS("smaller")) - study.entropy(ERM("smaller")), claim)
    for claim in ("one", "other")
)
Run = Callable[..., dict[str, Verdict]]


@pytest.fixture
def run(store: Store, tmp_path, monkeypatch) -> Run:
    """Judge and record some claims in a session of their own; what the store then holds."""
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: SampleDigests())
    graph = build([ONE, OTHER], scale(), (0, 1, 2), SampleDigests())
    for digest, recipe in graph.recipes.items():
        begun = store.begin(recipe, role=graph.roles[digest], claims=["one"], worker="w0")
        store.finish(begun, evidence(recipe, entropy=0.5 + int(digest[:2], 16) / 5000))

    def settle(*questions: Question) -> dict[str, Verdict]:
        where = Where(store=str(store.location.folder), folder=tmp_path / "work")
        made = Session(questions, scale(), "3", where)
        made.train(lambda job, store: pytest.fail("nothing is missing"))
        for each in questions:
            verdict = made.verdicts[each.claim.id]
            store_claim(judged(each, verdict, made.graph, [2, 2]), made.store)
        return {each.claim.id: each.verdict for each in stored_claims(made.store)}

    return settle


def test_a_margin_cannot_be_moved_under_cover_of_another_setting(run: Run, store: Store, tmp_path):
    run(ONE)
    moved = replace(ONE, claim=replace(ONE.claim, margin=nats(0.2)))
    other = scale(training={"batch_size": 8, "curve_rows": 64})
    made = Session([moved], other, "3", Where(store=str(store.location.folder), folder=tmp_path))
    before = store.registered_criteria(other.name)
    assert made.missing() == 12, "no run of the new setting is there"
    made._register()
    assert store.registered_criteria(other.name) == before


@pytest.mark.parametrize(
    ("fault", "decided"), [(SeedIgnored("x"), False), (NotFinite("x"), True), (None, True)]
)
def test_seeds_that_happen_to_agree_are_no_reason_to_stop(
    run: Run, store, tmp_path, fault, decided
):
    where = Where(store=str(store.location.folder), folder=tmp_path)
    made = Session([ONE], scale(), "until-decided", where)
    word = Word.INVALID if fault else Word.SUPPORTED
    made.__dict__["verdicts"] = {"one": SimpleNamespace(word=word, fault=fault)}
    assert made._all_decided() is decided


def test_claims_that_are_judged_one_by_one_end_as_the_family_that_they_are(run: Run, store: Store):
    assert run(ONE)["one"].family_size == 1
    one_by_one = run(OTHER)
    assert {verdict.family_size for verdict in one_by_one.values()} == {2}
    assert judge_again(stored_claims(store), store) == one_by_one
    assert run(ONE, OTHER) == one_by_one


def test_a_claim_with_too_many_runs_to_list_links_to_the_table_of_them(
    run: Run, store: Store, monkeypatch
):
    def note() -> str:
        run(ONE)
        [current] = store._runs.search(CLAIMS, "tags.claim = 'one' AND tags.current = 'true'")
        return current.data.tags["mlflow.note.content"]

    assert "[seed 2](" in note()
    monkeypatch.setattr(record, "LONGEST_NOTE", 1000)
    run(OTHER)  # a larger family is another record
    short = note()
    assert "[seed 2](" not in short
    assert f"[All 12 runs]({store.trainings_url('one')})" in short
