"""The checks as tests of pytest, one for each loss and check, as scikit-learn has it for estimators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kdcheck.conform.loss.checking import CHECKS, CheckedLoss, checked_loss
from kdcheck.conform.results import CheckResult, Status, expecting


@dataclass(frozen=True)
class Check:
    """One check; calling it with a loss passes, fails with the smallest input that was found, or skips."""

    name: str

    def __call__(self, loss: CheckedLoss) -> None:
        """Run it."""
        result = loss.run(self.name)
        if result.status is Status.NOT_RUN:
            pytest.skip(result.detail)
        if result.status is Status.FAILED:
            told = f"{result.says} {result.detail}"
            smallest = f"\nsmallest: {result.counterexample}" if result.counterexample else ""
            raise AssertionError(told + smallest)


def parametrize_with_checks(losses: Sequence[Any]) -> pytest.MarkDecorator:
    """Make a test of each check of each loss: for a test function with arguments ``loss`` and ``check``.

    Args:
        losses: losses as :func:`check_objective` takes them, or made ready by :func:`checked_loss`,
            with names, arguments and expected failures.

    Returns:
        A decorator. Expected failures are strict: one that passes fails the test.

    Raises:
        ParameterError: an expectation for a check that does not exist, or without a reason.

    >>> import torch
    >>> mark = parametrize_with_checks([torch.nn.CrossEntropyLoss()])
    >>> mark.args[0], len(mark.args[1]) == len(CHECKS)
    (('loss', 'check'), True)
    """
    ready = [checked_loss(loss) for loss in losses]
    return pytest.mark.parametrize(
        ("loss", "check"), [p for loss in ready for p in _parameters(loss)]
    )


def _parameters(loss: CheckedLoss) -> Iterator[Any]:
    none_yet = [CheckResult(name=each, says="", status=Status.NOT_RUN) for each in CHECKS]
    expecting(none_yet, loss.expected_failures, who=loss.name)  # refuses unknown names
    for name in CHECKS:
        reason = loss.expected_failures.get(name)
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        yield pytest.param(loss, Check(name), marks=marks, id=f"{loss.name}-{name}")
