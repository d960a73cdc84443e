"""What a verdict does to its test: pass, fail, skip, or compare with what is expected."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdcheck.errors import InputError
from kdcheck.plugin.outcome import _act, expected_verdicts, row, stale_claims
from kdcheck.verdict import Criterion, Measured, TaskEffects, judge

CRITERION = Criterion(
    claim="c", tasks=("a",), margin=0.1, because="b", unit="nats", scale="made up"
)


def verdict(*effects: float):
    found = TaskEffects(seeds=tuple(range(len(effects))), effects=effects)
    return judge(CRITERION, Measured(tasks={"a": found}) if effects else None)


SUPPORTED = verdict(0.50, 0.52, 0.48)
REFUTED = verdict(-0.50, -0.52, -0.48)
EQUIVALENT = verdict(0.0, 0.001, -0.001)
UNDECIDED = verdict(0.5, -0.5, 0.1)
INVALID = verdict(0.5, 0.5, 0.5)
NOT_RUN = verdict()


@pytest.mark.parametrize("each", [SUPPORTED, UNDECIDED], ids=lambda v: v.word)
def test_supported_and_undecided_pass(each):
    _act(each, None, undecided_fails=False)


@pytest.mark.parametrize("each", [REFUTED, EQUIVALENT, INVALID], ids=lambda v: v.word)
def test_refuted_equivalent_and_invalid_fail(each):
    with pytest.raises(pytest.fail.Exception, match=each.word):
        _act(each, None, undecided_fails=False)


def test_an_invalid_verdict_comes_with_likely_causes():
    with pytest.raises(pytest.fail.Exception, match="Likely causes"):
        _act(INVALID, None, undecided_fails=False)


def test_not_run_is_skipped():
    with pytest.raises(pytest.skip.Exception):
        _act(NOT_RUN, None, undecided_fails=False)


def test_undecided_fails_when_asked_to():
    with pytest.raises(pytest.fail.Exception, match="--undecided-fails"):
        _act(UNDECIDED, None, undecided_fails=True)


def test_an_expected_refutation_passes():
    _act(REFUTED, {"verdict": "REFUTED", "because": "known"}, undecided_fails=False)


@pytest.mark.parametrize("each", [SUPPORTED, UNDECIDED, INVALID], ids=lambda v: v.word)
def test_a_verdict_that_changed_fails_and_says_what_was_expected_and_why(each):
    with pytest.raises(pytest.fail.Exception) as caught:
        _act(each, {"verdict": "REFUTED", "because": "tiny encoders"}, undecided_fails=False)
    for fact in ("Expected REFUTED", "tiny encoders", "expected.toml", each.word):
        assert fact in str(caught.value)


def test_the_row_of_the_table_holds_the_verdicts_own_figures():
    shown = row(SUPPORTED)
    assert shown["word"] == "SUPPORTED"
    assert shown["figures"].startswith(f"{SUPPORTED.effect:+.3f} [")
    assert shown["tasks"] == "1 of 1"


def session_with(*ids, seeds=5):
    """What the readers of the expected file need of a session."""
    questions = [SimpleNamespace(claim=SimpleNamespace(id=each)) for each in ids]
    return SimpleNamespace(
        questions=questions, counts=(seeds,), scale=SimpleNamespace(name="embedded", seeds=5)
    )


@pytest.fixture
def config(tmp_path):
    """A configuration whose root folder has claims/expected.toml."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "expected.toml").write_text(
        '[embedded.c]\nverdict = "REFUTED"\nbecause = "tiny encoders"\n'
    )
    return SimpleNamespace(rootpath=tmp_path, getoption=lambda name: None)


def test_expected_verdicts_are_those_of_the_scale(config):
    assert expected_verdicts(config, session_with("c"))["c"]["verdict"] == "REFUTED"


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
