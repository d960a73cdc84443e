"""A session on a store that other sessions have used: the family is every claim that it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kdcheck.claims import Claim, Paper, nats
from kdcheck.errors import ClaimError
from kdcheck.evidence import note
from kdcheck.evidence.layout import CLAIMS
from kdcheck.evidence.store import Store
from kdcheck.places import Places
from kdcheck.study import session
from kdcheck.study.graph import build
from kdcheck.study.recheck import judge_again
from kdcheck.study.session import Session
from kdcheck.verdict import Verdict, Word
from kdcheck.verdict.guards import NotFinite, SeedIgnored
from tests.study_doubles import ERM_SMALL, LS_SMALL, NamedDigests, entropy_gap, evidence, scale

ONE, OTHER = (entropy_gap(LS_SMALL, ERM_SMALL, name) for name in ("one", "other"))
Run = Callable[..., dict[str, Verdict]]


@pytest.fixture
def places(store: Store, tmp_path) -> Places:
    return Places.resolve(store=str(store.location.folder), work=tmp_path / "work")


@pytest.fixture
def run(store: Store, places: Places, monkeypatch) -> Run:
    """Judge and record some claims in a session of their own; what the store then holds of them."""
    monkeypatch.setattr(session, "ScaleDigests", lambda scale, resources: NamedDigests())
    graph = build([ONE, OTHER], scale(), (0, 1, 2), NamedDigests())
    for digest, recipe in graph.recipes.items():
        begun = store.begin(recipe, role=graph.roles[digest], claims=["one"], worker="w0")
        store.finish(begun, evidence(recipe))

    def settle(*claims: Claim) -> dict[str, Verdict]:
        made = Session(claims, scale(), "3", places)
        made.train(lambda job, store: pytest.fail("nothing is missing"))
        for each in claims:
            made.store.record_claim(made.judged(each))
        paper, name = made.family
        return {e.claim.id: e.verdict for e in made.store.claims(paper=paper, scale=name)}

    return settle


def test_a_margin_cannot_be_moved_under_cover_of_another_setting(run: Run, store: Store, places):
    run(ONE)
    moved = replace(ONE, margin=nats(0.2))
    other = scale(training={"batch_size": 8, "curve_rows": 64})
    made = Session([moved], other, "3", places)
    before = store.registered_criteria(made.family)
    assert set(before) == {"one"}
    assert made.missing() == 12, "no run of the new setting is there"
    made._register()
    assert store.registered_criteria(made.family) == before


@pytest.mark.parametrize(
    ("fault", "decided"), [(SeedIgnored("x"), False), (NotFinite("x"), True), (None, True)]
)
def test_seeds_that_happen_to_agree_are_no_reason_to_stop(run: Run, places, fault, decided):
    made = Session([ONE], scale(), "until-decided", places)
    word = Word.INVALID if fault else Word.SUPPORTED
    made.__dict__["verdicts"] = {"one": SimpleNamespace(word=word, fault=fault)}
    assert made._all_decided() is decided


def test_claims_that_are_judged_one_by_one_end_as_the_family_that_they_are(run: Run, store: Store):
    assert run(ONE)["one"].family_size == 1
    one_by_one = run(OTHER)
    assert {verdict.family_size for verdict in one_by_one.values()} == {2}
    assert judge_again(store.claims(), store.get) == one_by_one
    assert run(ONE, OTHER) == one_by_one


def test_claims_of_another_paper_are_another_family_even_by_the_same_id(run: Run, store: Store):
    run(ONE, OTHER)
    theirs = replace(ONE, paper=Paper(name="theirs", title="T"), margin=nats(0.3))
    assert {v.family_size for v in run(theirs).values()} == {1}
    assert [(*each.family, each.claim.id) for each in store.claims()] == [
        ("own", "made up", "one"),
        ("own", "made up", "other"),
        ("theirs", "made up", "one"),
    ]
    assert {v.family_size for v in run(ONE).values()} == {2}
    with pytest.raises(ClaimError, match="claims of own and theirs; wanted claims of one paper"):
        run(ONE, theirs)


def test_where_all_tasks_are_binary_the_record_says_what_that_leaves_out(run: Run, places):
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
    run(OTHER)  # a larger family is another record
    short = text()
    assert "[seed 2](" not in short
    assert f"[All 12 runs]({store.trainings_url('one')})" in short
