"""What a check says of a loss or a trainer, and the report of all of them: a table, JSON, an exit code."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from kdcheck.errors import ParameterError

WIDTH = 100
"""Columns of the table, as wide as our other ones."""


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    """It asks about something that this subject does not have; the detail says what."""
    EXPECTED = "expected failure"
    STALE = "stale expectation"
    """A failure was expected, and the check passed: the expectation is to be taken away."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check found."""

    name: str
    says: str
    """What must hold, a sentence."""
    status: Status
    counterexample: str | None = None
    """The smallest input that was found to break it."""
    detail: str = ""
    """What was measured, why it was not run, or why a failure is expected."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that conformance says of one loss or trainer.

    >>> passed = CheckResult(name="finite", says="It is finite.", status=Status.PASSED)
    >>> report = Report(subject="my_loss", verdict="Eq. 2", results=(passed,))
    >>> report.exit_code, report.as_json()["results"][0]["status"]
    (0, 'passed')
    """

    subject: str
    """How the loss or trainer is called."""
    verdict: str
    """One line."""
    results: tuple[CheckResult, ...]
    convention: Mapping[str, Any] = field(default_factory=dict)
    """What was fitted and confirmed, as JSON values; empty where nothing was."""
    to_change: tuple[str, ...] = ()
    """What would make it the paper's, each a sentence."""

    @property
    def exit_code(self) -> int:
        """1 if a check failed or an expectation is stale, else 2 if nothing could be run, else 0."""
        found = {result.status for result in self.results}
        if found & {Status.FAILED, Status.STALE}:
            return 1
        return 0 if found - {Status.NOT_RUN} else 2

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "convention": dict(self.convention),
            "to_change": list(self.to_change),
            "results": [asdict(each) | {"status": each.status.value} for each in self.results],
        }

    def table(self) -> str:
        """The report for people: the verdict, what to change, and a line or more for each check."""
        counts = {status: self._count(status) for status in Status}
        told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        head = [f"{self.subject}: {self.verdict}"]
        head += [f"to change: {change}" for change in self.to_change]
        body = [line for result in self.results for line in _lines(result)]
        return "\n".join([*(_wrapped(line, "") for line in head), "", *body, "", told])

    def _count(self, status: Status) -> int:
        return sum(result.status is status for result in self.results)

    def __str__(self) -> str:
        return self.table()


def _lines(result: CheckResult) -> list[str]:
    lines = [_wrapped(f"{result.status:<17}  {result.name}: {result.says}", " " * 19)]
    if result.status is not Status.PASSED:
        lines += [_wrapped(" " * 19 + result.detail, " " * 19)] * bool(result.detail)
        if result.counterexample is not None:
            lines.append(_wrapped(f"{' ' * 19}smallest: {result.counterexample}", " " * 19))
    return lines


def _wrapped(line: str, indent: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent=indent or "  ", break_long_words=False)


def expecting(
    results: Sequence[CheckResult], expected_failures: Mapping[str, str], *, who: str
) -> tuple[CheckResult, ...]:
    """The results with failures that were expected, and expectations that are stale, marked as such.

    Args:
        results: as the checks gave them.
        expected_failures: by name of the check, why it is known to fail.
        who: the function or option to name in an error.

    Raises:
        ParameterError: an expectation for a check that does not exist, or without a reason.

    >>> failed = CheckResult(name="finite", says="It is finite.", status=Status.FAILED)
    >>> expecting([failed], {"finite": "half precision"}, who="check")[0].status.value
    'expected failure'
    """
    known = [result.name for result in results]
    for name, reason in expected_failures.items():
        if name not in known:
            step = f"The checks are: {', '.join(known)}."
            raise ParameterError(who, f"an expected failure of {name!r}", "a check's name", step)
        if not reason.strip():
            step = "Say why it fails, so that a reader can tell when it no longer should."
            raise ParameterError(who, f"no reason for {name!r}", "a reason", step)
    return tuple(_against(result, expected_failures.get(result.name)) for result in results)


def _against(result: CheckResult, reason: str | None) -> CheckResult:
    if reason is None or result.status is Status.NOT_RUN:
        return result
    if result.status is Status.FAILED:
        return replace(result, status=Status.EXPECTED, detail=f"{reason} ({result.detail})")
    detail = f"It passes, though a failure was expected: {reason}. Take the expectation away."
    return replace(result, status=Status.STALE, detail=detail)
