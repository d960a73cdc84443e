"""Does a metric that others wrote measure what its name says? Cases whose answer is known by hand."""

# N examples, K classes

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from kdcheck.conform.results import CheckResult, Report, Status
from kdcheck.errors import ParameterError, brief

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Metric = Callable[..., Any]
"""``metric(posteriors_NK)`` for an entropy, ``metric(posteriors_NK, labels_N)`` for the others; a number."""
Kind = Literal["mean_entropy", "accuracy", "nll", "brier", "expected_calibration_error"]

CLASSES = 4
BINS = 15
AGREES = 1e-6
"""Between a metric and its answer by hand: float32 over a hundred examples."""


class Case:
    """A metric with random posteriors and labels to ask it about.

    Args:
        metric: under check.
        kind: what it claims to be.
        seed: of posteriors and labels.
    """

    def __init__(self, metric: Metric, kind: Kind, seed: int) -> None:
        self.kind = kind
        self._metric = metric
        self.rng = np.random.default_rng(seed)
        self.examples = 2 * int(self.rng.integers(10, 60)) + 1  # no multiple of a batch
        self.posteriors_NK = self.rng.dirichlet(np.full(CLASSES, 0.7), size=self.examples)
        self.labels_N = self.rng.integers(CLASSES, size=self.examples)

    def of(self, posteriors_NK: Floats, labels_N: Ints) -> float:
        """What the metric says."""
        answer = self._metric(
            *((posteriors_NK,) if self.kind == "mean_entropy" else (posteriors_NK, labels_N))
        )
        return float(answer)

    def apart(self, posteriors_NK: Floats, labels_N: Ints, wanted: float) -> str | None:
        """What is wrong, if the metric does not say what it should."""
        got = self.of(posteriors_NK, labels_N)
        return None if abs(got - wanted) <= AGREES else f"got {got:.6g}, by hand it is {wanted:.6g}"

    def certain(self, classes_N: Ints) -> Floats:
        """Posteriors that are certain of these classes."""
        return np.eye(CLASSES)[classes_N]


def order_of_examples_does_not_matter(case: Case) -> str | None:
    """Examples in another order have the same value."""
    order = case.rng.permutation(case.examples)
    wanted = case.of(case.posteriors_NK, case.labels_N)
    return case.apart(case.posteriors_NK[order], case.labels_N[order], wanted)


def numbers_of_classes_do_not_matter(case: Case) -> str | None:
    """Classes under other numbers have the same value."""
    new = case.rng.permutation(CLASSES)
    wanted = case.of(case.posteriors_NK, case.labels_N)
    return case.apart(case.posteriors_NK[:, np.argsort(new)], new[case.labels_N], wanted)


def all_examples_twice_change_nothing(case: Case) -> str | None:
    """It is a mean over examples, not a sum."""
    twice_NK, labels_N = np.tile(case.posteriors_NK, (2, 1)), np.tile(case.labels_N, 2)
    return case.apart(twice_NK, labels_N, case.of(case.posteriors_NK, case.labels_N))


def unequal_parts_average_by_their_size(case: Case) -> str | None:
    """Each example counts the same: the whole is the mean of its parts, weighed by their examples."""
    cut = 1 + case.examples // 3
    parts = [
        case.of(case.posteriors_NK[part], case.labels_N[part])
        for part in (slice(cut), slice(cut, None))
    ]
    wanted = (cut * parts[0] + (case.examples - cut) * parts[1]) / case.examples
    return case.apart(case.posteriors_NK, case.labels_N, wanted)


def uniform_posteriors_give_log_k(case: Case) -> str | None:
    """Of uniform posteriors it is log K in nats: 1.3863 for four classes, not 2 bits and not 1."""
    uniform_NK = np.full((case.examples, CLASSES), 1 / CLASSES)
    return case.apart(uniform_NK, case.labels_N, math.log(CLASSES))


def certain_posteriors_give_0(case: Case) -> str | None:
    """Of posteriors that are certain, each of another class, the entropy is 0."""
    return case.apart(case.certain(case.labels_N), case.labels_N, 0.0)


def a_known_entropy(case: Case) -> str | None:
    """One row of a half and two quarters has an entropy of 1.5 log 2."""
    row_K = np.zeros(CLASSES)
    row_K[case.rng.permutation(CLASSES)[:3]] = 0.5, 0.25, 0.25
    return case.apart(np.tile(row_K, (3, 1)), case.labels_N[:3], 1.5 * math.log(2))


def right_share_is_the_share(case: Case) -> str | None:
    """Certain and right on a known number of examples: accuracy is their share."""
    right = int(case.rng.integers(1, case.examples))
    said_N = case.labels_N.copy()
    said_N[right:] = (said_N[right:] + 1) % CLASSES
    return case.apart(case.certain(said_N), case.labels_N, right / case.examples)


def a_known_likelihood(case: Case) -> str | None:
    """Where each label has a quarter and another class a half, the negative log-likelihood is log 4."""
    rows = np.arange(case.examples)
    posteriors_NK = np.full((case.examples, CLASSES), 0.25 / (CLASSES - 2))
    posteriors_NK[rows, case.labels_N] = 0.25
    posteriors_NK[rows, (case.labels_N + 1) % CLASSES] = 0.5
    return case.apart(posteriors_NK, case.labels_N, math.log(4))


def certain_and_wrong_gives_2(case: Case) -> str | None:
    """The score sums over all classes: certain and wrong is 2, not 1."""
    return case.apart(case.certain((case.labels_N + 1) % CLASSES), case.labels_N, 2.0)


def _confident(
    case: Case, confidences: Floats, right: npt.NDArray[np.bool_]
) -> tuple[Floats, Ints]:
    """Posteriors with these confidences, above a half, that are right or wrong as told."""
    labels_N = case.rng.integers(CLASSES, size=len(confidences))
    said_N = np.where(right, labels_N, (labels_N + 1) % CLASSES)
    rest_N = (1 - confidences) / (CLASSES - 1)
    posteriors_NK = np.tile(rest_N[:, None], (1, CLASSES))
    posteriors_NK[np.arange(len(confidences)), said_N] = confidences
    return posteriors_NK, labels_N


def calibrated_posteriors_give_0(case: Case) -> str | None:
    """Confident to three quarters and right three times of four: nothing is out of calibration."""
    times = int(case.rng.integers(2, 20))
    right = np.tile([True, True, True, False], times)
    return case.apart(*_confident(case, np.full(4 * times, 0.75), right), 0.0)


def a_certain_error_gives_1(case: Case) -> str | None:
    """Always certain and always wrong is as far out of calibration as can be; the last bin counts."""
    wrong_N = (case.labels_N + 1) % CLASSES
    return case.apart(case.certain(wrong_N), case.labels_N, 1.0)


def bins_weigh_by_their_examples(case: Case) -> str | None:
    """A bin with nine times as many examples weighs nine times as much."""
    many = 9 * int(case.rng.integers(2, 9))
    few = many // 9
    confidences = np.array([0.9] * many + [0.7] * few)
    gap = (many * 0.1 + few * 0.7) / (many + few)
    return case.apart(*_confident(case, confidences, confidences > 0.8), gap)


def neighbouring_bins_are_kept_apart(case: Case) -> str | None:
    """Below an edge always right, above it always wrong: with 15 bins the gaps do not cancel out."""
    pairs = [(edge / BINS - 1e-4, edge / BINS + 1e-4) for edge in range(9, BINS)]
    return _of_pairs(case, pairs, lambda low, high: (1 - low + high) / 2)


def one_bin_is_one_bin(case: Case) -> str | None:
    """Just above an edge always right, just below the next always wrong: with 15 bins gaps cancel out."""
    pairs = [(edge / BINS + 1e-4, (edge + 1) / BINS - 1e-4) for edge in range(8, BINS)]
    return _of_pairs(case, pairs, lambda low, high: abs(1 - low - high) / 2)


def _of_pairs(
    case: Case, pairs: list[tuple[float, float]], by_hand: Callable[[float, float], float]
) -> str | None:
    """The first pair of confidences, right and wrong, for which the answer is another than by hand."""
    right = np.array([True, False])
    found = (case.apart(*_confident(case, np.array(pair), right), by_hand(*pair)) for pair in pairs)
    return next(filter(None, found), None)


Property = Callable[[Case], str | None]
_ALL = (order_of_examples_does_not_matter, numbers_of_classes_do_not_matter)
_MEANS = (*_ALL, all_examples_twice_change_nothing, unequal_parts_average_by_their_size)
PROPERTIES: dict[Kind, tuple[Property, ...]] = {
    "mean_entropy": (
        *_MEANS,
        uniform_posteriors_give_log_k,
        certain_posteriors_give_0,
        a_known_entropy,
    ),
    "accuracy": (*_MEANS, right_share_is_the_share),
    "nll": (*_MEANS, uniform_posteriors_give_log_k, a_known_likelihood),
    "brier": (*_MEANS, certain_and_wrong_gives_2),
    "expected_calibration_error": (
        *_ALL,
        all_examples_twice_change_nothing,
        calibrated_posteriors_give_0,
        a_certain_error_gives_1,
        bins_weigh_by_their_examples,
        neighbouring_bins_are_kept_apart,
        one_bin_is_one_bin,
    ),
}


def check_metric(metric: Metric, kind: Kind, *, seed: int = 0) -> Report:
    """Whether a metric of posteriors is the one that its name says.

    Args:
        metric: ``metric(posteriors_NK)`` for a mean entropy, else ``metric(posteriors_NK, labels_N)``;
            posteriors are a float64 array of shape (N, K), labels integers of shape (N,).
        kind: ``mean_entropy`` or ``nll`` (nats), ``accuracy`` (a fraction), ``brier`` (summed over
            classes) or ``expected_calibration_error`` (15 bins of equal width, weighed by their examples).
        seed: of posteriors and labels.

    Returns:
        A report; its exit code is 1 if a check failed.

    Raises:
        ParameterError: a kind that is not known.

    Source: the definitions in :mod:`kdcheck.metrics`.

    >>> bits = lambda p_NK: -(p_NK * np.log2(p_NK.clip(1e-12))).sum(axis=1).mean()
    >>> check_metric(bits, "mean_entropy").verdict
    'not mean_entropy: uniform_posteriors_give_log_k, a_known_entropy'
    """
    if kind not in PROPERTIES:
        wanted = f"one of {', '.join(get_args(Kind))}"
        step = "Name what the metric claims to be."
        raise ParameterError("check_metric, kind", repr(kind), wanted, step)
    results = tuple(_result(each, Case(metric, kind, seed)) for each in PROPERTIES[kind])
    failed = [each.name for each in results if each.status is Status.FAILED]
    verdict = f"not {kind}: {', '.join(failed)}" if failed else f"{kind}, by all checks"
    return Report(subject=getattr(metric, "__name__", kind), verdict=verdict, results=results)


def _result(check: Property, case: Case) -> CheckResult:
    try:
        with np.errstate(divide="ignore", invalid="ignore"):  # NaN is told by the answer
            wrong = check(case)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's metric raises is its failure
        wrong = f"It ended in {brief(error)}"
    status = Status.FAILED if wrong else Status.PASSED
    says = (check.__doc__ or "").partition("\n")[0]
    return CheckResult(name=check.__name__, says=says, status=status, detail=wrong or "")
