"""From a loss to its convention: which terms it is made of, and how their weights depend on its settings.

A loss is evaluated on chosen logits at float64; its values are explained by as few known terms as
possible, exactly; the weights of those are followed along alpha, tau, K and N; and what comes out is
confirmed on fresh data. What is not confirmed is not told.
"""

# M = batches, T = terms.

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kdcheck.conform.loss.formulas import Array, Case
from kdcheck.conform.loss.laws import Law, constant, power_of, size_law, weight_law
from kdcheck.conform.loss.subject import Loss
from kdcheck.conform.loss.terms import ONE_SIDED, Term, library

EXACT = 3e-5
"""Largest relative error of a fit: float32 or an epsilon inside a logarithm stays below it."""
BATCHES, EXAMPLES, CLASSES = 24, 3, 5
BASE = {"alpha": 0.3, "beta": 0.7, "tau": 2.5}
BUILT_IN = (
    "2",
    "3",
    "4",
    "5",
    "1.5",
    "2.5",
    "3.5",
    "6",
    "7",
    "8",
    "10",
    "12",
    "15",
    "16",
    "20",
    "0.5",
)
"""Temperatures that a loss without an argument for one may have built in."""
QUICK = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
"""The same examples on every run; nothing is stored."""


@dataclass(frozen=True)
class Part:
    """One term of a loss, with the law of its weight."""

    term: Term
    law: Law


@dataclass(frozen=True)
class Fit:
    """The parts that explain a loss, and how exactly they do."""

    loss: Loss
    parts: tuple[Part, ...]
    error: float
    """Largest relative error that was met on fresh data."""

    def total(self, case: Case) -> float:
        """What the parts add up to for a case."""
        return sum(self.coefficient(part, case) * _sum(part.term, case) for part in self.parts)

    def coefficient(self, part: Part, case: Case) -> float:
        """The weight of a part at the settings of a case."""
        examples, classes = case.student_NK.shape
        numbers = {name: getattr(case, name) for name in ("alpha", "beta", "tau")}
        return part.law(**numbers, classes=classes, examples=examples)

    @property
    def flaws(self) -> tuple[str, ...]:
        """What is known to be wrong with its terms."""
        return tuple(dict.fromkeys(part.term.flaw for part in self.parts if part.term.flaw))


@dataclass(frozen=True)
class NoFit:
    """Why a loss could not be explained."""

    loss: Loss
    why: str
    counterexample: str = ""


def fit(loss: Loss) -> Fit | NoFit:
    """The convention of a loss as it is called, or why none is known.

    Args:
        loss: with the decision of what goes where.

    Returns:
        Parts that were confirmed on fresh data, else the reason.
    """
    found: NoFit | None = None
    values_M = np.array([loss.total(case) for case in _base()])
    if not np.isfinite(values_M).all():
        return NoFit(loss, "its value is not finite on ordinary logits")
    for temperatures in _temperatures(loss):
        known = _known(loss.has("labels"), loss.has("teacher"), temperatures)
        for chosen in exact_sets(*known, values_M):
            outcome = _followed(loss, chosen)
            if isinstance(outcome, Fit):
                return outcome
            found = found or outcome
    return found or NoFit(loss, "no combination of up to three known terms gives its values")


def _base() -> list[Case]:
    return [draw(seed) for seed in range(BATCHES)]


@lru_cache(maxsize=64)
def _known(labels: bool, teacher: bool, temperatures: tuple[str, ...]) -> tuple[list[Term], Array]:
    """The library with its values on the base cases, without terms that repeat others: it is asked often."""
    terms = library(labels=labels, teacher=teacher, temperatures=temperatures)
    if temperatures[-1] in BUILT_IN:  # there are many of these: the usual divergences are enough
        terms = tuple(term for term in terms if term.kind in ("ce_label", *ONE_SIDED, "js_0.5"))
    columns_MT = _columns(terms, _base())
    # Constants are multiples of each other here: how they move with alpha and K tells them apart.
    constant = {t for t, term in enumerate(terms) if term.family == "constant"}
    kept = sorted({*_distinct(columns_MT), *constant})
    return [terms[t] for t in kept], columns_MT[:, kept]


def _temperatures(loss: Loss) -> Iterator[tuple[str, ...]]:
    if loss.has("tau"):
        yield ("1", "tau")
        yield ("1", "1/tau")
        return
    yield ("1",)
    for built_in in BUILT_IN if loss.has("teacher") else ():
        yield ("1", built_in)


def draw(seed: int, *, examples: int = EXAMPLES, classes: int = CLASSES, **numbers: float) -> Case:
    """Ordinary logits and labels: nothing is rounded off, nothing ties."""
    rng = np.random.default_rng(seed)
    return Case(
        student_NK=rng.normal(size=(examples, classes)),
        teacher_NK=1.5 * rng.normal(size=(examples, classes)),
        labels_N=rng.integers(classes, size=examples),
        **{**BASE, **numbers},
    )


def _sum(term: Term, case: Case) -> float:
    return float(term.per_example(case).sum())


def _columns(terms: Sequence[Term], cases: Sequence[Case]) -> Array:
    return np.array([[_sum(term, case) for term in terms] for case in cases])


def exact_sets(
    terms: Sequence[Term], columns_MT: Array, values_M: Array
) -> Iterator[tuple[Term, ...]]:
    """The smallest sets of terms that give the values exactly, plain ones first."""
    scale = np.abs(values_M).max()
    if scale == 0.0:
        return
    for size in (1, 2, 3):
        found = []
        for picked in map(list, _candidates(terms, columns_MT, values_M, size)):
            coefficients = np.linalg.lstsq(columns_MT[:, picked], values_M, rcond=None)[0]
            error = np.abs(columns_MT[:, picked] @ coefficients - values_M).max() / scale
            if error <= EXACT:
                # Values that agree to the last digits beat those that an epsilon might explain.
                flaws = sum(bool(terms[t].flaw) for t in picked)
                found.append((error > 1e-9, flaws, picked))
        for _, _, picked in sorted(found):
            yield tuple(terms[t] for t in picked)
        if found:
            return


def _distinct(columns_MT: Array) -> list[int]:
    """Columns that no earlier one is a multiple of, and that are not zero."""
    norms_T = np.linalg.norm(columns_MT, axis=0)
    unit_MT = columns_MT / np.where(norms_T > 0, norms_T, 1.0)
    same_TT = np.abs(unit_MT.T @ unit_MT) > 1.0 - 1e-12
    return [t for t in range(len(norms_T)) if norms_T[t] > 1e-12 and not same_TT[t, :t].any()]


def _candidates(
    terms: Sequence[Term], columns_MT: Array, values_M: Array, size: int
) -> Iterator[tuple[int, ...]]:
    """Sets that least squares on the Gram matrix takes for exact; the caller looks closely."""
    unit_MT, unit_M = (
        columns_MT / np.linalg.norm(columns_MT, axis=0),
        values_M / np.linalg.norm(values_M),
    )
    if size == 1:
        yield from ((int(t),) for t in np.flatnonzero(1.0 - (unit_M @ unit_MT) ** 2 < 1e-8))
    elif size == 2:
        yield from _pairs(unit_MT, unit_M)
    else:
        for first, term in enumerate(terms):
            if term.family == "hard" or term.kind in ("one", "log_k", "kl", "ce"):
                one_M = unit_MT[:, first]
                rest_MT = unit_MT - np.outer(one_M, one_M @ unit_MT)
                rest_M = unit_M - one_M * (one_M @ unit_M)
                yield from ((first, *pair) for pair in _pairs(rest_MT, rest_M) if first not in pair)


def _pairs(columns_MT: Array, values_M: Array) -> Iterator[tuple[int, int]]:
    norms_T = np.linalg.norm(columns_MT, axis=0)
    unit_MT = columns_MT / np.where(norms_T > 1e-6, norms_T, np.inf)
    gram_TT, by_T = unit_MT.T @ unit_MT, unit_MT.T @ values_M
    free_TT = 1.0 - gram_TT**2
    explained_TT = by_T[:, None] ** 2 + by_T**2 - 2.0 * gram_TT * np.outer(by_T, by_T)
    total = float(values_M @ values_M)
    with np.errstate(divide="ignore", invalid="ignore"):
        left_TT = total - explained_TT / free_TT
    exact_TT = (left_TT < 1e-8) & (free_TT > 1e-9)
    yield from ((int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(exact_TT, 1)), strict=True))


def _followed(loss: Loss, terms: Sequence[Term]) -> Fit | NoFit:
    """The terms with the laws of their weights, confirmed on fresh data."""
    laws = _laws(loss, terms)
    if isinstance(laws, str):
        return NoFit(loss, laws)
    parts = tuple(Part(term, law) for term, law in zip(terms, laws, strict=True))
    return confirmed(Fit(loss, parts, 0.0))


def _laws(loss: Loss, terms: Sequence[Term]) -> list[Law] | str:
    """The law of each weight, or which dependence could not be followed."""
    base = _weights(loss, terms)
    if base is None:
        return "its values do not repeat"
    points, values = _along_alpha(loss, terms, base)
    by_tau = _ratios(loss, terms, base, "tau", (1.6, 4.0) if loss.has("tau") else ())
    by_classes = _ratios(loss, terms, base, "classes", (4, 8))
    by_examples = _ratios(loss, terms, base, "examples", (2, 6))
    moving = [role for role in ("alpha", "beta") if loss.has(role)]
    laws = []
    for t, term in enumerate(terms):
        weight = weight_law(points, [each[t] for each in values], moving=moving)
        power = power_of({tau / BASE["tau"]: r[t] for tau, r in by_tau.items()})
        of_classes = size_law(CLASSES, {int(k): r[t] for k, r in by_classes.items()})
        of_examples = size_law(EXAMPLES, {int(n): r[t] for n, r in by_examples.items()})
        for what, law in (
            ("its settings", weight),
            ("tau", power),
            ("K", of_classes),
            ("N", of_examples),
        ):
            if law is None:
                return f"the weight of {term.words} does not depend on {what} in any known way"
        assert weight is not None and power is not None  # noqa: PT018 - for the type checker
        assert of_classes is not None and of_examples is not None  # noqa: PT018
        plain = Law(constant(1.0), power, of_classes, of_examples)
        at_base = plain(**BASE, classes=CLASSES, examples=EXAMPLES)
        laws.append(replace(plain, weight=weight.scaled(1.0 / at_base)))
    return laws


def _weights(loss: Loss, terms: Sequence[Term], **numbers: Any) -> Array | None:
    """The coefficients of the terms at these settings, or nothing where they do not explain the loss."""
    cases = [draw(100 + seed, **numbers) for seed in range(10)]
    values_M = np.array([loss.total(case) for case in cases])
    columns_MT = _columns(terms, cases)
    coefficients, _, rank, _ = np.linalg.lstsq(columns_MT, values_M, rcond=None)
    scale = np.abs(values_M).max()
    off = np.abs(columns_MT @ coefficients - values_M).max()
    return coefficients if rank == len(terms) and off <= EXACT * max(scale, 1e-9) else None


def _along_alpha(
    loss: Loss, terms: Sequence[Term], base: Array
) -> tuple[list[tuple[float, float]], list[Array]]:
    alphas = (0.3, 0.6, 0.85) if loss.has("alpha") else (0.3,)
    betas = (0.7, 0.4, 1.3) if loss.has("beta") else (0.7,)
    points, values = [], []
    for alpha, beta in itertools.product(alphas, betas):
        found = (
            base if (alpha, beta) == (0.3, 0.7) else _weights(loss, terms, alpha=alpha, beta=beta)
        )
        if found is not None:
            points.append((alpha, beta))
            values.append(found)
    return points, values


def _ratios(
    loss: Loss, terms: Sequence[Term], base: Array, name: str, at: Sequence[float]
) -> Mapping[float, Array]:
    found = {value: _weights(loss, terms, **{name: value}) for value in at}
    missing = np.full(len(terms), np.nan)  # no law passes through it
    return {value: missing if w is None else w / base for value, w in found.items()}


def confirmed(fit_: Fit) -> Fit | NoFit:
    """The fit with the error that it had on fresh data, or the smallest case that it fails on."""
    worst = 0.0
    failing: Case | None = None

    @QUICK
    @given(fresh_cases(fit_.loss))
    def on_fresh_data(case: Case) -> None:
        nonlocal worst, failing
        wanted, got = fit_.total(case), fit_.loss.total(case)
        size = sum(abs(fit_.coefficient(part, case) * _sum(part.term, case)) for part in fit_.parts)
        error = abs(got - wanted) / max(size, 1e-6)
        if not error <= 10 * EXACT:
            failing = case
            raise AssertionError(f"{got!r} where {wanted!r} was fitted")
        worst = max(worst, error)

    try:
        on_fresh_data()
    except AssertionError as error:
        return NoFit(fit_.loss, f"what was fitted fails on fresh data: {error}", str(failing))
    return replace(fit_, error=worst)


def fresh_cases(
    loss: Loss, *, classes: tuple[int, int] = (3, 7), examples: tuple[int, int] = (2, 5)
) -> st.SearchStrategy[Case]:
    """Cases that Hypothesis draws, and shrinks towards small whole logits."""
    numbers = {
        "alpha": st.sampled_from([0.5, 0.25, 0.1, 0.9]) if loss.has("alpha") else st.just(0.3),
        "beta": st.sampled_from([0.5, 2.0, 0.25]) if loss.has("beta") else st.just(0.7),
        "tau": st.sampled_from([2.0, 3.0, 0.75, 8.0]) if loss.has("tau") else st.just(2.5),
    }

    @st.composite
    def cases(pick: Any) -> Case:
        n, k = pick(st.integers(*examples)), pick(st.integers(*classes))
        quarters = st.lists(st.integers(-16, 16), min_size=n * k, max_size=n * k)
        student, teacher = (np.array(pick(quarters)).reshape(n, k) / 4.0 for _ in range(2))
        labels = np.array(pick(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))
        return Case(
            student, teacher, labels, **{name: pick(each) for name, each in numbers.items()}
        )

    return cases()
