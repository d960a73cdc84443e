"""The terms that distillation and smoothing losses are known to be made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit

from kdcheck.conform.loss.formulas import (
    Array,
    Case,
    bce_smoothed,
    bernoulli_ce,
    ce,
    ce_others,
    centred,
    cosine,
    entropy,
    huber,
    js,
    kl,
    log_posteriors_of,
    mixed_target,
    nckd,
    of_virtual_probabilities,
    pearson_over_batch,
    probabilities,
    skew,
    skew_reverse,
    smoothed,
    standardised,
    standardised_then_tempered,
    tckd,
    twice,
    twice_then_tempered,
    uniform,
    virtual,
)

Formula = Callable[[Array, Array, Array], Array]
"""From tempered logits of student and teacher and one-hot labels to one value per example."""


@dataclass(frozen=True)
class Term:
    """One term: a formula, what each side is divided by, and what is wrong with it, if anything."""

    kind: str
    words: str
    family: str
    """``hard`` (labels), ``smooth`` (a uniform distribution), ``soft`` (a teacher) or ``constant``."""
    formula: Formula
    student_tau: str = "1"
    teacher_tau: str = "1"
    flaw: str = ""

    def per_example(self, case: Case) -> Array:
        """The value for each example, shape (N,)."""
        if self.kind in MIXED:
            return MIXED[self.kind](case)
        hot_NK = np.eye(case.student_NK.shape[1])[case.labels_N]
        a_NK = case.student_NK / divisor(self.student_tau, case.tau)
        b_NK = case.teacher_NK / divisor(self.teacher_tau, case.tau)
        return self.formula(a_NK, b_NK, hot_NK)

    def __str__(self) -> str:
        """The words, with temperatures where they are not those that the paper has."""
        return self.words


def divisor(name: str, tau: float) -> float:
    """What logits are divided by: nothing, tau, its inverse, or a number that is built in."""
    return {"tau": tau, "1/tau": 1.0 / tau}.get(name) or float(name)


HARD: tuple[tuple[str, str, Formula, str], ...] = (
    (
        "ce_label",
        "cross-entropy with the label",
        lambda a, _b, h: -(h * log_posteriors_of(a)).sum(-1),
        "",
    ),
    (
        "ce_label_twice",
        "cross-entropy with the label of a softmax taken twice",
        lambda a, _b, h: -(h * log_posteriors_of(probabilities(a))).sum(-1),
        "softmax is taken twice in the hard term",
    ),
    (
        "bce_label",
        "binary cross-entropy of each class with the label",
        lambda a, _b, h: bernoulli_ce(a, h),
        "",
    ),
    ("brier", "Brier score", lambda a, _b, h: ((probabilities(a) - h) ** 2).sum(-1), ""),
    (
        "raw_label",
        "minus the label's logit",
        lambda a, _b, h: -(h * a).sum(-1),
        "no log-softmax is taken in the hard term",
    ),
    (
        "p_label",
        "minus the label's probability",
        lambda a, _b, h: -(h * probabilities(a)).sum(-1),
        "no logarithm is taken in the hard term",
    ),
)
SMOOTH: tuple[tuple[str, str, Formula, str], ...] = (
    (
        "kl_uniform",
        "KL(uniform, student)",
        lambda a, _b, _h: kl(uniform(a), log_posteriors_of(a)),
        "",
    ),
    (
        "ce_uniform",
        "cross-entropy with the uniform distribution",
        lambda a, _b, _h: ce(uniform(a), log_posteriors_of(a)),
        "",
    ),
    (
        "ce_others",
        "cross-entropy with the uniform distribution over the K - 1 other classes",
        ce_others,
        "",
    ),
    ("entropy", "entropy of the student", lambda a, _b, _h: entropy(probabilities(a)), ""),
    *(
        (
            f"virtual_{correct}",
            f"KL(virtual teacher of {correct} on the label, student)",
            partial(
                lambda c, a, _b, h: kl(np.log(virtual(c, h)), log_posteriors_of(a)),
                correct,
            ),
            "",
        )
        for correct in (0.9, 0.95, 0.99)
    ),
)
WEIGHTS = (0.5, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
SOFT: tuple[tuple[str, str, Formula, str], ...] = (
    (
        "kl",
        "KL(teacher, student)",
        lambda a, b, _h: kl(log_posteriors_of(b), log_posteriors_of(a)),
        "",
    ),
    (
        "ce",
        "cross-entropy with the teacher",
        lambda a, b, _h: ce(log_posteriors_of(b), log_posteriors_of(a)),
        "",
    ),
    (
        "reverse_kl",
        "reverse KL(student, teacher)",
        lambda a, b, _h: kl(log_posteriors_of(a), log_posteriors_of(b)),
        "",
    ),
    (
        "reverse_ce",
        "cross-entropy of the teacher with the student's posterior as target",
        lambda a, b, _h: ce(log_posteriors_of(a), log_posteriors_of(b)),
        "",
    ),
    ("mse_logits", "squared error of logits", lambda a, b, _h: ((a - b) ** 2).sum(-1), ""),
    (
        "mse_centred",
        "squared error of centred logits",
        lambda a, b, _h: (centred(a - b) ** 2).sum(-1),
        "",
    ),
    (
        "mse_probabilities",
        "squared error of probabilities",
        lambda a, b, _h: ((probabilities(a) - probabilities(b)) ** 2).sum(-1),
        "",
    ),
    (
        "mse_log_probabilities",
        "squared error of log-probabilities",
        lambda a, b, _h: ((log_posteriors_of(a) - log_posteriors_of(b)) ** 2).sum(-1),
        "",
    ),
    ("l1_logits", "absolute error of logits", lambda a, b, _h: np.abs(a - b).sum(-1), ""),
    ("huber_logits", "smooth absolute error of logits", lambda a, b, _h: huber(a - b), ""),
    (
        "l1_probabilities",
        "absolute error of probabilities",
        lambda a, b, _h: np.abs(probabilities(a) - probabilities(b)).sum(-1),
        "",
    ),
    ("cosine_logits", "1 - cosine of logits", lambda a, b, _h: cosine(a, b), ""),
    (
        "cosine_probabilities",
        "1 - cosine of probabilities",
        lambda a, b, _h: cosine(probabilities(a), probabilities(b)),
        "",
    ),
    (
        "pearson",
        "1 - Pearson correlation over classes",
        lambda a, b, _h: cosine(centred(probabilities(a)), centred(probabilities(b))),
        "",
    ),
    ("pearson_batch", "1 - Pearson correlation over the batch", pearson_over_batch, ""),
    ("tckd", "KL of label against the rest (TCKD)", tckd, ""),
    ("nckd", "KL among the other classes (NCKD)", nckd, ""),
    *(
        (f"kl_standardised_{ddof}", "KL of standardised logits", partial(standardised, ddof), "")
        for ddof in (0, 1)
    ),
    (
        "bce",
        "binary cross-entropy of each class with the teacher",
        lambda a, b, _h: bernoulli_ce(a, expit(b)),
        "",
    ),
    (
        "bernoulli_kl",
        "binary KL of each class from the teacher",
        lambda a, b, _h: bernoulli_ce(a, expit(b)) - bernoulli_ce(b, expit(b)),
        "",
    ),
    ("js_0.5", "Jensen-Shannon divergence", partial(js, 0.5), ""),
    *(
        (f"js_{w}", f"Jensen-Shannon divergence of weight {w} for the teacher", partial(js, w), "")
        for w in WEIGHTS[1:]
    ),
    *(
        (f"skew_kl_{w}", f"KL(teacher, {w} teacher + {1 - w:.1g} student)", partial(skew, w), "")
        for w in WEIGHTS
    ),
    *(
        (
            f"skew_reverse_kl_{w}",
            f"KL(student, {w} student + {1 - w:.1g} teacher)",
            partial(skew_reverse, w),
            "",
        )
        for w in WEIGHTS
    ),
    (
        "kl_raw",
        "KL(teacher, student) without a log-softmax on the student",
        lambda a, b, _h: (np.exp(log_posteriors_of(b)) * (log_posteriors_of(b) - a)).sum(-1),
        "no log-softmax is taken of the student",
    ),
    (
        "kl_no_log",
        "KL(teacher, student) with probabilities for log-probabilities",
        lambda a, b, _h: (
            np.exp(log_posteriors_of(b)) * (log_posteriors_of(b) - probabilities(a))
        ).sum(-1),
        "no logarithm is taken of the student's probabilities",
    ),
    (
        "reverse_raw",
        "KL(student, teacher) without a log-softmax on the teacher",
        lambda a, b, _h: (np.exp(log_posteriors_of(a)) * (log_posteriors_of(a) - b)).sum(-1),
        "no log-softmax is taken of the teacher",
    ),
    (
        "ce_raw_teacher",
        "cross-entropy with the teacher's logits as if they were probabilities",
        lambda a, b, _h: -(b * log_posteriors_of(a)).sum(-1),
        "no softmax is taken of the teacher",
    ),
)
CONSTANT: tuple[tuple[str, str, Formula, str], ...] = (
    ("one", "a constant", lambda a, _b, _h: np.ones(len(a)), ""),
    ("log_k", "log K", lambda a, _b, _h: np.full(len(a), np.log(a.shape[-1])), ""),
    (
        "teacher_entropy",
        "entropy of the teacher",
        lambda _a, b, _h: entropy(probabilities(b)),
        "",
    ),
)


ONE_SIDED = ("kl", "ce", "reverse_kl", "reverse_ce", "mse_probabilities", "kl_raw")
"""Divergences that losses are known to soften on one side alone."""
SIDES = ("student", "teacher", "student and teacher")
MIXED: dict[str, Callable[[Case], Array]] = {
    "smoothed_entropy": lambda case: smoothed(case, case.alpha, others=False),
    "smoothed_entropy_others": lambda case: smoothed(case, case.alpha, others=True),
    "smoothed_entropy_opposite": lambda case: smoothed(case, 1.0 - case.alpha, others=False),
    "bce_smoothed": bce_smoothed,
    **{
        f"kl_standardised_tempered_{ddof}": partial(standardised_then_tempered, ddof)
        for ddof in (0, 1)
    },
    "mixed_entropy": lambda case: mixed_target(case, case.alpha),
    "mixed_entropy_opposite": lambda case: mixed_target(case, 1.0 - case.alpha),
    **{
        f"{name}_tempered_twice_{sides}": partial(twice_then_tempered, divergence, sides)
        for name, divergence in (("kl", kl), ("ce", ce))
        for sides in SIDES
    },
    **{
        f"virtual_softmax_{correct}_{tempered}": partial(
            of_virtual_probabilities, correct, tempered
        )
        for correct in (0.9, 0.95, 0.99)
        for tempered in (True, False)
    },
}
"""Terms that need more than tempered logits: the alpha of the call, or both kinds of logits."""


def library(
    *, labels: bool, teacher: bool, temperatures: tuple[str, ...] = ("1", "tau")
) -> tuple[Term, ...]:
    """Every known term for a loss that has labels, a teacher, and these temperatures, plain ones first."""
    found = list(_with_labels(temperatures, labels=labels))
    if teacher:
        found += _with_teacher(temperatures)
    return (*found, *_constants(labels=labels, teacher=teacher, temperatures=temperatures))


def _with_labels(temperatures: tuple[str, ...], *, labels: bool) -> Iterator[Term]:
    for tau in temperatures:
        if labels:
            for kind, words, formula, flaw in HARD:
                yield Term(kind, words, "hard", formula, tau, flaw=flaw)
        for kind, words, formula, flaw in SMOOTH:
            if labels or kind in ("kl_uniform", "ce_uniform", "entropy"):
                yield Term(kind, words, "smooth", formula, tau, flaw=flaw)
    if labels:
        words = "binary cross-entropy of each class with the smoothed label"
        yield Term("bce_smoothed", words, "smooth", _nothing)
        for kind in MIXED:
            if kind.startswith("virtual_softmax"):
                words = "KL(softmax of a virtual teacher's probabilities, student)"
                yield Term(kind, words, "smooth", _nothing, *["tau" if "True" in kind else "1"])


def _with_teacher(temperatures: tuple[str, ...]) -> Iterator[Term]:
    # Both sides at one temperature first: where two terms agree, the plainer one is named.
    pairs = sorted(
        ((s, t) for s in temperatures for t in temperatures), key=lambda pair: pair[0] != pair[1]
    )
    for kind, words, formula, flaw in SOFT:
        for student, teacher in pairs if kind in ONE_SIDED else pairs[: len(temperatures)]:
            yield Term(kind, words, "soft", formula, student, teacher, flaw)
    for ddof in (0, 1):
        kind = f"kl_standardised_tempered_{ddof}"
        yield Term(kind, "KL of standardised logits", "soft", _nothing, "tau", "tau")
    for name, divergence in (("kl", kl), ("ce", ce)):
        for sides in SIDES:
            flaw = f"softmax is taken twice of {sides}"
            words = (
                f"{'KL' if name == 'kl' else 'cross-entropy'} with softmax taken twice of {sides}"
            )
            for student, teacher in pairs[: len(temperatures)]:
                formula = partial(_ignoring_labels, partial(twice, divergence, sides))
                kind = f"{name}_twice_{sides}"
                yield Term(kind, words, "soft", formula, student, teacher, flaw)
            kind = f"{name}_tempered_twice_{sides}"
            yield Term(kind, words, "soft", _nothing, "tau", "tau", flaw)


def _constants(*, labels: bool, teacher: bool, temperatures: tuple[str, ...]) -> Iterator[Term]:
    for kind, words, formula, flaw in CONSTANT:
        if kind == "teacher_entropy":
            taus = temperatures if teacher else ()
            yield from (Term(kind, words, "constant", formula, "1", t, flaw) for t in taus)
        else:
            yield Term(kind, words, "constant", formula, flaw=flaw)
    if labels:
        for kind in MIXED:
            if kind.startswith("smoothed") or (teacher and kind.startswith("mixed")):
                yield Term(kind, "minus the entropy of the mixed target", "constant", _nothing)


def _ignoring_labels(
    formula: Callable[[Array, Array], Array], a: Array, b: Array, _hot: Array
) -> Array:
    return formula(a, b)


def _nothing(_a: Array, _b: Array, _hot: Array) -> Array:
    raise AssertionError("a term of MIXED has no formula of tempered logits alone")
