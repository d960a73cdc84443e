"""Metrics of a set of posteriors, computed in float64.

Each takes posteriors of shape (N, K), as an array or a tensor on the CPU, and returns a Python float;
entropies, divergences and likelihoods are in nats, accuracies are fractions.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kdcheck import checks
from kdcheck.errors import InputError, ParameterError

Floats = npt.NDArray[np.float64]


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
        return float(-np.log(of_label(p_NK, labels_N)).mean())


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


def entropy_correlation(posteriors_NK: npt.ArrayLike, teacher_NK: npt.ArrayLike) -> float:
    """Spearman's rank correlation, over examples, of the model's entropies and the teacher's.

    1 where the model ranks the examples, from the surest to the least sure, as its teacher does; ranks
    of entropies in nats, or in any other unit.

    Args:
        posteriors_NK: the model's, shape (N, K), rows sum to 1, at least two rows.
        teacher_NK: the teacher's, shape (N, K), rows sum to 1.

    Returns:
        Between -1 and 1; equal entropies share their mean rank.

    Raises:
        PosteriorError, ShapeError: see :mod:`kdcheck.checks`.
        InputError: no rows, or one entropy for all examples, which ranks none of them.

    Source: Spearman 1904, of the entropies of section 4 example by example.

    >>> entropy_correlation([[0.5, 0.5], [0.9, 0.1]], [[0.6, 0.4], [1.0, 0.0]])
    1.0
    """
    who = "entropy_correlation"
    p_NK, teacher_NK = _taught(posteriors_NK, teacher_NK, who)
    model_N, teacher_N = (_mean_ranks(-_xlogy(q, q).sum(axis=1)) for q in (p_NK, teacher_NK))
    for name, ranks_N in (("the model", model_N), ("the teacher", teacher_N)):
        if not ranks_N.any():
            got, wanted = f"one entropy of {name} for all examples", "entropies that differ"
            raise InputError(who, got, wanted, "Equal entropies have no order to compare.")
    return float(model_N @ teacher_N / np.sqrt((model_N @ model_N) * (teacher_N @ teacher_N)))


def _mean_ranks(values_N: Floats) -> Floats:
    """Ranks about their mean; equal values share the mean of theirs."""
    _, place_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    ranks_N: Floats = rank[place_N] - (len(values_N) + 1) / 2
    return ranks_N


def of_label(values_NK: Floats, labels_N: npt.NDArray[Any]) -> Floats:
    """The value of each row's own label, shape (N,)."""
    values_N: Floats = values_NK[np.arange(len(labels_N)), labels_N]
    return values_N


def as_array(values: npt.ArrayLike, who: str, name: str) -> npt.NDArray[Any]:
    """What numpy reads, or an error that says how to make it readable."""
    try:
        return np.asarray(values)
    except (TypeError, RuntimeError) as error:  # a tensor with a gradient, on a GPU, in bfloat16
        wanted = "an array, or a tensor that numpy can read"
        step = "Pass values.detach().cpu(); posteriors in bfloat16 come from logits in float32."
        raise InputError(f"{who}, {name}", str(error), wanted, step) from error


def check_some(rows_NK: npt.NDArray[Any], who: str) -> None:
    """Refuse a mean over nothing."""
    if rows_NK.shape[0] == 0:
        wanted = "at least one example"
        raise InputError(who, "no rows", wanted, "A mean over nothing is no number.")


def _xlogy(weights_NK: Floats, p_NK: Floats) -> Floats:
    """Weights times log p, with 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms_NK: Floats = np.where(weights_NK == 0.0, 0.0, weights_NK * np.log(p_NK))
    return terms_NK


def _posteriors(posteriors_NK: npt.ArrayLike, who: str, name: str = "posteriors") -> Floats:
    values_NK = as_array(posteriors_NK, who, name)
    checks.check_posteriors(values_NK, who=who, name=name)
    check_some(values_NK, who)
    return values_NK.astype(np.float64)


def _labelled(
    posteriors_NK: npt.ArrayLike, labels_N: npt.ArrayLike, who: str
) -> tuple[Floats, npt.NDArray[Any]]:
    p_NK, found_N = _posteriors(posteriors_NK, who), as_array(labels_N, who, "labels")
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
