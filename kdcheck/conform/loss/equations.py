"""Laws that follow from Eqs. 1 and 2: limits, symmetries, and what the gradient may be."""

# Shapes: N examples, K classes.

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from kdcheck.conform.loss.behaviour import (
    LOOSE,
    TIGHT,
    behaviour,
    same,
    short,
    soft_gradient,
    weight_of,
)
from kdcheck.conform.loss.convention import Convention
from kdcheck.conform.loss.formulas import Case
from kdcheck.conform.loss.laws import number


@behaviour("Its gradient is the slope of its value.", examples=(2, 3))
def gradient_is_that_of_the_value(found: Convention, case: Case) -> None:
    """A detached part gives a value whose gradient is another's."""
    step, shape = 1e-3, case.student_NK.shape
    off_ties = 0.0137 * np.arange(case.student_NK.size).reshape(shape)
    case = replace(case, student_NK=case.student_NK + off_ties)
    way = np.cos(np.arange(case.student_NK.size)).reshape(shape)
    ahead, behind = (
        found.loss.total(replace(case, student_NK=case.student_NK + sign * step * way))
        for sign in (1, -1)
    )
    slope = (ahead - behind) / (2 * step)
    same((found.loss.gradient(case) * way).sum(), slope, "slope", tolerance=1e-2, size=1.0)


@behaviour("No gradient reaches the teacher.", "teacher")
def no_gradient_to_the_teacher(found: Convention, case: Case) -> None:
    """A teacher that learns is drawn towards its student."""
    student, teacher, labels = found.loss.tensors(case)
    teacher.requires_grad_()
    total = found.loss.output(student, teacher, labels, case).sum()
    gradient = (
        torch.autograd.grad(total, teacher, allow_unused=True)[0] if total.requires_grad else None
    )
    if gradient is not None and bool((gradient != 0).any()):
        told = short(gradient.numpy())
        raise AssertionError(
            f"the teacher's gradient is {told}: detach the teacher inside the loss"
        )


@behaviour(
    "Where the student equals its teacher, the soft term has no gradient.",
    "teacher",
    "from teacher",
)
def no_soft_gradient_at_equality(found: Convention, case: Case) -> None:
    """The teacher's own logits are what the soft term asks for."""
    case = replace(case, teacher_NK=case.student_NK)
    size = sum(abs(found.fit.coefficient(part, case)) for part in found.fit.parts)  # type: ignore[union-attr]
    got = soft_gradient(found, case)
    same(got, np.zeros_like(got), "soft gradient", tolerance=LOOSE, size=size)


@behaviour("It is never below 0.")
def never_negative(found: Convention, case: Case) -> None:
    """Divergences and cross-entropies are not, so their sums are not."""
    total = found.loss.total(case)
    if not total >= -1e-5 * max(1.0, case.tau**2):
        raise AssertionError(f"it is {total:.4g}")


@behaviour("Adding a number to all logits of the student changes nothing.")
def student_shift(found: Convention, case: Case) -> None:
    """Logits mean something up to a constant per example."""
    moved = replace(case, student_NK=case.student_NK + 1.5)
    same(found.loss.total(moved), found.loss.total(case), "value", size=case.tau**2)


@behaviour("Adding a number to all logits of the teacher changes nothing.", "teacher")
def teacher_shift(found: Convention, case: Case) -> None:
    """Logits mean something up to a constant per example."""
    moved = replace(case, teacher_NK=case.teacher_NK - 1.5)
    same(found.loss.total(moved), found.loss.total(case), "value", size=case.tau**2)


@behaviour("Classes may be numbered in any order.")
def class_order(found: Convention, case: Case) -> None:
    """Nothing in a loss knows a class by its number."""
    classes = case.student_NK.shape[1]
    moved = Case(
        np.roll(case.student_NK, 1, axis=1),
        np.roll(case.teacher_NK, 1, axis=1),
        (case.labels_N + 1) % classes,
        case.alpha,
        case.beta,
        case.tau,
    )
    same(found.loss.total(moved), found.loss.total(case), "value", size=case.tau**2)


@behaviour("Examples may come in any order.", examples=(2, 4))
def example_order(found: Convention, case: Case) -> None:
    """A batch is a set."""
    same(
        found.loss.total(_rows(case, slice(None, None, -1))),
        found.loss.total(case),
        "value",
        size=1.0,
    )


@behaviour("An example's part does not depend on the others of its batch.", examples=(4, 4))
def batch_independence(found: Convention, case: Case) -> None:
    """Else the gradient of an example depends on the luck of its company."""
    pairs = [_rows(case, [i, j]) for i, j in ((0, 1), (2, 3), (0, 3), (2, 1))]
    totals = [found.loss.total(pair) for pair in pairs]
    same(totals[0] + totals[1], totals[2] + totals[3], "sum over swapped pairs", size=case.tau**2)


@behaviour(
    "In equal parts, the gradients of a batch average or add up to that of the whole.",
    examples=(4, 4),
)
def reduction_under_accumulation(found: Convention, case: Case) -> None:
    """Gradient accumulation rests on it."""
    halves = [found.loss.total(_rows(case, part)) for part in (slice(0, 2), slice(2, 4))]
    whole = found.loss.total(case)
    size = 1e-2 + case.tau**2 * 1e-3 + sum(map(abs, halves))
    if min(abs(sum(halves) - whole), abs(sum(halves) / 2 - whole)) > TIGHT * size:
        raise AssertionError(
            f"parts give {halves[0]:.4g} and {halves[1]:.4g}, the whole {whole:.4g}"
        )


def _rows(case: Case, rows: Any) -> Case:
    return replace(
        case,
        student_NK=case.student_NK[rows],
        teacher_NK=case.teacher_NK[rows],
        labels_N=case.labels_N[rows],
    )


def _without(found: Convention, case: Case, term: str) -> Case | None:
    """The case at an edge value where this term weighs nothing and the other something."""
    other = "soft" if term == "hard" else "hard"
    edges = [(a, b) for a in (0.0, 1.0, case.alpha) for b in (0.0, 1.0, case.beta)]
    for alpha, beta in edges:
        moved = replace(
            case,
            alpha=alpha if found.loss.has("alpha") else case.alpha,
            beta=beta if found.loss.has("beta") else case.beta,
        )
        gone = abs(weight_of(found, moved, term)) < TIGHT
        if gone and abs(weight_of(found, moved, other)) > TIGHT:
            return moved
    return None


@behaviour(
    "Where the soft term weighs nothing, the teacher has no say.", "teacher", "hard", "alpha"
)
def hard_limit(found: Convention, case: Case) -> None:
    """Alpha 0 is plain cross-entropy."""
    edge = _without(found, case, "soft")
    if edge is None:
        raise NotImplementedError("no value of its weights takes the soft term away")
    moved = replace(edge, teacher_NK=edge.teacher_NK[:, ::-1] - 1.0)
    same(found.loss.total(moved), found.loss.total(edge), "value with another teacher")


@behaviour("Where the hard term weighs nothing, the labels have no say.", "labels", "hard", "alpha")
def soft_limit(found: Convention, case: Case) -> None:
    """Alpha 1 learns from the soft targets alone."""
    edge = _without(found, case, "hard")
    if edge is None:
        raise NotImplementedError("no value of its weights takes the hard term away")
    moved = replace(edge, labels_N=(edge.labels_N + 1) % edge.student_NK.shape[1])
    same(found.loss.total(moved), found.loss.total(edge), "value with other labels")


def _against_cross_entropy(found: Convention, case: Case, *, uniform: bool) -> None:
    """The gradient at tau 1 is that of torch's cross-entropy at the fitted weights."""
    case = replace(case, tau=1.0)
    hard, soft = weight_of(found, case, "hard"), weight_of(found, case, "soft")
    if abs(hard + soft) < TIGHT:
        return
    student = torch.tensor(case.student_NK, requires_grad=True)
    smoothing = soft / (hard + soft) if uniform else 0.0
    if not 0 <= smoothing <= 1:
        return
    labels = torch.tensor(case.labels_N)
    loss = (hard + soft) * cross_entropy(
        student, labels, label_smoothing=smoothing, reduction="sum"
    )
    (wanted,) = torch.autograd.grad(loss, student)
    got = found.loss.gradient(case)
    same(got, wanted.numpy(), "gradient", tolerance=LOOSE, size=abs(hard) + abs(soft))


@behaviour("At tau 1, a uniform teacher makes it label smoothing.", "labels", "Eq. 2", "at tau 1")
def uniform_teacher(found: Convention, case: Case) -> None:
    """Eqs. 1 and 2 differ in the teacher alone."""
    moved = replace(case, teacher_NK=np.zeros_like(case.teacher_NK))
    _against_cross_entropy(found, moved, uniform=True)


@behaviour(
    "At tau 1, a teacher that is sure of the label makes it cross-entropy.",
    "labels",
    "Eq. 2",
    "at tau 1",
)
def one_hot_teacher(found: Convention, case: Case) -> None:
    """Such a teacher knows what the label says."""
    sure = 60.0 * np.eye(case.teacher_NK.shape[1])[case.labels_N]
    _against_cross_entropy(found, replace(case, teacher_NK=sure), uniform=False)


@behaviour(
    "As tau grows, the gradient of the soft term keeps its size.",
    "teacher",
    "tau",
    "fit",
    examples=(2, 2),
)
def tau_scaling(found: Convention, case: Case) -> None:
    """That is what tau squared is for (Hinton et al. 2014, section 2)."""
    tilt = np.arange(case.student_NK.size).reshape(case.student_NK.shape) % 3
    case = replace(case, student_NK=case.student_NK + tilt)
    at = [np.abs(soft_gradient(found, replace(case, tau=tau))).sum() for tau in (100.0, 200.0)]
    if max(at) < 1e-12:
        return
    ratio = at[1] / at[0] if at[0] else np.inf
    if not abs(ratio - 1.0) < 0.1:
        raise AssertionError(
            f"doubling tau multiplies the soft gradient by {number(round(ratio, 2))}"
        )
