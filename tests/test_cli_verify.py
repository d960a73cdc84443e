"""``kdcheck verify`` and ``kdcheck export``: what they read, what they say, and how they end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdcheck.claims import reading
from kdcheck.cli import main
from kdcheck.evidence import bundle
from kdcheck.evidence.bundle import Bundle
from kdcheck.evidence.store import Store
from kdcheck.study import recheck
from tests.evidence_doubles import ONE, OTHER, TAUGHT, MemorySource, recipes_of, sample_judged


def check(name: str, *differences: str) -> SimpleNamespace:
    again = f"{name}: SUPPORTED"
    return SimpleNamespace(paper="one", again=again, same=not differences, differences=differences)


@pytest.fixture
def sources(monkeypatch):
    """Stand-ins that name what was opened."""
    monkeypatch.setattr(bundle, "Bundle", lambda folder: f"bundle {folder}")
    monkeypatch.setattr(Store, "open", lambda place: f"store {place}")
    monkeypatch.setenv("KDCHECK_STORE", "/from/the/environment")


@pytest.mark.parametrize(
    ("checks", "status", "last"),
    [
        ((check("a"), check("b")), 0, "every verdict is as stored"),
        ((check("a"), check("b", "stored as REFUTED", "other seeds")), 1, "1 verdicts differ"),
        ((check("a", "x"), check("b", "x")), 1, "2 verdicts differ"),
    ],
)
def test_verify_says_of_each_claim_whether_it_is_as_stored_and_ends_with_1_if_any_is_not(
    monkeypatch, capsys, sources, checks, status, last
):
    monkeypatch.setattr(recheck, "verify", lambda source: iter(checks))
    assert main(["verify", "here"]) == status
    *lines, end = capsys.readouterr().out.splitlines()
    assert end == last
    for each, head, detail in zip(checks, lines[::2], lines[1::2], strict=True):
        assert head == f"one  {each.again}"
        assert detail.strip() == (
            "same" if each.same else f"DIFFERENT: {'; '.join(each.differences)}"
        )


@pytest.mark.parametrize(
    ("arguments", "opened"),
    [
        (["here"], "bundle here"),
        (["--store", "/named"], "store /named"),
        ([], "store /from/the/environment"),
    ],
)
def test_verify_reads_the_bundle_or_store_that_is_named(monkeypatch, sources, arguments, opened):
    read = []
    monkeypatch.setattr(recheck, "verify", lambda source: read.append(source) or ())
    assert main(["verify", *arguments]) == 0
    assert read == [opened]


CLAIMS = [
    sample_judged("a", paper=ONE, scale="small"),
    sample_judged("b", paper=ONE, scale="large", seeds=(3, 4)),
    sample_judged("c", paper=OTHER, scale="small", seeds=(5, 6, 7)),
    sample_judged("d", scale="own", contrast=reading("teacher_agreement", TAUGHT) - 0.5),
]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ([], "abcd"),
        (["--scale", "small"], "ac"),
        (["--scale", "own"], "d"),
        (["--paper", "one"], "abd"),
        (["--paper", "other", "--scale", "small"], "c"),
    ],
)
def test_export_takes_the_claims_asked_for_and_the_runs_they_rest_on(
    monkeypatch, tmp_path, capsys, arguments, ids
):
    monkeypatch.setattr(Store, "open", lambda place: MemorySource(CLAIMS))
    assert main(["export", str(tmp_path / "out"), *arguments]) == 0
    chosen = [each for each in CLAIMS if each.claim.id in ids]
    # A claim that compares students with their teachers rests on those too.
    runs = {digest for each in chosen for digest in recipes_of(each)}
    assert Bundle(tmp_path / "out").digests() == runs
    assert f"{len(ids)} claims, {len(runs)} runs" in capsys.readouterr().out


def test_export_of_nothing_leaves_an_older_bundle_alone_and_names_what_there_is(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(Store, "open", lambda place: MemorySource(CLAIMS))
    assert main(["export", str(tmp_path), "--scale", "huge"]) == 2
    told = capsys.readouterr().err
    assert "no judged claim at scale 'huge'; wanted one of one at scale large" in told
    assert list(tmp_path.iterdir()) == []
