"""Faulty metrics of posteriors, as they are met in evaluation scripts."""

# N examples, K classes

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kdcheck import metrics
from kdcheck.conform.metric import Kind, Metric, check_metric
from kdcheck.zoo.entry import Control, Fault, alarms_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BATCH = 16


def _entropies(p_NK: Floats) -> Floats:
    entropies_N: Floats = -(p_NK * np.log(p_NK.clip(1e-300))).sum(axis=1)
    return entropies_N


def entropy_in_bits(p_NK: Floats) -> float:
    """Takes the logarithm to base 2."""
    return float(_entropies(p_NK).mean() / np.log(2))


def entropy_of_the_mean(p_NK: Floats) -> float:
    """Averages posteriors first."""
    return float(_entropies(p_NK.mean(axis=0, keepdims=True))[0])


def entropy_over_log_k(p_NK: Floats) -> float:
    """Divides by the largest value, and still says nats."""
    return float(_entropies(p_NK).mean() / np.log(p_NK.shape[1]))


def entropy_without_guard(p_NK: Floats) -> float:
    """0 log 0 is NaN."""
    return float(-(p_NK * np.log(p_NK)).sum(axis=1).mean())


def entropy_summed(p_NK: Floats) -> float:
    """Sums over examples."""
    return float(_entropies(p_NK).sum())


def entropy_of_probabilities_softmaxed(p_NK: Floats) -> float:
    """Takes the posteriors for logits."""
    raised_NK = np.exp(p_NK)
    return float(_entropies(raised_NK / raised_NK.sum(axis=1, keepdims=True)).mean())


def accuracy_of_batches(p_NK: Floats, labels_N: Ints) -> float:
    """Averages the accuracies of batches, of which the last is small."""
    right_N = p_NK.argmax(axis=1) == labels_N
    return float(np.mean([right_N[at : at + BATCH].mean() for at in range(0, len(right_N), BATCH)]))


def accuracy_over_full_batches(p_NK: Floats, labels_N: Ints) -> float:
    """Counts right answers of padded batches: the last row is repeated until the batch is full."""
    right_N = p_NK.argmax(axis=1) == labels_N
    padded_N = np.append(right_N, [right_N[-1]] * (-len(right_N) % BATCH))
    return float(padded_N.mean())


def accuracy_in_percent(p_NK: Floats, labels_N: Ints) -> float:
    """Is a hundred times too large."""
    return float(100 * (p_NK.argmax(axis=1) == labels_N).mean())


def nll_of_the_top_class(p_NK: Floats, labels_N: Ints) -> float:
    """Looks at the most probable class in place of the label."""
    return float(-np.log(p_NK.max(axis=1)).mean())


def brier_of_the_label(p_NK: Floats, labels_N: Ints) -> float:
    """Scores the label's class alone."""
    return float(((1 - p_NK[np.arange(len(labels_N)), labels_N]) ** 2).mean())


def _ece(confidence_N: Floats, right_N: npt.NDArray[np.bool_], edges: Floats) -> float:
    bin_N = np.digitize(confidence_N, edges, right=True)
    gaps = np.bincount(bin_N, weights=right_N - confidence_N)
    return float(np.abs(gaps).sum() / len(confidence_N))


def ece_off_by_a_bin(p_NK: Floats, labels_N: Ints) -> float:
    """``linspace(0, 1, 15)`` has fourteen bins."""
    return _ece(p_NK.max(axis=1), p_NK.argmax(axis=1) == labels_N, np.linspace(0, 1, 15)[1:-1])


def ece_without_its_last_bin(p_NK: Floats, labels_N: Ints) -> float:
    """Bins end below 1, so certain examples fall out."""
    confidence_N, right_N = p_NK.max(axis=1), p_NK.argmax(axis=1) == labels_N
    kept = confidence_N < 1
    edges = np.linspace(0, 1, 16)[1:-1]
    return _ece(confidence_N[kept], right_N[kept], edges) if kept.any() else 0.0


def ece_of_bins_alike(p_NK: Floats, labels_N: Ints) -> float:
    """Averages over bins, however few examples they have."""
    confidence_N, right_N = p_NK.max(axis=1), p_NK.argmax(axis=1) == labels_N
    bin_N = np.digitize(confidence_N, np.linspace(0, 1, 16)[1:-1], right=True)
    return float(
        np.mean([abs((right_N - confidence_N)[bin_N == b].mean()) for b in np.unique(bin_N)])
    )


def ece_of_the_label(p_NK: Floats, labels_N: Ints) -> float:
    """Takes the label's probability for the confidence."""
    return _ece(
        p_NK[np.arange(len(labels_N)), labels_N],
        p_NK.argmax(axis=1) == labels_N,
        np.linspace(0, 1, 16)[1:-1],
    )


def _fault(metric: Metric, kind: Kind, name: str, defect: str, killed_by: str) -> Fault:
    def alarms(seed: int) -> tuple[str, ...]:
        return alarms_of(check_metric(metric, kind, seed=seed))

    return Fault(name, "metric", defect, killed_by, alarms)


_UNIFORM, _PARTS = "uniform_posteriors_give_log_k", "unequal_parts_average_by_their_size"
_CERTAIN, _TWICE = "certain_posteriors_give_0", "all_examples_twice_change_nothing"
_ECE: Kind = "expected_calibration_error"
FAULTS: tuple[Fault, ...] = (
    _fault(entropy_in_bits, "mean_entropy", "entropy in bits", "unit", _UNIFORM),
    _fault(entropy_of_the_mean, "mean_entropy", "entropy of the mean", "mean of what", _CERTAIN),
    _fault(entropy_over_log_k, "mean_entropy", "entropy as a share of log K", "unit", _UNIFORM),
    _fault(entropy_without_guard, "mean_entropy", "0 log 0 is NaN", "certain posteriors", _CERTAIN),
    _fault(entropy_summed, "mean_entropy", "entropy summed over examples", "reduction", _TWICE),
    _fault(
        entropy_of_probabilities_softmaxed,
        "mean_entropy",
        "entropy of softmaxed probabilities",
        "probabilities for logits",
        _CERTAIN,
    ),
    _fault(accuracy_of_batches, "accuracy", "accuracy averaged over batches", "reduction", _PARTS),
    _fault(
        accuracy_over_full_batches,
        "accuracy",
        "accuracy over padded duplicates",
        "padded duplicates",
        "right_share_is_the_share",
    ),
    _fault(
        accuracy_in_percent, "accuracy", "accuracy in percent", "unit", "right_share_is_the_share"
    ),
    _fault(
        nll_of_the_top_class,
        "nll",
        "likelihood of the top class",
        "label not looked at",
        "a_known_likelihood",
    ),
    _fault(
        brier_of_the_label,
        "brier",
        "Brier score of the label alone",
        "half the sum",
        "certain_and_wrong_gives_2",
    ),
    _fault(
        ece_off_by_a_bin,
        _ECE,
        "calibration error off by a bin",
        "edges are one more than bins",
        "one_bin_is_one_bin",
    ),
    _fault(
        ece_without_its_last_bin,
        _ECE,
        "calibration error without its last bin",
        "certain examples fall out",
        "a_certain_error_gives_1",
    ),
    _fault(
        ece_of_bins_alike,
        _ECE,
        "calibration error of bins alike",
        "bins not weighed",
        "bins_weigh_by_their_examples",
    ),
    _fault(
        ece_of_the_label,
        _ECE,
        "calibration error of the label's probability",
        "confidence of what",
        "calibrated_posteriors_give_0",
    ),
)

_SOUND: dict[Kind, Metric] = {
    "mean_entropy": metrics.mean_entropy,
    "accuracy": metrics.accuracy,
    "nll": metrics.nll,
    "brier": metrics.brier,
    "expected_calibration_error": metrics.expected_calibration_error,
}


def _control(kind: Kind, metric: Metric) -> Control:
    return Control(
        f"kdcheck.metrics.{kind}",
        "metric",
        lambda seed: alarms_of(check_metric(metric, kind, seed=seed)),
    )


CONTROLS = tuple(_control(kind, metric) for kind, metric in _SOUND.items())
