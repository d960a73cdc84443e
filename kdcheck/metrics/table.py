"""The one table of metrics, which engine, judge, command line and report read: one row each."""

# Shapes: N examples, K classes.

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from kdcheck import checks, theory
from kdcheck.errors import InputError
from kdcheck.metrics.posteriors import (
    Floats,
    agreement,
    as_array,
    brier,
    check_some,
    entropy_correlation,
    expected_calibration_error,
    of_label,
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a metric may see of one model on one split, checked; teacher and alpha where there are any.

    Raises:
        LogitError, LabelError, ShapeError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    >>> seen = Seen(logits_NK=np.array([[0.0, 0.0]]), labels_N=np.array([1]))
    >>> round(METRICS["nll_nats"].of(seen), 4)
    0.6931
    """

    logits_NK: npt.NDArray[Any]
    labels_N: npt.NDArray[Any]
    teacher_logits_NK: npt.NDArray[Any] | None = None
    """The teacher's on the same examples, in the same order."""
    alpha: float | None = None
    """Weight of the uniform distribution in the training labels, where they were smoothed."""
    temperature: float = 1.0
    """What all logits are divided by first."""
    who: str = "metrics"
    """How errors name the caller."""

    def __post_init__(self) -> None:
        checks.check_temperature(self.temperature, who=self.who)
        checks.check_logits(self.logits_NK, who=self.who)
        check_some(self.logits_NK, self.who)
        if self.teacher_logits_NK is not None:
            checks.check_logits(self.teacher_logits_NK, who=self.who, name="teacher")
            shapes = self.logits_NK.shape, self.teacher_logits_NK.shape
            checks.check_same_shape(*shapes, who=self.who, names=("logits", "teacher"))
        examples, classes = self.logits_NK.shape
        checks.check_labels(self.labels_N, examples=examples, classes=classes, who=self.who)

    @property
    def classes(self) -> int:
        """K."""
        return int(self.logits_NK.shape[1])

    # Computed once for all metrics of a look, and so not to be written to.

    @cached_property
    def log_p_NK(self) -> Floats:
        """Log posteriors of the model: those of vanishing probability stay finite."""
        return _log_softmax(self.logits_NK, self.temperature)

    @cached_property
    def p_NK(self) -> Floats:
        """Posteriors of the model."""
        return _unwritable(np.exp(self.log_p_NK))

    @cached_property
    def log_teacher_NK(self) -> Floats:
        """Log posteriors of the teacher."""
        return _log_softmax(_needed(self.teacher_logits_NK, "a teacher"), self.temperature)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A row of the table: how a statistic of one model on one split is computed, and what it means.

    >>> [name for name, metric in METRICS.items() if metric.asked_for]
    ['largest_entropy_nats', 'accuracy_over_majority']
    """

    of: Callable[[Seen], float]
    unit: str
    """``nats`` or ``fraction``."""
    low: float = 0.0
    high: Callable[[int], float]
    """Largest possible value for K classes."""
    better: str
    """``higher``, ``lower``, or ``neither``."""
    source: str
    needs: str = ""
    """``teacher`` or ``smoothing`` where only such runs have it."""
    seeded: bool = True
    """Whether a seed can change it; a closed form is the same for all."""
    asked_for: bool = False
    """Whether it is computed where a claim reads it alone: it follows from the task and the others."""

    @property
    def at_each_look(self) -> bool:
        """Whether every look at a run keeps it."""
        return not self.needs and not self.asked_for


METRICS: dict[str, Metric] = {
    "mean_entropy_nats": Metric(
        of=lambda seen: float(-(seen.p_NK * seen.log_p_NK).sum(axis=1).mean()),
        unit="nats", high=math.log, better="neither", source="Shannon 1948, section 6",
    ),
    "accuracy": Metric(
        of=lambda seen: float((seen.logits_NK.argmax(axis=1) == seen.labels_N).mean()),
        unit="fraction", high=lambda _: 1.0, better="higher", source="the 0-1 loss",
    ),
    "nll_nats": Metric(
        of=lambda seen: float(-of_label(seen.log_p_NK, seen.labels_N).mean()),
        unit="nats", high=lambda _: math.inf, better="lower", source="H(q, p) of Eqs. 1 and 2",
    ),
    "brier": Metric(
        of=lambda seen: brier(seen.p_NK, seen.labels_N),
        unit="fraction", high=lambda _: 2.0, better="lower", source="Brier 1950",
    ),
    "ece": Metric(
        of=lambda seen: expected_calibration_error(seen.p_NK, seen.labels_N),
        unit="fraction", high=lambda _: 1.0, better="lower", source="Guo et al. 2017, Eq. 3",
    ),
    "teacher_agreement": Metric(
        of=lambda seen: agreement(seen.p_NK, np.exp(seen.log_teacher_NK)),
        unit="fraction", high=lambda _: 1.0, better="neither", needs="teacher",
        source="fidelity, Stanton et al. 2021",
    ),
    "kl_from_teacher_nats": Metric(
        of=lambda seen: float(
            (np.exp(seen.log_teacher_NK) * (seen.log_teacher_NK - seen.log_p_NK)).sum(axis=1).mean()
        ),
        unit="nats", high=lambda _: math.inf, better="neither", needs="teacher",
        source="the soft term of Eq. 2",
    ),
    "entropy_correlation": Metric(
        of=lambda seen: entropy_correlation(seen.p_NK, np.exp(seen.log_teacher_NK)),
        unit="fraction", low=-1.0, high=lambda _: 1.0, better="neither", needs="teacher",
        source="Spearman 1904, of entropies",
    ),
    "largest_entropy_nats": Metric(
        of=lambda seen: math.log(seen.classes),
        unit="nats", high=math.log, better="neither", seeded=False, asked_for=True,
        source="the entropy of the uniform distribution, section 3",
    ),
    "accuracy_over_majority": Metric(
        of=lambda seen: float(
            (seen.logits_NK.argmax(axis=1) == seen.labels_N).mean()
            - np.bincount(seen.labels_N, minlength=seen.classes).max() / len(seen.labels_N)
        ),
        unit="fraction", low=-1.0, high=lambda _: 1.0, better="higher", asked_for=True,
        source="what naming the commonest class gives",
    ),
    "smoothing_floor_nats": Metric(
        of=lambda seen: theory.smoothing_entropy_floor(
            _needed(seen.alpha, "smoothed labels"), seen.classes
        ),
        unit="nats", high=math.log, better="neither", needs="smoothing", seeded=False,
        source="the minimiser of Eq. 1",
    ),
}  # fmt: skip
"""Every metric that a claim can read, by name."""
SHIPPED = frozenset(METRICS)


def add(name: str, metric: Metric) -> None:
    """Add a metric of your own to the table, from a file of claims, say.

    Args:
        name: what claims read it by.
        metric: its row; :class:`Seen` says what it may see.

    Raises:
        InputError: the name of a metric that kdcheck has.

    Source: docs/guides/add-a-claim.md.

    >>> add("confidence", Metric(of=lambda seen: float(seen.p_NK.max(axis=1).mean()),
    ...     unit="fraction", high=lambda classes: 1.0, better="neither", source="max p"))
    >>> METRICS.pop("confidence").of(Seen(logits_NK=np.zeros((1, 4)), labels_N=np.array([0])))
    0.25
    """
    if name in SHIPPED:
        step = "Pick another: verdicts on stored runs rest on it."
        raise InputError("metrics.add", f"the name {name!r}, which is taken", "a new name", step)
    METRICS[name] = metric


def summary(logits_NK: npt.ArrayLike, labels_N: npt.ArrayLike) -> dict[str, float]:
    """Every metric of the table that each look at a run keeps, from logits.

    Args:
        logits_NK: shape (N, K), finite, at least one row.
        labels_N: class ids, integers of shape (N,).

    Returns:
        Value by name in :data:`METRICS`.

    Raises:
        LogitError, LabelError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: each row of the table names its own.

    >>> list(summary([[0.0, 0.0]], [0]))
    ['mean_entropy_nats', 'accuracy', 'nll_nats', 'brier', 'ece']
    """
    who = "summary"
    logits_NK, labels_N = as_array(logits_NK, who, "logits"), as_array(labels_N, who, "labels")
    seen = Seen(logits_NK=logits_NK, labels_N=labels_N, who=who)
    return {name: metric.of(seen) for name, metric in METRICS.items() if metric.at_each_look}


def _log_softmax(logits_NK: npt.NDArray[Any], temperature: float) -> Floats:
    scaled_NK = logits_NK.astype(np.float64) / temperature
    shifted_NK = scaled_NK - scaled_NK.max(axis=1, keepdims=True)
    log_p_NK: Floats = shifted_NK - np.log(np.exp(shifted_NK).sum(axis=1, keepdims=True))
    return _unwritable(log_p_NK)


def _unwritable(values: Floats) -> Floats:
    values.setflags(write=False)
    return values


def _needed(value: Any, what: str) -> Any:
    if value is None:
        wanted = f"a run with {what}"
        raise InputError("metrics", f"a run without {what}", wanted, "Read another metric of it.")
    return value
