"""What was fitted, in words: a verdict of one line, what differs from the paper, and what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdcheck.conform.loss.fitting import EXACT, Fit, Part, draw
from kdcheck.conform.loss.laws import BITS, Weight, number
from kdcheck.conform.loss.subject import Loss

EQ_2 = ("kl", "ce")
EQ_1 = ("kl_uniform", "ce_uniform", "ce_others")


@dataclass(frozen=True)
class Remark:
    """One way in which a loss differs from the paper."""

    check: str
    """The check that fails for it; empty for what is a matter of names."""
    words: str
    """For the verdict."""
    change: str = ""
    """What to change, a sentence."""


@dataclass(frozen=True)
class Convention:
    """The convention of a loss: confirmed on fresh data, or unknown and why."""

    loss: Loss
    fit: Fit | None
    unknown: str
    """Why no convention is told; empty where one is."""
    counterexample: str
    remarks: tuple[Remark, ...]
    base: str
    """What the loss is, before its remarks."""
    reduction: str

    @property
    def verdict(self) -> str:
        """One line."""
        if self.fit is None:
            return f"unknown convention: {self.unknown}"
        told = [remark.words for remark in self.remarks if remark.words]
        return ", ".join([self.base, *told])

    def part(self, *kinds: str) -> Part | None:
        """The first part of one of these kinds."""
        parts = self.fit.parts if self.fit else ()
        return next((part for part in parts if part.term.kind in kinds), None)

    @property
    def hard(self) -> Part | None:
        """The cross-entropy with the label."""
        return self.part("ce_label")

    @property
    def soft(self) -> Part | None:
        """The soft term of Eq. 1 or 2."""
        return self.part(*EQ_2, *EQ_1)

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        slots = self.loss.slots
        called = {
            role: {"name": str(slot.key), "place": slot.place} for role, slot in slots.items()
        }
        for role, form in self.loss.forms.items():
            called[role]["form"] = form
        found: dict[str, Any] = {"arguments": called, "layout": self.loss.layout}
        if self.fit is None:
            return {**found, "unknown": self.unknown, "counterexample": self.counterexample}
        return {
            **found,
            "terms": [_part_as_json(part, self.loss) for part in self.fit.parts],
            "reduction": self.reduction,
            "largest_relative_error": self.fit.error,
            "differs": [vars(remark) for remark in self.remarks],
        }


def _part_as_json(part: Part, loss: Loss) -> dict[str, Any]:
    law = part.law
    return {
        "kind": part.term.kind,
        "words": part.term.words,
        "weight": law.weight.words(*own_names(loss)),
        "tau_power": law.tau_power,
        "of_classes": law.of_classes.format("K"),
        "of_examples": law.of_examples.format("N"),
        "student_temperature": part.term.student_tau,
        "teacher_temperature": part.term.teacher_tau,
    }


def own_names(loss: Loss) -> tuple[str, str]:
    """How the loss calls its two weights."""
    return tuple(  # type: ignore[return-value]
        loss.own_name(role) if loss.has(role) else role for role in ("alpha", "beta")
    )


def reduction_of(found: Fit) -> str:
    """How examples become one number, in words."""
    student, teacher, labels = found.loss.tensors(draw(0))
    shape = tuple(found.loss.output(student, teacher, labels, draw(0)).shape)
    examples, classes = student.shape
    if shape and int(np.prod(shape)) == examples:
        return "one value per example"
    if int(np.prod(shape)) == examples * classes:
        return "one value per example and class"
    of_examples = {part.law.of_examples for part in found.parts if any(part.law.weight.line)}
    if len(of_examples) > 1:
        return "differs between terms"
    known = {"1/{}": "mean over examples", "1": "sum over examples"}
    return known.get("".join(of_examples), "another")


def base_of(found: Convention) -> str:
    """What the loss is made of, and how its weights are called."""
    assert found.fit is not None
    kinds = {part.term.kind for part in found.fit.parts if part.term.family != "constant"}
    if not kinds:
        return "no loss: nothing in it moves with the student"
    if kinds == {"ce_label"}:
        return "plain cross-entropy (ERM)"
    others = kinds - {"ce_label", "ce_others"} if found.part("ce_others") else kinds - {"ce_label"}
    if len(others) <= 1 and not others - {*EQ_2, *EQ_1}:
        equation = "Eq. 2" if others & {*EQ_2} else "Eq. 1"
        return f"{_factor(found)}{equation}{_weights(found)}"
    parts = [part for part in found.fit.parts if part.term.family != "constant"]
    told = " and ".join(dict.fromkeys(part.term.words for part in parts))
    what = "distillation" if found.loss.has("teacher") else "smoothing"
    return f"no {what} loss: {told}"


def _factor(found: Convention) -> str:
    """A factor that the whole loss has in front of the equation."""
    assert found.fit is not None
    of_classes = {part.law.of_classes for part in found.fit.parts}
    whole = of_classes.pop() if len(of_classes) == 1 else "1"
    return "" if whole == "1" else f"{whole.format('K')} of "


def plain_weights(found: Convention) -> tuple[Weight, Weight]:
    """Weights of soft and hard term without what tau and the base of the logarithm put into them."""
    zero = Weight((0.0, 0.0, 0.0, 0.0))
    soft = found.soft.law.weight if found.soft else zero
    hard = found.hard.law.weight if found.hard else zero
    soft = soft.scaled(1.0 / built_in_factor(found)).scaled(1.0 / base_of_logarithm(soft))
    return soft, hard.scaled(1.0 / base_of_logarithm(hard))


def base_of_logarithm(weight: Weight) -> float:
    """1 for nats, 1 / log 2 for bits."""
    return BITS if any(abs(abs(c) / BITS - 1.0) < EXACT for c in weight.line) else 1.0


def built_in_tau(found: Convention) -> float | None:
    """The temperature of a loss that has no argument for it."""
    soft = found.soft
    if soft is None or soft.term.student_tau in ("1", "tau", "1/tau"):
        return None
    return float(soft.term.student_tau)


def built_in_factor(found: Convention) -> float:
    """The power of a built-in temperature that makes the soft weight a plain one."""
    tau, soft = built_in_tau(found), found.soft
    if tau is None or soft is None:
        return 1.0
    size = max(map(abs, soft.law.weight.line))
    total = size + (max(map(abs, found.hard.law.weight.line)) if found.hard else 0.0)
    powers = (2, 0, 4, 1)
    for power in powers:
        rest = size / tau**power
        alone = abs(rest - 1.0) < 1e-3
        mixed = abs(rest + total - size - 1.0) < 1e-3 and soft.law.weight.is_constant
        if alone or mixed:
            return float(tau**power)
    return 1.0


def _weights(found: Convention) -> str:
    """The weights of soft and hard term in the paper's alpha."""
    soft, hard = plain_weights(found)
    alpha, beta = own_names(found.loss)
    line_s, line_h = np.array(soft.line), np.array(hard.line)
    if found.soft is None or soft.curve or hard.curve:
        return f": soft weight {soft.words(alpha, beta)}, hard weight {hard.words(alpha, beta)}"
    if found.hard is None or not line_h.any():
        alone = "'s soft term alone"
        return (
            alone
            if np.allclose(line_s, (1, 0, 0, 0))
            else f"{alone}, times {soft.words(alpha, beta)}"
        )
    one = np.array([1.0, 0.0, 0.0, 0.0])
    if np.allclose(line_s + line_h, one, atol=1e-4):
        fixed = " built in" if soft.is_constant else ""
        return f" with alpha = {soft.words(alpha, beta)}{fixed}"
    total = float((line_s + line_h)[0])
    if np.allclose(line_s + line_h, total * one, atol=1e-4) and total:
        inner = soft.scaled(1 / total).words(alpha, beta)
        return f" with alpha = {inner}, all times {number(total)}"
    told = f"soft weight {soft.words(alpha, beta)}, hard weight {hard.words(alpha, beta)}"
    free = bool(line_s[1:].any() and line_h[1:].any() and found.loss.has("beta"))
    return f" with both weights free: {told}" if free else f" with {told}"


def against_its_names(loss: Loss) -> list[str]:
    """Arguments that are called logits and would have to be something else for the loss to be known."""
    return [
        role
        for role, form in loss.forms.items()
        if "logit" in loss.own_name(role).lower() and "prob" in form
    ]
