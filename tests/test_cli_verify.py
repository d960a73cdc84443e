"""``kdcheck verify`` and ``kdcheck export``: what they read, what they say, and how they end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdcheck.claims import reading
from kdcheck.cli import main
from kdcheck.errors import OptionError
from kdcheck.evidence import bundle
from kdcheck.evidence.bundle import Bundle
from kdcheck.evidence.store import Store
from kdcheck.plural import plural
from kdcheck.study import recheck, retrain
from kdcheck.study.lock import Lock
from tests.evidence_doubles import ONE, OTHER, TAUGHT, MemorySource, recipes_of, sample_judged


class Again(str):
    """A verdict as far as it is printed."""

    standing = "CONFIRMATORY"


def check(name: str, *differences: str) -> SimpleNamespace:
    again = Again(f"{name}: SUPPORTED")
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
    monkeypatch.setattr(recheck, "verify", lambda source, lock: iter(checks))
    assert main(["verify", "here"]) == status
    *lines, end = capsys.readouterr().out.splitlines()
    assert end == last
    for each, head, detail in zip(checks, lines[::2], lines[1::2], strict=True):
        assert head == f"one  CONFIRMATORY  {each.again}"
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
    monkeypatch.setattr(recheck, "verify", lambda source, lock: read.append((source, lock)) or ())
    assert main(["verify", *arguments]) == 0
    assert read == [(opened, None)]


def test_verify_holds_claims_against_the_lock_that_is_named_and_refuses_one_that_is_not_there(
    monkeypatch, sources, tmp_path, capsys
):
    read = []
    monkeypatch.setattr(recheck, "verify", lambda source, lock: read.append(lock) or ())
    file = tmp_path / "claims.lock"
    file.write_text(Lock(names={"a": "small"}).text)
    assert main(["verify", "here", "--lock", str(file)]) == 0
    assert read == [Lock(names={"a": "small"})]
    assert main(["verify", "here", "--lock", str(tmp_path / "none.lock")]) == 2
    assert "none.lock; wanted a file of kdcheck lock" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--draw", "3"), ("--data-dir", "d"), ("--model-dir", "m")]
)
def test_an_option_of_training_again_is_refused_where_nothing_is_trained(
    monkeypatch, sources, capsys, option, value
):
    monkeypatch.setattr(recheck, "verify", lambda source, lock: ())
    assert main(["verify", "here", option, value]) == 2
    assert f"{option}: got no --retrain" in capsys.readouterr().err


def test_a_share_that_is_none_is_refused_before_anything_is_judged(monkeypatch, sources, capsys):
    monkeypatch.setattr(recheck, "verify", lambda source, lock: pytest.fail("judged"))
    assert main(["verify", "here", "--retrain", "5"]) == 2
    assert "--retrain: got 5; wanted a share above 0 and at most 1" in capsys.readouterr().err


def retrained(text: str, *differences: str, same: bool = False) -> SimpleNamespace:
    stored = SimpleNamespace(recipe=SimpleNamespace(summary=lambda: text))
    facts = {"same_weights": same, "distance": "0.001 apart", "differences": differences}
    return SimpleNamespace(stored=stored, **facts)


@pytest.mark.parametrize(
    ("runs", "status", "end"),
    [
        (
            [retrained("r", same=True), retrained("s")],
            0,
            [
                *("r", "    to the last bit", "s", "    other weights: 0.001 apart"),
                "every run that was trained again is as stored",
            ],
        ),
        (
            [retrained("r", "other labels", "x")],
            1,
            ["r", "    DIFFERENT: other labels; x", "1 runs differ"],
        ),
    ],
)
def test_verify_trains_the_runs_that_its_seed_draws_and_says_how_each_compares(
    monkeypatch, capsys, runs, status, end
):
    asked = []
    source = MemorySource(CLAIMS)
    monkeypatch.setattr(bundle, "Bundle", lambda folder: source)
    monkeypatch.setattr(recheck, "verify", lambda source, lock: ())

    def again(source, digests, resources):
        asked.append(digests)
        return runs

    monkeypatch.setattr(retrain, "retrain", again)
    assert main(["verify", "here", "--retrain", "0.1", "--draw", "7"]) == status
    assert main(["verify", "here", "--retrain", "0.1"]) == status
    known = {digest for each in CLAIMS for digest in each.table.digests()}
    assert asked[0] == retrain.draw(known, 0.1, 7)
    printed = capsys.readouterr().out.splitlines()
    start = f"training {len(asked[0])} of {len(known)} runs again, drawn by --draw"
    assert printed[1] == f"{start} 7"
    assert printed[2 : 2 + len(end)] == end
    # Without a seed chance draws, and the line says how to draw the same again.
    seed = int(printed[len(end) + 3].removeprefix(start))
    assert asked[1] == retrain.draw(known, 0.1, seed)


@pytest.mark.parametrize(("share", "count"), [(1e-9, 1), (0.1, 1), (0.3, 3), (0.31, 4), (1, 10)])
def test_a_draw_takes_its_share_of_the_runs_and_at_least_one(share, count):
    known = {f"{n}" for n in range(10)}
    drawn = retrain.draw(known, share, 5)
    assert len(drawn) == len(set(drawn)) == count
    assert set(drawn) <= known
    assert drawn == retrain.draw(sorted(known, reverse=True), share, 5)
    if count < len(known):
        assert len({tuple(sorted(retrain.draw(known, share, seed))) for seed in range(40)}) > 5


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(OptionError, match=r"--retrain: got .* wanted a share above 0"):
        retrain.draw({"a"}, share, 5)


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
    assert f"{plural(len(ids), 'claim')}, {plural(len(runs), 'run')}\n" in capsys.readouterr().out


def test_export_of_nothing_leaves_an_older_bundle_alone_and_names_what_there_is(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(Store, "open", lambda place: MemorySource(CLAIMS))
    assert main(["export", str(tmp_path), "--scale", "huge"]) == 2
    told = capsys.readouterr().err
    assert "no judged claim at scale 'huge'; wanted one of one at scale large" in told
    assert list(tmp_path.iterdir()) == []
