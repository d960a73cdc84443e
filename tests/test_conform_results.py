"""What checks say: the whole of a table and of JSON, the exit code, and what was expected."""

from __future__ import annotations

import pytest

from kdcheck.conform.results import CheckResult, Report, Status, expecting
from kdcheck.errors import ParameterError


def result(name, status, *, detail="", counterexample=None):
    return CheckResult(
        name=name,
        says=f"It is {name}.",
        status=status,
        detail=detail,
        counterexample=counterexample,
    )


PASSED = result("finite", Status.PASSED, detail="not told", counterexample="not told")
FAILED = result("even", Status.FAILED, detail="It is odd.", counterexample="student [[0.0]]")
LONG = "word " * 30
WAITS = result("quick", Status.NOT_RUN, detail=f"Not run: {LONG.strip()}.")
BARE = result("bare", Status.FAILED)


def report(*results, **told):
    return Report(subject="my_loss", verdict="Eq. 2", results=results, **told)


def test_a_table_has_the_verdict_what_to_change_every_check_and_the_counts():
    told = report(
        *(PASSED, FAILED, WAITS, BARE, PASSED),
        to_change=("Sum over classes.", f"Take the {LONG.strip()}."),
    )
    indent = " " * 19
    assert (
        str(told)
        == told.table()
        == "\n".join(
            [
                "my_loss: Eq. 2",
                "to change: Sum over classes.",
                "to change: Take the " + "word " * 15 + "word",
                "  " + "word " * 13 + "word.",
                "",
                "passed             finite: It is finite.",
                "failed             even: It is even.",
                f"{indent}It is odd.",
                f"{indent}smallest: student [[0.0]]",
                "not run            quick: It is quick.",
                f"{indent}Not run: " + "word " * 13 + "word",
                indent + "word " * 15 + "word.",
                "failed             bare: It is bare.",
                "passed             finite: It is finite.",
                "",
                "2 passed, 2 failed, 1 not run",
            ]
        )
    )


def test_a_word_longer_than_the_table_is_not_broken():
    told = report(result("odd", Status.FAILED, detail="x" * 150)).table()
    assert "x" * 150 in told


def test_everything_is_told_as_json():
    told = report(FAILED, convention={"layout": "(N, K)"}, to_change=("Sum.",))
    assert told.as_json() == {
        "subject": "my_loss",
        "verdict": "Eq. 2",
        "exit_code": 1,
        "convention": {"layout": "(N, K)"},
        "to_change": ["Sum."],
        "results": [
            {
                "name": "even",
                "says": "It is even.",
                "status": "failed",
                "counterexample": "student [[0.0]]",
                "detail": "It is odd.",
            }
        ],
    }


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ((Status.PASSED,), 0),
        ((Status.PASSED, Status.NOT_RUN), 0),
        ((Status.EXPECTED, Status.NOT_RUN), 0),
        ((Status.PASSED, Status.FAILED), 1),
        ((Status.PASSED, Status.STALE), 1),
        ((Status.NOT_RUN, Status.FAILED), 1),
        ((Status.NOT_RUN,), 2),
        ((), 2),
    ],
)
def test_the_exit_code_says_whether_all_is_well(found, code):
    assert report(*(result("odd", status) for status in found)).exit_code == code


def test_what_was_expected_is_marked():
    reasons = {"even": "known since 2014", "finite": "it has dropout", "quick": "never run"}
    failed, stale, waits, bare = expecting([FAILED, PASSED, WAITS, BARE], reasons, who="check")
    assert (failed.status, failed.detail) == (Status.EXPECTED, "known since 2014 (It is odd.)")
    assert failed.counterexample == "student [[0.0]]"
    assert (stale.status, stale.detail) == (
        Status.STALE,
        "It passes, though a failure was expected: it has dropout. Take the expectation away.",
    )
    assert (waits, bare) == (WAITS, BARE)


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (
            {"odd": "why"},
            (
                "check: got an expected failure of 'odd'; wanted a check's name. "
                "The checks are: even, finite."
            ),
        ),
        (
            {"even": ""},
            (
                "check: got no reason for 'even'; wanted a reason. "
                "Say why it fails, so that a reader can tell when it no longer should."
            ),
        ),
    ],
)
def test_an_expectation_of_nothing_or_without_a_reason_is_refused(reasons, words):
    with pytest.raises(ParameterError) as caught:
        expecting([FAILED, PASSED], reasons, who="check")
    assert str(caught.value) == words
