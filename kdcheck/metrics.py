"""Metrics of a set of posteriors: what the paper's tables report, and calibration.

Each takes posteriors of shape (N, K) and returns a Python float computed in float64; entropies,
divergences and likelihoods are in nats, accuracies are fractions. :func:`summary` takes logits.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

import torch
from torch import Tensor
from torch.special import xlogy

from kdcheck import checks
from kdcheck.errors import InputError, ParameterError
from kdcheck.information import (
    check_label_tensor,
    check_logit_tensor,
    check_posterior_tensor,
    entropy,
    entropy_from_logits,
    log_posteriors,
)

__all__ = [
    "accuracy",
    "agreement",
    "brier",
    "expected_calibration_error",
    "mean_entropy",
    "mean_kl_from_teacher",
    "nll",
    "summary",
]


def mean_entropy(posteriors_NK: Tensor) -> float:
    """Mean over examples of each example's entropy, in nats; not the entropy of the mean posterior.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1, at least one row.

    Returns:
        Between 0 and log K.

    Raises:
        PosteriorError: rows that are not distributions.
        InputError: no rows.

    Source: the figures of Tables 2, 4, 8 and 10.

    >>> mean_entropy(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    0.0
    """
    _check_some(posteriors_NK, "mean_entropy")
    return float(entropy(posteriors_NK).double().mean())


def accuracy(posteriors_NK: Tensor, labels_N: Tensor) -> float:
    """Share of examples whose most probable class is the label; the first class wins a tie.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1, at least one row.
        labels_N: class ids, integers of shape (N,).

    Returns:
        A fraction, 0 to 1.

    Raises:
        PosteriorError, LabelError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: the figures of Tables 3, 5, 9 and 11, as fractions.

    >>> accuracy(torch.tensor([[0.9, 0.1], [0.5, 0.5]]), torch.tensor([0, 1]))
    0.5
    """
    _check(posteriors_NK, labels_N, "accuracy")
    return float((posteriors_NK.argmax(dim=-1) == labels_N).double().mean())


def nll(posteriors_NK: Tensor, labels_N: Tensor) -> float:
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

    >>> round(nll(torch.tensor([[0.5, 0.5]]), torch.tensor([1])), 4)
    0.6931
    """
    _check(posteriors_NK, labels_N, "nll")
    label_p_N = posteriors_NK.double().gather(-1, labels_N.long()[:, None])
    return float(-label_p_N.log().mean())


def brier(posteriors_NK: Tensor, labels_N: Tensor) -> float:
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

    >>> brier(torch.tensor([[0.5, 0.5]]), torch.tensor([1]))
    0.5
    """
    _check(posteriors_NK, labels_N, "brier")
    one_hot_NK = torch.nn.functional.one_hot(labels_N.long(), posteriors_NK.shape[-1])
    return float((posteriors_NK.double() - one_hot_NK).square().sum(dim=-1).mean())


def expected_calibration_error(posteriors_NK: Tensor, labels_N: Tensor, *, bins: int = 15) -> float:
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

    >>> round(expected_calibration_error(torch.tensor([[0.9, 0.1]]), torch.tensor([0])), 4)
    0.1
    """
    _check(posteriors_NK, labels_N, "expected_calibration_error")
    if not isinstance(bins, int) or bins < 1:
        raise ParameterError(
            "expected_calibration_error, bins",
            repr(bins),
            "an integer of at least 1",
            "15 is usual.",
        )
    confidence_N, predicted_N = posteriors_NK.double().max(dim=-1)
    correct_N = (predicted_N == labels_N).double()
    edges = torch.linspace(0.0, 1.0, bins + 1, dtype=torch.float64)[1:-1]
    bin_N = torch.bucketize(confidence_N, edges.to(confidence_N.device))
    gap_per_bin = torch.zeros(bins, dtype=torch.float64, device=confidence_N.device)
    gap_per_bin.index_add_(0, bin_N, correct_N - confidence_N)
    return float(gap_per_bin.abs().sum() / len(correct_N))


def agreement(posteriors_NK: Tensor, teacher_NK: Tensor) -> float:
    """Share of examples on which model and teacher have the same most probable class.

    Args:
        posteriors_NK: the model's, shape (N, K), rows sum to 1, at least one row.
        teacher_NK: the teacher's, shape (N, K), rows sum to 1.

    Returns:
        A fraction, 0 to 1; the first class wins a tie on either side.

    Raises:
        PosteriorError, ShapeError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: fidelity, Stanton et al. 2021; "learns to mimic its teacher" of section 4.

    >>> agreement(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.6, 0.4]]))
    1.0
    """
    _check_pair(posteriors_NK, teacher_NK, "agreement")
    same_N = posteriors_NK.argmax(dim=-1) == teacher_NK.argmax(dim=-1)
    return float(same_N.double().mean())


def mean_kl_from_teacher(posteriors_NK: Tensor, teacher_NK: Tensor) -> float:
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

    >>> mean_kl_from_teacher(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.5, 0.5]]))
    0.0
    """
    _check_pair(posteriors_NK, teacher_NK, "mean_kl_from_teacher")
    p_NK, teacher_NK = posteriors_NK.double(), teacher_NK.double()
    return float((xlogy(teacher_NK, teacher_NK) - xlogy(teacher_NK, p_NK)).sum(dim=-1).mean())


def summary(logits_NK: Tensor, labels_N: Tensor) -> dict[str, float]:
    """Every metric that needs no teacher, from logits, computed in float64.

    Args:
        logits_NK: shape (N, K), finite, at least one row.
        labels_N: class ids, integers of shape (N,).

    Returns:
        ``mean_entropy_nats``, ``accuracy``, ``nll_nats``, ``brier`` and ``ece`` (15 bins).

    Raises:
        LogitError, LabelError: see :mod:`kdcheck.checks`.
        InputError: no rows.

    Source: the functions of this module.

    >>> summary(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))["accuracy"]
    1.0
    """
    check_logit_tensor(logits_NK, who="summary")  # before integers become floating-point
    log_p_NK = log_posteriors(logits_NK.double())
    p_NK = log_p_NK.exp()
    _check(p_NK, labels_N, "summary")
    return {
        "mean_entropy_nats": float(entropy_from_logits(logits_NK.double()).mean()),
        "accuracy": accuracy(p_NK, labels_N),
        # From log posteriors, so that a label of vanishing probability stays finite.
        "nll_nats": float(-log_p_NK.gather(-1, labels_N.long()[:, None]).mean()),
        "brier": brier(p_NK, labels_N),
        "ece": expected_calibration_error(p_NK, labels_N),
    }


def _check_some(posteriors_NK: Tensor, who: str) -> None:
    check_posterior_tensor(posteriors_NK, who=who)
    if posteriors_NK.shape[0] == 0:
        raise InputError(
            who, "no rows", "at least one example", "A mean over nothing is no number."
        )


def _check(posteriors_NK: Tensor, labels_N: Tensor, who: str) -> None:
    _check_some(posteriors_NK, who)
    examples, classes = posteriors_NK.shape
    check_label_tensor(labels_N, examples=examples, classes=classes, who=who)


def _check_pair(posteriors_NK: Tensor, teacher_NK: Tensor, who: str) -> None:
    _check_some(posteriors_NK, who)
    check_posterior_tensor(teacher_NK, who=who, name="teacher")
    shapes = tuple(posteriors_NK.shape), tuple(teacher_NK.shape)
    checks.check_same_shape(*shapes, who=who, names=("posteriors", "teacher"))
