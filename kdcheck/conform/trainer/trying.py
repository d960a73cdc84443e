"""Checking a trainer: every relation on one bench, and what came of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from kdcheck.conform.results import CheckResult, Report, Status, expecting
from kdcheck.conform.trainer.bench import Bench, bench_of
from kdcheck.conform.trainer.job import Trainer
from kdcheck.conform.trainer.relations import RELATIONS, NotTried, Relation
from kdcheck.errors import brief

CAUGHT = 1
"""Lines of an error that a result repeats."""


def check_trainer(
    trainer: Trainer,
    *,
    seed: int = 0,
    expected_failures: Mapping[str, str] = MappingProxyType({}),
    only: Sequence[Relation] = RELATIONS,
) -> Report:
    """Whether a trainer does what its users think: it is run on tiny jobs that differ in one thing each.

    Args:
        trainer: takes a :class:`~kdcheck.conform.trainer.Job` and returns posteriors of its test rows, a
            tensor of shape (M, K). Adapters: :func:`~kdcheck.conform.trainer.hugging_face` and
            :func:`~kdcheck.conform.trainer.plain_loop`.
        seed: of the data, the teacher, alpha and the seeds of the jobs.
        expected_failures: by name of a check, why it is known to fail.
        only: the checks to run; left out, all of them.

    Returns:
        A report: ``print(report)`` shows a table, ``report.exit_code`` is 1 if a check failed. What the
        trainer cannot do, or passed over in silence, is ``not run`` with the reason.

    Raises:
        ParameterError: an expected failure of a check that does not exist, or without a reason.

    Source: docs/guides/check-your-trainer.md.

    >>> def forgets_to_train(job):
    ...     return torch.full((len(job.test), 3), 1 / 3)
    >>> import torch
    >>> report = check_trainer(forgets_to_train)
    >>> report.exit_code, report.verdict.partition(":")[0]
    (1, '5 checks fail')
    """
    with bench_of(trainer, seed) as bench:
        found = [_result(relation, bench) for relation in only]
    results = expecting(found, expected_failures, who="check_trainer")
    return Report(subject=_name(trainer), verdict=_verdict(results), results=results)


def _result(relation: Relation, bench: Bench) -> CheckResult:
    status, detail = _outcome(relation, bench)
    says = (inspect.getdoc(relation) or "").partition("\n")[0]
    return CheckResult(name=relation.__name__, says=says, status=status, detail=detail)


def _outcome(relation: Relation, bench: Bench) -> tuple[Status, str]:
    try:
        wrong = relation(bench)
    except NotImplementedError as missing:
        return Status.NOT_RUN, f"The trainer says: {str(missing) or 'not implemented'}."
    except NotTried as passed_over:
        return Status.NOT_RUN, f"{passed_over}."
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's trainer raises is its failure
        return Status.FAILED, f"It ended in {brief(error)}"
    return (Status.FAILED, f"{wrong}.") if wrong else (Status.PASSED, "")


def _verdict(results: Sequence[CheckResult]) -> str:
    failed = [each.name for each in results if each.status is Status.FAILED]
    if failed:
        return (
            f"{len(failed)} check{'s fail' if len(failed) > 1 else ' fails'}: {', '.join(failed)}"
        )
    left = [each.name for each in results if each.status is Status.NOT_RUN]
    return f"nothing fails; not run: {', '.join(left)}" if left else "nothing fails"


def _name(trainer: Trainer) -> str:
    return getattr(trainer, "__name__", type(trainer).__name__)
