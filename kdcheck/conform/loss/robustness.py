"""Laws of use: precision, extreme logits, labels of all kinds, and nothing changed behind one's back."""

# Shapes: N examples, K classes.

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from kdcheck.conform.loss.behaviour import behaviour, same, short
from kdcheck.conform.loss.convention import Convention
from kdcheck.conform.loss.formulas import Array, Case


@behaviour("Called twice, it gives the same value to the last bit.")
def deterministic(found: Convention, case: Case) -> None:
    """Chance inside a loss is a bug."""
    first, second = found.loss.total(case), found.loss.total(case)
    if first != second:
        raise AssertionError(f"{first!r}, then {second!r}")


@behaviour("It changes none of its arguments in place.")
def inputs_unchanged(found: Convention, case: Case) -> None:
    """The logits of a step are used again by metrics and by other losses."""
    leaf, teacher, labels = found.loss.tensors(case)
    student = leaf * 1.0  # no leaf: those refuse to be changed in place, which would hide it
    given = {"student": student, "teacher": teacher, "labels": labels}
    before = {name: each.detach().clone() for name, each in given.items()}
    found.loss.output(student, teacher, labels, case)
    for name, each in given.items():
        if not torch.equal(each.detach(), before[name]):
            raise AssertionError(f"the {name}'s tensor was changed")


@behaviour("Its gradient reaches the student.")
def gradient_reaches_the_student(found: Convention, case: Case) -> None:
    """A detached student does not learn."""
    student, teacher, labels = found.loss.tensors(case)
    total = found.loss.output(student, teacher, labels, case).sum()
    if not total.requires_grad:
        raise AssertionError("the loss has no gradient: detached, or computed outside of torch")
    if torch.autograd.grad(total, student, allow_unused=True)[0] is None:
        raise AssertionError("the gradient does not reach the student's logits")


@behaviour("In half precision it is finite, and close to what it is in double precision.")
def half_precision(found: Convention, case: Case) -> None:
    """A probability below 6e-8 is 0 in float16, and its logarithm is not finite."""
    case = replace(
        case, student_NK=4 * case.student_NK, teacher_NK=4 * case.teacher_NK, tau=min(case.tau, 2.0)
    )
    wanted = found.loss.total(case)
    for dtype in (torch.float16, torch.bfloat16):
        got, gradient = found.loss.total(case, dtype), found.loss.gradient(case, dtype)
        name = str(dtype).removeprefix("torch.")
        if not (np.isfinite(got) and np.isfinite(gradient).all()):
            raise AssertionError(
                f"in {name} the value is {got:.4g} and the gradient {short(gradient)}"
            )
        same(got, wanted, f"value in {name}", tolerance=0.06, size=4.0 * case.tau**2)


@behaviour("With logits of 10,000 it is finite, and so is its gradient.")
def extreme_logits(found: Convention, case: Case) -> None:
    """The logarithm of a probability that underflowed is not finite."""
    signs = np.where(np.arange(case.student_NK.shape[1]) % 2, 1.0, -1.0)
    case = replace(
        case, student_NK=case.student_NK + 1e4 * signs, teacher_NK=case.teacher_NK - 1e4 * signs
    )
    got, gradient = found.loss.total(case, torch.float32), found.loss.gradient(case, torch.float32)
    if not (np.isfinite(got) and np.isfinite(gradient).all()):
        raise AssertionError(f"the value is {got:.4g} and the gradient {short(gradient)}")


@behaviour("Integer labels of any width mean the same, or are refused.", "labels")
def label_types(found: Convention, case: Case) -> None:
    """Uint8 indexes as a mask in some versions of torch."""
    wanted = found.loss.total(case)
    for dtype in (torch.int32, torch.uint8):
        student, teacher, labels = found.loss.tensors(case)
        try:
            got = float(found.loss.output(student, teacher, labels.to(dtype), case).sum())
        except Exception:  # noqa: BLE001, S112 - a refusal of whatever kind is right
            continue
        same(got, wanted, f"value with {str(dtype).removeprefix('torch.')} labels")


@behaviour("A label of -100 is ignored or refused, and -1 is no class.", "labels", examples=(2, 2))
def ignored_labels(found: Convention, case: Case) -> None:
    """Padding is labelled -100 and hidden test labels -1; indexing takes -1 for the last class."""
    if found.loss.forms.get("labels") == "one-hot":
        raise NotImplementedError("its labels are one-hot: there is none to ignore")
    last = case.student_NK.shape[1] - 1
    as_last = _row_gradient(found, case, last)
    for label in (-100, -1):
        got = _row_gradient(found, case, label)
        if got is None:
            continue
        if not np.isfinite(got).all():
            raise AssertionError(f"with the label {label} the gradient is {short(got)}")
        others = [_row_gradient(found, case, each) for each in range(last + 1)]
        apart = as_last is not None and not np.allclose(others[0], as_last)  # type: ignore[arg-type]
        for each, other in enumerate(others):
            if apart and other is not None and np.allclose(got, other, rtol=1e-9, atol=1e-12):
                raise AssertionError(f"the label {label} counts as class {each}")


def _row_gradient(found: Convention, case: Case, label: int) -> Array | None:
    """The gradient of the first row under this label, or nothing where the label is refused."""
    try:
        moved = replace(case, labels_N=np.array([label, *case.labels_N[1:]]))
        return np.asarray(found.loss.gradient(moved)[0])
    except Exception:  # noqa: BLE001 - a refusal of whatever kind is right
        return None


@behaviour(
    "At K = 2 and equal logits it never pushes away from the label.", "labels", classes=(2, 2)
)
def two_classes(found: Convention, case: Case) -> None:
    """Smoothing over the one other class turns labels round as soon as alpha is above 1/2."""
    even = np.zeros_like(case.student_NK)
    alphas = (case.alpha, 0.9, 0.1) if found.loss.has("alpha") else (case.alpha,)
    for alpha in alphas:
        gradient = found.loss.gradient(replace(case, student_NK=even, teacher_NK=even, alpha=alpha))
        towards = gradient[np.arange(len(even)), case.labels_N]
        if (towards > 1e-9).any():
            raise AssertionError(
                f"at {alpha:g} the gradient of the label's logit is {short(towards)}"
            )


@behaviour("It can be differentiated twice.")
def double_backward(found: Convention, case: Case) -> None:
    """Gradient penalties and second-order methods need it."""
    student, teacher, labels = found.loss.tensors(case)
    total = found.loss.output(student, teacher, labels, case).sum()
    (first,) = torch.autograd.grad(total, student, create_graph=True)
    if first.requires_grad:
        (second,) = torch.autograd.grad((first**2).sum(), student, allow_unused=True)
        if second is not None and not bool(torch.isfinite(second).all()):
            raise AssertionError(f"the second gradient is {short(second.numpy())}")


@behaviour("It takes logits that do not lie row after row in memory.", examples=(2, 3))
def memory_layout(found: Convention, case: Case) -> None:
    """Slices and transposed tensors are common among a model's outputs."""
    student, teacher, labels = found.loss.tensors(case)
    across, teacher = (each.detach().t().contiguous().t() for each in (student, teacher))
    got = float(found.loss.output(across, teacher, labels, case).double().sum())
    same(got, found.loss.total(case), "value")
