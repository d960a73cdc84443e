"""Metrics of a set of posteriors, and the one table of them that everything else reads.

Each function takes posteriors of shape (N, K), as an array or a tensor on the CPU, and returns a
Python float computed in float64; entropies, divergences and likelihoods are in nats, accuracies are
fractions. :data:`METRICS` names them for the engine, the judge, the command line and the report: a
new metric is a function and a row.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kdcheck import checks, theory
from kdcheck.errors import InputError, ParameterError

Floats = npt.NDArray[np.float64]

__all__ = [
    "METRICS",
    "Metric",
    "Seen",
    "accuracy",
    "add",
    "agreement",
    "brier",
    "expected_calibration_error",
    "mean_entropy",
    "mean_kl_from_teacher",
    "nll",
    "summary",
]


def mean_entropy(posteriors_NK: npt.ArrayLike) -> float:
    """Mean over examples of each example's entropy, in nats; not the entropy of the mean posterior.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1, at least one row.

    Returns:
        Between 0 and log K.

    Raises:
        PosteriorError: rows that are not distributions.
        InputError: no rows.

    Source: Shannon 1948, section 6, averaged over examples.

    >>> mean_entropy([[1.0, 0.0], [0.0, 1.0]])
    0.0
    """
    p_NK = _posteriors(posteriors_NK, "mean_entropy")
    return float(-_xlogy(p_NK, p_NK).sum(axis=1).mean()) + 0.0


def accuracy(posteriors_NK: npt.ArrayLike, labels_N: npt.ArrayLike) -> float:
    """Share of examples whose most probable class is the label; the first class wins a tie.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1, at least one row.
        labels_N: class ids, integers of shape (N,).

    Returns:
        A fraction, 0 to 1.

    Raises:
        PosteriorError, LabelError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: the 0-1 loss, one minus its mean.

    >>> accuracy([[0.9, 0.1], [0.5, 0.5]], [0, 1])
    0.5
    """
    p_NK, labels_N = _labelled(posteriors_NK, labels_N, "accuracy")
    return float((p_NK.argmax(axis=1) == labels_N).mean())


def nll(posteriors_NK: npt.ArrayLike, labels_N: npt.ArrayLike) -> float:
    """Mean negative log-likelihood of the labels, in nats: the mean of -log p_y.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1, at least one row.
        labels_N: class ids, integers of shape (N,).

    Returns:
        At least 0; infinite where a label has probability 0.

    Raises:
        PosteriorError, LabelError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: H(q, p) of Eqs. 1 and 2 on unseen data; the tie-break of model selection.

    >>> round(nll([[0.5, 0.5]], [1]), 4)
    0.6931
    """
    p_NK, labels_N = _labelled(posteriors_NK, labels_N, "nll")
    with np.errstate(divide="ignore"):
        return float(-np.log(_of_label(p_NK, labels_N)).mean())


def brier(posteriors_NK: npt.ArrayLike, labels_N: npt.ArrayLike) -> float:
    """Mean squared distance of posterior and one-hot label: the mean of sum_k (p_k - q_k)^2.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1, at least one row.
        labels_N: class ids, integers of shape (N,).

    Returns:
        Between 0 and 2. (For two classes this is twice the form that scores one class alone.)

    Raises:
        PosteriorError, LabelError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: Brier 1950, the sum over all classes.

    >>> brier([[0.5, 0.5]], [1])
    0.5
    """
    p_NK, labels_N = _labelled(posteriors_NK, labels_N, "brier")
    one_hot_NK = np.eye(p_NK.shape[1])[labels_N]
    return float(((p_NK - one_hot_NK) ** 2).sum(axis=1).mean())


def expected_calibration_error(
    posteriors_NK: npt.ArrayLike, labels_N: npt.ArrayLike, *, bins: int = 15
) -> float:
    """Expected calibration error: sum over bins of (share of examples) |accuracy - confidence|.

    Confidence is max_k p_k. Bins are of equal width over (0, 1], closed on the right: with 10 bins
    a confidence of exactly 0.7 falls in (0.6, 0.7].

    Args:
        posteriors_NK: shape (N, K), rows sum to 1, at least one row.
        labels_N: class ids, integers of shape (N,).
        bins: number of bins, at least 1.

    Returns:
        Between 0 and 1.

    Raises:
        PosteriorError, LabelError: see :mod:`kdcheck.checks`.
        InputError: no rows.
        ParameterError: fewer than one bin.

    Source: Guo et al. 2017, Eq. 3, with their 15 bins.

    >>> round(expected_calibration_error([[0.9, 0.1]], [0]), 4)
    0.1
    """
    who = "expected_calibration_error"
    p_NK, labels_N = _labelled(posteriors_NK, labels_N, who)
    if not isinstance(bins, int) or bins < 1:
        wanted = "an integer of at least 1"
        raise ParameterError(f"{who}, bins", repr(bins), wanted, "15 is usual.")
    confidence_N = p_NK.max(axis=1)
    correct_N = p_NK.argmax(axis=1) == labels_N
    edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    bin_N = np.searchsorted(edges, confidence_N, side="left")
    gap_per_bin = np.bincount(bin_N, weights=correct_N - confidence_N, minlength=bins)
    return float(np.abs(gap_per_bin).sum() / len(correct_N))


def agreement(posteriors_NK: npt.ArrayLike, teacher_NK: npt.ArrayLike) -> float:
    """Share of examples on which model and teacher have the same most probable class.

    Args:
        posteriors_NK: the model's, shape (N, K), rows sum to 1, at least one row.
        teacher_NK: the teacher's, shape (N, K), rows sum to 1.

    Returns:
        A fraction, 0 to 1; the first class wins a tie on either side.

    Raises:
        PosteriorError, ShapeError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: fidelity, Stanton et al. 2021.

    >>> agreement([[0.9, 0.1]], [[0.6, 0.4]])
    1.0
    """
    p_NK, teacher_NK = _taught(posteriors_NK, teacher_NK, "agreement")
    return float((p_NK.argmax(axis=1) == teacher_NK.argmax(axis=1)).mean())


def mean_kl_from_teacher(posteriors_NK: npt.ArrayLike, teacher_NK: npt.ArrayLike) -> float:
    """Mean of D_KL(p^t, p) over examples, in nats.

    Args:
        posteriors_NK: the model's p, shape (N, K), rows sum to 1, at least one row.
        teacher_NK: the teacher's p^t, shape (N, K), rows sum to 1.

    Returns:
        At least 0 up to rounding; infinite where p is 0 and p^t is not.

    Raises:
        PosteriorError, ShapeError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: the soft term of Eq. 2 on unseen data.

    >>> mean_kl_from_teacher([[0.5, 0.5]], [[0.5, 0.5]])
    0.0
    """
    p_NK, teacher_NK = _taught(posteriors_NK, teacher_NK, "mean_kl_from_teacher")
    terms_NK = _xlogy(teacher_NK, teacher_NK) - _xlogy(teacher_NK, p_NK)
    return float(terms_NK.sum(axis=1).mean())


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
        _check_some(self.logits_NK, self.who)
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

    @property
    def log_p_NK(self) -> Floats:
        """Log posteriors of the model: those of vanishing probability stay finite."""
        return _log_softmax(self.logits_NK, self.temperature)

    @property
    def log_teacher_NK(self) -> Floats:
        """Log posteriors of the teacher."""
        return _log_softmax(_needed(self.teacher_logits_NK, "a teacher"), self.temperature)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A row of the table: how a statistic of one model on one split is computed, and what it means."""

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


METRICS: dict[str, Metric] = {
    "mean_entropy_nats": Metric(
        of=lambda seen: float(-(np.exp(seen.log_p_NK) * seen.log_p_NK).sum(axis=1).mean()),
        unit="nats", high=math.log, better="neither", source="Shannon 1948, section 6",
    ),
    "accuracy": Metric(
        of=lambda seen: float((seen.logits_NK.argmax(axis=1) == seen.labels_N).mean()),
        unit="fraction", high=lambda _: 1.0, better="higher", source="the 0-1 loss",
    ),
    "nll_nats": Metric(
        of=lambda seen: float(-_of_label(seen.log_p_NK, seen.labels_N).mean()),
        unit="nats", high=lambda _: math.inf, better="lower", source="H(q, p) of Eqs. 1 and 2",
    ),
    "brier": Metric(
        of=lambda seen: brier(np.exp(seen.log_p_NK), seen.labels_N),
        unit="fraction", high=lambda _: 2.0, better="lower", source="Brier 1950",
    ),
    "ece": Metric(
        of=lambda seen: expected_calibration_error(np.exp(seen.log_p_NK), seen.labels_N),
        unit="fraction", high=lambda _: 1.0, better="lower", source="Guo et al. 2017, Eq. 3",
    ),
    "teacher_agreement": Metric(
        of=lambda seen: agreement(np.exp(seen.log_p_NK), np.exp(seen.log_teacher_NK)),
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

    >>> add("confidence", Metric(of=lambda seen: float(np.exp(seen.log_p_NK).max(axis=1).mean()),
    ...     unit="fraction", high=lambda classes: 1.0, better="neither", source="max p"))
    >>> METRICS.pop("confidence").of(Seen(logits_NK=np.zeros((1, 4)), labels_N=np.array([0])))
    0.25
    """
    if name in SHIPPED:
        step = "Pick another: verdicts on stored runs rest on it."
        raise InputError("metrics.add", f"the name {name!r}, which is taken", "a new name", step)
    METRICS[name] = metric


def summary(logits_NK: npt.ArrayLike, labels_N: npt.ArrayLike) -> dict[str, float]:
    """Every metric of the table that needs neither teacher nor smoothing, from logits.

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
    logits_NK, labels_N = _array(logits_NK, who, "logits"), _array(labels_N, who, "labels")
    seen = Seen(logits_NK=logits_NK, labels_N=labels_N, who=who)
    return {name: metric.of(seen) for name, metric in METRICS.items() if not metric.needs}


def _log_softmax(logits_NK: npt.NDArray[Any], temperature: float) -> Floats:
    scaled_NK = logits_NK.astype(np.float64) / temperature
    shifted_NK = scaled_NK - scaled_NK.max(axis=1, keepdims=True)
    log_p_NK: Floats = shifted_NK - np.log(np.exp(shifted_NK).sum(axis=1, keepdims=True))
    return log_p_NK


def _xlogy(weights_NK: Floats, p_NK: Floats) -> Floats:
    """Weights times log p, with 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms_NK: Floats = np.where(weights_NK == 0.0, 0.0, weights_NK * np.log(p_NK))
    return terms_NK


def _of_label(values_NK: Floats, labels_N: npt.NDArray[Any]) -> Floats:
    values_N: Floats = values_NK[np.arange(len(labels_N)), labels_N]
    return values_N


def _needed(value: Any, what: str) -> Any:
    if value is None:
        wanted = f"a run with {what}"
        raise InputError("metrics", f"a run without {what}", wanted, "Read another metric of it.")
    return value


def _array(values: npt.ArrayLike, who: str, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except (TypeError, RuntimeError) as error:  # a tensor with a gradient, on a GPU, in bfloat16
        wanted = "an array, or a tensor that numpy can read"
        step = "Pass values.detach().cpu(); posteriors in bfloat16 come from logits in float32."
        raise InputError(f"{who}, {name}", str(error), wanted, step) from error


def _posteriors(posteriors_NK: npt.ArrayLike, who: str, name: str = "posteriors") -> Floats:
    values_NK = _array(posteriors_NK, who, name)
    checks.check_posteriors(values_NK, who=who, name=name)
    _check_some(values_NK, who)
    return values_NK.astype(np.float64)


def _labelled(
    posteriors_NK: npt.ArrayLike, labels_N: npt.ArrayLike, who: str
) -> tuple[Floats, npt.NDArray[Any]]:
    p_NK, found_N = _posteriors(posteriors_NK, who), _array(labels_N, who, "labels")
    checks.check_labels(found_N, examples=p_NK.shape[0], classes=p_NK.shape[1], who=who)
    return p_NK, found_N


def _taught(
    posteriors_NK: npt.ArrayLike, teacher_NK: npt.ArrayLike, who: str
) -> tuple[Floats, Floats]:
    p_NK = _posteriors(posteriors_NK, who)
    teacher_p_NK = _posteriors(teacher_NK, who, "teacher")
    names = ("posteriors", "teacher")
    checks.check_same_shape(p_NK.shape, teacher_p_NK.shape, who=who, names=names)
    return p_NK, teacher_p_NK


def _check_some(rows_NK: npt.NDArray[Any], who: str) -> None:
    if rows_NK.shape[0] == 0:
        wanted = "at least one example"
        raise InputError(who, "no rows", wanted, "A mean over nothing is no number.")
