"""What a verdict does to its test: pass, fail, skip, or compare with what is expected."""

from __future__ import annotations

import pytest

from kdcheck.plugin.outcome import _act, row
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
