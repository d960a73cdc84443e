"""What of a convention differs from the paper's, one function for each way, and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kdcheck.conform.loss.convention import (
    EQ_1,
    EQ_2,
    Convention,
    Remark,
    against_its_names,
    base_of_logarithm,
    built_in_factor,
    built_in_tau,
    own_names,
    plain_weights,
)
from kdcheck.conform.loss.fitting import EXACT, Fit, Part, draw
from kdcheck.conform.loss.laws import number

REFUSED = "is refused"
EXACTLY = 1e-9
"""Above this relative error a loss is not the formula to the last digits."""


def _names_of_alpha(found: Convention) -> Iterator[Remark]:
    soft, hard = plain_weights(found)
    if found.soft is None or found.hard is None or soft.curve:
        return
    alpha, beta = own_names(found.loss)
    line_s, line_h = np.array(soft.line), np.array(hard.line)
    if np.allclose(line_s, (1, -1, 0, 0)) and np.allclose(line_h, (0, 1, 0, 0)):
        yield Remark("", "", f"Pass {alpha} = 1 - alpha: here it weighs the hard term.")
    elif not np.allclose(line_s + line_h, (1, 0, 0, 0), atol=1e-4):
        told = f"{soft.words(alpha, beta)} and {hard.words(alpha, beta)}"
        yield Remark(
            "", "", f"The weights {told} do not add up to 1; the paper's are alpha and 1 - alpha."
        )


def _no_effect(found: Convention) -> Iterator[Remark]:
    assert found.fit is not None
    for role in ("alpha", "beta"):
        place = {"alpha": (1, 3), "beta": (2, 3)}[role]
        lines = [part.law.weight for part in found.fit.parts]
        if found.loss.has(role) and not any(w.curve or w.line[i] for w in lines for i in place):
            kinds = [part.term.kind for part in found.fit.parts]
            if not any("smoothed" in kind or "mixed" in kind for kind in kinds):  # it is inside
                name = found.loss.own_name(role)
                yield Remark(
                    "settings_have_an_effect", f"{name} has no effect", f"Use {name}, or drop it."
                )
    if found.loss.has("tau") and found.loss.has("teacher"):
        used = [part for part in found.fit.parts if _uses_tau(part)]
        if not used:
            name = found.loss.own_name("tau")
            yield Remark(
                "settings_have_an_effect", f"{name} has no effect", f"Use {name}, or drop it."
            )


def _uses_tau(part: Part) -> bool:
    taus = (part.term.student_tau, part.term.teacher_tau)
    return (
        part.law.tau_power != 0 or any("tau" in tau for tau in taus) or "tempered" in part.term.kind
    )


def _direction(found: Convention) -> Iterator[Remark]:
    assert found.fit is not None
    if any(part.term.kind.startswith("reverse") for part in found.fit.parts):
        change = "Swap the arguments of the divergence: the paper's is D_KL(teacher, student)."
        yield Remark("from_teacher_to_student", "", change)


def _terms(found: Convention) -> Iterator[Remark]:
    assert found.fit is not None
    usual = {"ce_label", *EQ_2, *EQ_1}
    odd = [
        part.term
        for part in found.fit.parts
        if part.term.kind not in usual and part.term.family != "constant" and not part.term.flaw
    ]
    if odd:
        told = " and ".join(dict.fromkeys(term.words for term in odd))
        change = (
            f"It has {told}; the paper's soft term is D_KL(teacher, student) or D_KL(u, student)."
        )
        yield Remark("terms_of_the_paper", "", change)
    elif found.part("ce"):
        words = "soft cross-entropy for KL"
        yield Remark(
            "", words, "The value lies H(teacher) times the weight above Eq. 2; gradients agree."
        )
    elif found.part("ce_uniform") and not found.part("ce_others"):
        yield Remark("", "", "The value lies alpha log K above Eq. 1; gradients agree.")


def _flaws(found: Convention) -> Iterator[Remark]:
    assert found.fit is not None
    for flaw in found.fit.flaws:
        check = "one_softmax" if "twice" in flaw else "softmax_is_taken"
        yield Remark(check, flaw, "Hand log_softmax of the logits to the divergence, taken once.")
    for role in against_its_names(found.loss):
        form, name = found.loss.forms[role], found.loss.own_name(role)
        words = f"if {name} are {form}"
        change = f"Take the softmax of {name} inside, or call it what it is: with logits it is no known loss."
        yield Remark("softmax_is_taken", words, change)


def _classes(found: Convention) -> Iterator[Remark]:
    assert found.fit is not None
    # A correlation over the batch is one for each class, and their mean is what its authors take.
    parts = [
        p for p in found.fit.parts if p.law.of_classes != "1" and p.term.kind != "pearson_batch"
    ]
    if not parts:
        return
    factor = parts[0].law.of_classes.format("K")
    whole = len({part.law.of_classes for part in found.fit.parts}) == 1
    words = "" if whole and found.soft else f"{factor} of the {_side(parts[0])} term"
    change = "Sum over classes: reduction='batchmean', or .sum(-1).mean()."
    yield Remark("sums_over_classes", words, change)


def _side(part: Part) -> str:
    return "hard" if part.term.family == "hard" else "soft"


def _examples(found: Convention) -> Iterator[Remark]:
    assert found.fit is not None
    laws = {part.law.of_examples for part in found.fit.parts if part.term.kind != "pearson_batch"}
    soft = found.soft
    if len(laws) > 1:
        told = ", ".join(
            f"{_side(part)} term times {part.law.of_examples.format('N')}"
            for part in found.fit.parts
        )
        change = "Reduce both terms alike, or their ratio moves with the batch."
        yield Remark("one_reduction", f"reductions differ ({told})", change)
    elif laws and not laws <= {"1", "1/{}"}:
        factor = laws.pop().format("N")
        words = f"divided by N twice ({factor})" if factor == "1/N^2" else f"times {factor}"
        yield Remark("one_reduction", words, "Take the mean over examples once.")
    elif soft and laws == {"1"} and found.reduction == "sum over examples":
        yield Remark("", "summed over examples", "The gradient grows with the batch: divide by N.")


def _temperatures(found: Convention) -> Iterator[Remark]:
    soft, hard = found.soft, found.hard
    if hard and hard.term.student_tau != "1":
        change = "The hard term takes the logits as they are: temperature 1."
        yield Remark("hard_term_untempered", "hard term tempered too", change)
    if soft is None or not found.loss.has("teacher"):
        return
    sides = {"student": soft.term.student_tau, "teacher": soft.term.teacher_tau}
    plain = [side for side, tau in sides.items() if tau == "1"]
    if len(plain) == 1:
        change = f"Divide the {plain[0]}'s logits by tau as well."
        yield Remark("sides_tempered_alike", f"{plain[0]} not tempered", change)
    if "1/tau" in sides.values():
        name = found.loss.own_name("tau")
        yield Remark("", f"{name} is the inverse of tau", f"Pass {name} = 1 / tau.")


def _tau_squared(found: Convention) -> Iterator[Remark]:
    soft = found.soft
    if soft is None or not found.loss.has("teacher") or soft.term.kind not in EQ_2:
        return
    tau = built_in_tau(found)
    if tau is not None:
        factor = built_in_factor(found)
        power = round(np.log(factor) / np.log(tau)) if tau != 1 else 2
        yield Remark("", f"tau = {number(tau)} built in")
    elif soft.term.student_tau == "1" and soft.term.teacher_tau == "1":
        return
    else:
        power = soft.law.tau_power * (-1 if "1/tau" in soft.term.student_tau else 1)
    words = {2: "tau squared present", 0: "tau squared missing", 4: "tau squared twice"}
    change = (
        "Multiply the soft term by tau squared, once: its gradient keeps its size as tau grows."
    )
    wrong = power != 2
    yield Remark(
        "tau_squared_once" if wrong else "",
        words.get(power, f"tau to the power {power}"),
        change if wrong else "",
    )


def _smoothing(found: Convention) -> Iterator[Remark]:
    if found.part("ce_others"):
        name = own_names(found.loss)[0]
        words = "smoothing over the K - 1 other classes"
        change = f"Pass {name} = alpha (K - 1) / K for Eq. 1's alpha, or spread it over all K."
        yield Remark("smooths_over_all_classes", words, change)


def _logarithm(found: Convention) -> Iterator[Remark]:
    parts = {"soft term": found.soft, "hard term": found.hard}
    sides = {side: part for side, part in parts.items() if part}
    in_bits = [s for s, part in sides.items() if base_of_logarithm(part.law.weight) != 1.0]
    if in_bits:
        words = "in bits" if len(in_bits) == len(sides) else f"{in_bits[0]} in bits"
        yield Remark("in_nats", words, "Use the natural logarithm, or divide by log 2.")


def _accuracy(found: Convention) -> Iterator[Remark]:
    assert found.fit is not None
    if found.fit.error > EXACTLY:
        cause = "an epsilon inside a logarithm, or single precision"
        yield Remark("", f"to {found.fit.error:.0e}", f"It is the formula up to {cause}.")


def _edges(found: Convention) -> Iterator[Remark]:
    """Edge values of alpha and tau at which the loss is not what it is elsewhere."""
    assert found.fit is not None
    edges = {"alpha": (0.0, 1.0), "tau": (1.0,)}
    for role, values in edges.items():
        for value in values if found.loss.has(role) else ():
            where = f"{found.loss.own_name(role)} = {value:g}"
            words = _at_edge(found.fit, role, value)
            if words == REFUSED:
                yield Remark("", f"{where} is refused")
            elif words:
                change = f"Let the formula hold at {where} too."
                yield Remark("same_at_edges", f"at {where} {words}", change)


def _at_edge(found: Fit, role: str, value: float) -> str:
    numbers: dict[str, Any] = {role: value}
    cases = [draw(50 + seed, **numbers) for seed in range(6)]
    try:
        got = np.array([found.loss.total(case) for case in cases])
    except Exception:  # noqa: BLE001 - the code of a stranger may raise anything
        return REFUSED
    wanted = np.array([found.total(case) for case in cases])
    if np.allclose(got, wanted, rtol=10 * EXACT, atol=10 * EXACT):
        return ""
    if not np.isfinite(got).all():
        return "it is not finite"
    ratios = got / wanted
    if np.allclose(ratios, ratios[0], rtol=1e-4):
        return f"it is {number(float(ratios[0]))} times what it is elsewhere"
    return "it follows another formula"


FINDERS = (
    *(_flaws, _direction, _terms, _names_of_alpha, _classes, _examples, _tau_squared),
    *(_temperatures, _smoothing, _logarithm, _no_effect, _edges, _accuracy),
)
