"""What a verdict does to its test: pass, fail, skip, or compare with what is expected."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kdcheck.errors import InputError
from kdcheck.evidence.judged import Judged
from kdcheck.plugin.config import PROPERTY, WORD
from kdcheck.plugin.outcome import _act, expected_verdicts, judge_item, row, stale_claims
from kdcheck.verdict import Criterion, Measured, Plan, TaskEffects, Word, judge
from tests.evidence_doubles import OTHER, sample_judged

CRITERION = Criterion(
    claim="c", tasks=("a",), margin=0.1, because="b", unit="nats", scale="made up",
    seeds=tuple(range(12)), plan=Plan.of(3),
)  # fmt: skip


def verdict(*effects: float):
    found = TaskEffects(seeds=tuple(range(len(effects))), effects=effects)
    return judge(CRITERION, Measured(tasks={"a": found}) if effects else None)


SUPPORTED = verdict(0.50, 0.52, 0.48)
REFUTED = verdict(-0.50, -0.52, -0.48)
EQUIVALENT = verdict(0.0, 0.001, -0.001)
UNDECIDED = verdict(0.5, -0.5, 0.1)
INVALID = verdict(0.5, 0.5, 0.5)
NOT_RUN = verdict()
NOT_TESTABLE = replace(UNDECIDED, word=Word.NOT_TESTABLE, untestable="It rests on b: REFUTED.")
VERDICTS = (SUPPORTED, REFUTED, EQUIVALENT, UNDECIDED, NOT_TESTABLE, INVALID, NOT_RUN)


def test_an_invalid_verdict_comes_with_likely_causes():
    with pytest.raises(pytest.fail.Exception, match="Likely causes"):
        _act(INVALID, None, undecided_fails=False)


@pytest.mark.parametrize("each", [SUPPORTED, UNDECIDED, INVALID], ids=lambda v: v.word)
def test_a_verdict_that_changed_fails_and_says_what_was_expected_and_why(each):
    with pytest.raises(pytest.fail.Exception) as caught:
        _act(each, {"verdict": "REFUTED", "because": "tiny encoders"}, undecided_fails=False)
    for fact in ("Expected REFUTED", "tiny encoders", "expected.toml", each.word):
        assert fact in str(caught.value)


def test_a_row_of_the_table_names_its_family_for_the_page():
    shown = row(sample_judged(paper=OTHER, scale="mini"))
    assert (shown["paper"], shown["scale"], shown["word"]) == ("other", "mini", "SUPPORTED")


@pytest.mark.parametrize("each", [REFUTED, INVALID, NOT_RUN], ids=lambda v: v.word)
def test_whatever_a_test_says_of_an_exploratory_verdict_says_that_it_is_and_why(each):
    late = replace(each, exploratory=("The claim is new.", "The margin is 0.1, not 0.2."))
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as caught:
        _act(late, None, undecided_fails=False)
    for fact in ("EXPLORATORY: The claim is new.", "EXPLORATORY: The margin is 0.1, not 0.2."):
        assert fact in str(caught.value)
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as caught:
        _act(each, None, undecided_fails=False)
    assert "EXPLORATORY" not in str(caught.value)


def session_with(*ids, seeds=5, first=3):
    """What the readers of the expected file need of a session."""
    claims = [SimpleNamespace(id=each) for each in ids]
    scale = SimpleNamespace(name="embedded", seeds=5, first_seed=3, rehearsal=False)
    return SimpleNamespace(claims=claims, counts=(seeds,), scale=scale, seeds=(first, first + 1))


@pytest.fixture
def config(tmp_path):
    """A configuration whose root folder has claims/expected.toml."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "expected.toml").write_text(
        '[mini.c]\nverdict = "SUPPORTED"\nbecause = "larger encoders"\n'
        '[embedded.c]\nverdict = "REFUTED"\nbecause = "tiny encoders"\n'
    )
    return SimpleNamespace(rootpath=tmp_path, getoption=lambda name: None)


def test_expected_verdicts_are_those_of_the_scale(config):
    assert expected_verdicts(config, session_with("c"))["c"]["verdict"] == "REFUTED"


def test_another_file_of_expected_verdicts_may_be_named(config, tmp_path):
    (tmp_path / "other.toml").write_text('[embedded.d]\nverdict = "NOT_RUN"\nbecause = "b"\n')
    config.getoption = {"--expected": tmp_path / "other.toml"}.get
    assert list(expected_verdicts(config, session_with("c"))) == ["d"]


def judged_as(config, word: str, *, claim_id: str = "c", undecided_fails: bool = False):
    """The outcome of a claim's test with that verdict, and what it left: record, word and row."""
    verdicts = {v.word: v for v in VERDICTS}
    recorded: list[Judged] = []
    session = session_with(claim_id)
    session.verdicts = {claim_id: verdicts[word]}
    judged = replace(sample_judged(claim_id), verdict=verdicts[word])
    session.judged = lambda claim: judged if claim is judged.claim else None
    session.record = recorded.append
    options = {"--expected": None, "--undecided-fails": undecided_fails}
    config = SimpleNamespace(rootpath=config.rootpath, getoption=options.get)
    item = SimpleNamespace(stash={}, user_properties=[], config=config)
    try:
        judge_item(item, session, judged.claim)
        outcome = "passed"
    except (pytest.fail.Exception, pytest.skip.Exception) as caught:
        outcome = type(caught).__name__
    ((name, row),) = item.user_properties
    assert (name, json.loads(row)["word"], item.stash[WORD]) == (PROPERTY, word, word)
    assert recorded == [judged], "whatever the outcome"
    return outcome


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("SUPPORTED", "passed"),
        ("REFUTED", "Failed"),
        ("EQUIVALENT", "Failed"),
        ("UNDECIDED", "passed"),
        ("NOT_TESTABLE", "passed"),
        ("INVALID", "Failed"),
        ("NOT_RUN", "Skipped"),
    ],
)
def test_a_claim_is_recorded_and_its_test_ends_as_its_verdict_says(config, word, outcome):
    assert judged_as(config, word, claim_id="without expectation") == outcome


def test_a_claim_of_the_file_ends_as_is_expected_of_it(config):
    assert judged_as(config, "REFUTED") == "passed"
    assert judged_as(config, "SUPPORTED") == "Failed"
    assert judged_as(config, "UNDECIDED", claim_id="d", undecided_fails=True) == "Failed"


def test_a_claim_that_is_not_testable_is_left_alone_by_undecided_fails_and_may_be_expected(config):
    assert judged_as(config, "NOT_TESTABLE", claim_id="d", undecided_fails=True) == "passed"
    assert judged_as(config, "NOT_TESTABLE") == "Failed", "REFUTED was expected"
    path = config.rootpath / "claims" / "expected.toml"
    path.write_text('[embedded.c]\nverdict = "NOT_TESTABLE"\nbecause = "the premise fails"\n')
    assert judged_as(config, "NOT_TESTABLE") == "passed"
    assert judged_as(config, "UNDECIDED") == "Failed"


def test_with_another_number_of_seeds_nothing_is_expected(config):
    assert expected_verdicts(config, session_with("c", seeds=7)) == {}


def test_an_expected_verdict_of_a_claim_that_is_gone_is_stale(config):
    assert stale_claims(config, session_with("another")) == ["c"]
    assert stale_claims(config, session_with("c")) == []


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ('[embedded.c]\nverdict = "REFUTED"\n', "because"),
        ('[embedded.c]\nverdict = "WRONG"\nbecause = "b"\n', "SUPPORTED, REFUTED"),
        ("[embedded", "TOML"),
    ],
)
def test_an_expected_file_that_cannot_be_read_is_refused(config, text, fact):
    (config.rootpath / "claims" / "expected.toml").write_text(text)
    with pytest.raises(InputError, match=fact):
        expected_verdicts(config, session_with("c"))
