"""All checks of a loss: what its convention shows, and what Hypothesis finds about its behaviour."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hypothesis import given

import kdcheck.conform.loss.equations
import kdcheck.conform.loss.robustness  # noqa: F401 - the two register their laws
from kdcheck.conform.loss.behaviour import BEHAVIOURS, Behaviour, why_not
from kdcheck.conform.loss.convention import Convention
from kdcheck.conform.loss.fitting import QUICK, fresh_cases
from kdcheck.conform.loss.formulas import Case
from kdcheck.conform.loss.recognising import recognise
from kdcheck.conform.results import CheckResult, Report, Status, expecting
from kdcheck.errors import ConformError, KdcheckError, brief

CONVENTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "convention_is_known": ("Its convention was fitted, and confirmed on fresh data.", ()),
    "terms_of_the_paper": ("It is made of the terms of Eq. 1 or Eq. 2.", ()),
    "from_teacher_to_student": ("The divergence goes from teacher to student.", ("teacher",)),
    "softmax_is_taken": ("What it takes for probabilities are probabilities.", ()),
    "one_softmax": ("Softmax is taken once.", ()),
    "sums_over_classes": ("Classes are summed over, not averaged.", ()),
    "one_reduction": ("Hard and soft term are reduced alike, and once.", ()),
    "sides_tempered_alike": ("Teacher and student have one temperature.", ("teacher",)),
    "hard_term_untempered": ("The hard term has temperature 1.", ("labels",)),
    "tau_squared_once": ("The soft term is multiplied by tau squared, once.", ("teacher",)),
    "smooths_over_all_classes": ("Smoothing spreads over all K classes.", ("labels",)),
    "in_nats": ("Logarithms are natural.", ()),
    "settings_have_an_effect": ("Each weight and temperature that it takes has an effect.", ()),
    "same_at_edges": ("The convention is the same at alpha 0 and 1 and at tau 1.", ()),
}
"""What each check of the convention says, and what the loss must have for it to apply."""
CHECKS = (*CONVENTIONS, *(each.name for each in BEHAVIOURS))
"""The names of all checks."""


@dataclass(frozen=True, eq=False)
class CheckedLoss:
    """A loss whose convention is found when it is first asked for, once."""

    target: Any
    name: str
    arguments: Mapping[str, Any]
    names: Mapping[str, str]
    expected_failures: Mapping[str, str]

    @cached_property
    def convention(self) -> Convention:
        """What was fitted and confirmed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the stranger's, and of no use to who asks about it
            try:
                return recognise(
                    self.target, name=self.name, arguments=self.arguments, names=self.names
                )
            except KdcheckError:
                raise
            except Exception as error:  # it could be called, and then it could not
                got = f"code that ends with {brief(error)}"
                step = "Call it a few hundred times with logits of its own, and see what it says."
                raise ConformError(self.name, got, "a loss that can be called", step) from error

    def run(self, check: str) -> CheckResult:
        """The result of one check."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if check in CONVENTIONS:
                return _of_convention(self.convention, check)
            return _of_behaviour(self.convention, next(b for b in BEHAVIOURS if b.name == check))

    def report(self) -> Report:
        """All checks, with the verdict."""
        found = self.convention
        results = [self.run(check) for check in CHECKS]
        return Report(
            subject=self.name,
            verdict=found.verdict,
            results=expecting(results, self.expected_failures, who=self.name),
            convention=found.as_json(),
            to_change=tuple(dict.fromkeys(r.change for r in found.remarks if r.change)),
        )


def check_objective(
    loss: Any,
    *,
    name: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Check a distillation or smoothing loss of anyone: its convention, and whether it behaves.

    Args:
        loss: a function, a class, or an object that can be called (a ``torch.nn.Module``, say). It
            returns a loss for the batch or one per example; of a tuple or mapping the loss is taken.
        name: how to call it; by default as it calls itself.
        arguments: settings that stay as they are, of the constructor or the call.
        names: which of its arguments is what, where their names do not tell: from ``student``,
            ``teacher``, ``labels``, ``alpha``, ``beta`` (a second weight), ``tau``, ``classes`` to
            its own name or position. ``"p:probabilities"`` says the form as well, ``"cfg.T"`` an
            attribute of an argument, ``"self.T"`` one of the object.
        expected_failures: by name of the check, why it is known to fail. One that passes is stale.

    Returns:
        A report; its ``verdict`` is one line, ``print`` shows a table, ``exit_code`` is 1 where a check
        failed or an expectation is stale.

    Raises:
        ConformError: it cannot be called; the message says what to tell.
        ParameterError: an unknown role, form, argument or check.

    >>> import torch
    >>> report = check_objective(torch.nn.CrossEntropyLoss(label_smoothing=0.1))
    >>> report.verdict, report.exit_code
    ('Eq. 1 with alpha = label_smoothing', 0)
    """
    return checked_loss(
        loss,
        name=name,
        arguments=arguments,
        names=names,
        expected_failures=expected_failures,
    ).report()


def checked_loss(
    loss: Any,
    *,
    name: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> CheckedLoss:
    """A loss made ready to be checked, with the arguments of :func:`check_objective`; nothing runs yet.

    >>> from torch.nn.functional import cross_entropy
    >>> checked_loss(cross_entropy).run("one_reduction").status.value
    'passed'
    """
    if isinstance(loss, CheckedLoss):
        return loss
    settings = (dict(each or {}) for each in (arguments, names, expected_failures))
    return CheckedLoss(loss, name or _own_name(loss), *settings)


def _own_name(loss: Any) -> str:
    with suppress(Exception):  # an object may raise whatever is asked of it
        return str(loss.__name__)
    return type(loss).__name__


def _of_convention(found: Convention, check: str) -> CheckResult:
    says, needs = CONVENTIONS[check]
    common = {"name": check, "says": says}
    if check == "convention_is_known":
        if found.fit is None:
            counterexample = found.counterexample or None
            step = "If it is a known loss, say what its arguments are with --map, or fix them with --arg."
            return CheckResult(
                **common,
                status=Status.FAILED,
                counterexample=counterexample,
                detail=f"{found.unknown}. {step}",
            )
        return CheckResult(**common, status=Status.PASSED, detail=_fitted(found))
    lacking = [need for need in needs if not found.loss.has(need)]
    if found.fit is None or lacking:
        why = f"it has no {lacking[0]}" if lacking else "its convention is not known"
        return CheckResult(**common, status=Status.NOT_RUN, detail=f"Not run: {why}.")
    remarks = [remark for remark in found.remarks if remark.check == check]
    if not remarks:
        return CheckResult(**common, status=Status.PASSED)
    words = "; ".join(remark.words for remark in remarks if remark.words)
    changes = " ".join(remark.change for remark in remarks)
    detail = f"{words}. {changes}" if words else changes
    return CheckResult(**common, status=Status.FAILED, counterexample=_fitted(found), detail=detail)


def _fitted(found: Convention) -> str:
    """The parts with their weights, as they were measured and confirmed."""
    return " + ".join(_part_words(part) for part in found.as_json()["terms"])


def _part_words(part: Mapping[str, Any]) -> str:
    factors = [f"({part['weight']})"]
    factors += [f"tau^{part['tau_power']}"] * bool(part["tau_power"])
    factors += [part[size] for size in ("of_classes", "of_examples") if part[size] != "1"]
    sides = [f"{s} at {part[f'{s}_temperature']}" for s in ("student", "teacher")]
    tempered = "" if all(side.endswith(" 1") for side in sides) else f" [{', '.join(sides)}]"
    return f"{' '.join(factors)} {part['words']}{tempered}"


def _of_behaviour(found: Convention, check: Behaviour) -> CheckResult:
    common = {"name": check.name, "says": check.says}
    reason = why_not(found, check)
    if reason:
        return CheckResult(**common, status=Status.NOT_RUN, detail=f"Not run: {reason}.")
    try:
        broken = smallest(found, check)
    except NotImplementedError as error:
        return CheckResult(**common, status=Status.NOT_RUN, detail=f"Not run: {error}.")
    if broken is None:
        return CheckResult(**common, status=Status.PASSED)
    case, cause = broken
    told = str(cause) if isinstance(cause, AssertionError) else brief(cause)
    return CheckResult(
        **common,
        status=Status.FAILED,
        counterexample=", ".join(_of_interest(found, case)),
        detail=told.partition("\n")[0],
    )


def smallest(found: Convention, check: Behaviour) -> tuple[Case, Exception] | None:
    """The smallest case that breaks a law, as Hypothesis shrinks it, with what was said of it."""
    broken: list[tuple[Case, Exception]] = []

    @QUICK
    @given(fresh_cases(found.loss, classes=check.classes, examples=check.examples))
    def law(case: Case) -> None:
        try:
            check.law(found, case)
        except NotImplementedError:
            raise
        except Exception as error:
            # Hypothesis tells distinct errors apart by type and place: one type, one smallest case.
            broken[:] = [(case, error)]
            raise AssertionError from error

    try:
        law()
    except Exception:
        # Of a loss that answers now so and now so Hypothesis tells in a group of errors.
        if not broken:
            raise
        return broken[0]
    return None


def _of_interest(found: Convention, case: Case) -> Iterator[str]:
    yield f"student {case.student_NK.tolist()}"
    if found.loss.has("teacher"):
        yield f"teacher {case.teacher_NK.tolist()}"
    if found.loss.has("labels"):
        yield f"labels {case.labels_N.tolist()}"
    for role in ("alpha", "beta", "tau"):
        if found.loss.has(role):
            yield f"{found.loss.own_name(role)} {getattr(case, role):g}"
