"""What a loss must do whatever its convention: laws that Hypothesis tries to break with small inputs.

A check takes the loss, its convention and one case, and raises ``AssertionError`` where the law is broken.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdcheck.conform.loss.convention import EQ_2, Convention
from kdcheck.conform.loss.formulas import Array, Case
from kdcheck.conform.loss.terms import divisor

TIGHT = 1e-6
"""Relative tolerance of laws that are exact: float32 inside a loss stays below it by a digit."""
LOOSE = 2e-3
"""Of gradients against fitted weights, which an epsilon inside a logarithm moves."""
Law = Callable[[Convention, Case], None]


@dataclass(frozen=True)
class Behaviour:
    """One law, whom it applies to, and what it is tried on."""

    name: str
    says: str
    law: Law
    needs: tuple[str, ...] = ()
    """``teacher``, ``labels``, ``alpha``, ``tau``; ``hard``, ``Eq. 2`` and the like ask for a known convention."""
    classes: tuple[int, int] = (2, 5)
    examples: tuple[int, int] = (1, 3)


BEHAVIOURS: list[Behaviour] = []
"""All of them, in the order in which they are told."""


def behaviour(says: str, *needs: str, **sizes: tuple[int, int]) -> Callable[[Law], Law]:
    """Register a law under the name of its function."""

    def register(law: Law) -> Law:
        name = getattr(law, "__name__", "law")
        BEHAVIOURS.append(Behaviour(name, says, law, needs, **sizes))
        return law

    return register


def same(got: Any, wanted: Any, what: str, *, tolerance: float = TIGHT, size: float = 0.0) -> None:
    """Refuse values further apart than the tolerance times their size, or the size that is given."""
    got, wanted = np.asarray(got, dtype=float), np.asarray(wanted, dtype=float)
    allowed = tolerance * max(size, float(np.abs(wanted).max(initial=0.0)), 1e-2)
    if not (np.abs(got - wanted) <= allowed).all():
        raise AssertionError(f"{what}: {short(got)} where {short(wanted)} was wanted")


def short(values: Array) -> str:
    """An array as one short line."""
    return np.array2string(values, precision=4, separator=", ", threshold=12).replace("\n", "")


def weight_of(found: Convention, case: Case, kinds: str) -> float:
    """The fitted weight of the ``hard`` or the ``soft`` term at the settings of a case."""
    part = found.hard if kinds == "hard" else found.soft
    assert found.fit is not None
    return 0.0 if part is None else found.fit.coefficient(part, case)


def soft_gradient(found: Convention, case: Case) -> Array:
    """The gradient without that of the hard term, which is known in closed form."""
    gradient = found.loss.gradient(case)
    if found.hard is None:
        return gradient
    tau = divisor(found.hard.term.student_tau, case.tau)
    scaled = np.exp(case.student_NK / tau - (case.student_NK / tau).max(-1, keepdims=True))
    p_NK = scaled / scaled.sum(-1, keepdims=True)
    q_NK = np.eye(p_NK.shape[1])[case.labels_N]
    return np.asarray(gradient - weight_of(found, case, "hard") * (p_NK - q_NK) / tau)


def why_not(found: Convention, check: Behaviour) -> str:
    """Why a law does not apply; empty where it does."""
    return next((why for need in check.needs if (why := _lacks(found, need))), "")


def _lacks(found: Convention, need: str) -> str:
    loss, hard, soft = found.loss, found.hard, found.soft
    if need in ("teacher", "tau"):
        return "" if loss.has(need) else f"it has no {need}: map it with --map if it does"
    if need == "labels":
        return "" if loss.has("labels") else "it has no labels"
    if need == "alpha":
        has_weight = loss.has("alpha") or loss.has("beta")
        return "" if has_weight else "it has no weight to set: map it with --map if it does"
    if found.fit is None:
        return "its convention is not known"
    from_teacher = any(part.term.family == "soft" for part in found.fit.parts)
    taus = {soft.term.student_tau, soft.term.teacher_tau} if soft else set()
    lacking = {
        "from teacher": (not from_teacher, "no term of it is drawn towards the teacher"),
        "hard": (hard is None or soft is None, "it is not made of a hard and a soft term"),
        "Eq. 2": (soft is None or soft.term.kind not in EQ_2, "its soft term is not that of Eq. 2"),
        "at tau 1": (bool(taus - {"1", "tau", "1/tau"}), "its temperature is built in"),
    }
    is_lacking, why = lacking.get(need, (False, ""))
    return why if is_lacking else ""
