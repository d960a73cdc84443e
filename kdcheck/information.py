"""Entropy, cross-entropy and Kullback-Leibler divergence: per example, in nats.

Each measure comes in two forms: from posteriors, and (the stable one for confident models) from
logits. float16 and bfloat16 are computed in, and returned as, float32.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.special import entr, xlogy

from kdcheck import checks
from kdcheck.checks import Array
from kdcheck.errors import InputError, LabelError, ParameterError

__all__ = [
    "cross_entropy",
    "cross_entropy_from_logits",
    "entropy",
    "entropy_from_logits",
    "kl_divergence",
    "kl_divergence_from_logits",
    "log_posteriors",
    "posteriors",
    "widen",
]


def entropy(posteriors_NK: Tensor) -> Tensor:
    """Shannon entropy of each row, in nats: H(p) = -sum_k p_k log p_k, with 0 log 0 = 0.

    Args:
        posteriors_NK: shape (N, K), non-negative, each row sums to 1.

    Returns:
        Shape (N,), between 0 (one-hot) and log K (uniform).

    Raises:
        PosteriorError: a row is negative or does not sum to 1; the message names the row.

    Source: Shannon 1948, section 6; its mean over examples is what Tables 2, 4, 8 and 10 report.

    >>> entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    tensor([0.6931, 0.0000])
    """
    check_posterior_tensor(posteriors_NK, who="entropy")
    return entr(widen(posteriors_NK)).sum(dim=-1)


def entropy_from_logits(logits_NK: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Shannon entropy of softmax(logits / temperature), in nats; keeps its digits near one-hot.

    Args:
        logits_NK: shape (N, K), finite.
        temperature: tau, above 0.

    Returns:
        Shape (N,), between 0 and log K.

    Raises:
        LogitError: wrong shape, integer type or not finite; the message names the row.
        ParameterError: the temperature is not above 0, or so small that logits overflow.

    Source: H(p) with p of Eqs. 1 and 2; Shannon 1948, section 6.

    >>> entropy_from_logits(torch.tensor([[0.0, 0.0], [1e4, -1e4]]))
    tensor([0.6931, 0.0000])
    """
    log_p_NK = log_posteriors(logits_NK, temperature=temperature, who="entropy_from_logits")
    return (log_p_NK.exp() * -log_p_NK).sum(dim=-1)


def cross_entropy(targets_NK: Tensor, posteriors_NK: Tensor) -> Tensor:
    """Cross-entropy of each row, in nats: H(t, p) = -sum_k t_k log p_k, with 0 log 0 = 0.

    Args:
        targets_NK: target distributions t, shape (N, K).
        posteriors_NK: model posteriors p, shape (N, K).

    Returns:
        Shape (N,), at least H(t); infinite where p is 0 and t is not.

    Raises:
        PosteriorError: a row of either is negative or does not sum to 1.
        ShapeError: the shapes differ.

    Source: H(q, p) of Eqs. 1 and 2.

    >>> cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]))
    tensor([0.6931])
    """
    check_posterior_tensor(targets_NK, who="cross_entropy", name="targets")
    check_posterior_tensor(posteriors_NK, who="cross_entropy")
    _check_pair(targets_NK, posteriors_NK, "cross_entropy", ("targets", "posteriors"))
    return -xlogy(widen(targets_NK), widen(posteriors_NK)).sum(dim=-1)


def cross_entropy_from_logits(
    targets_NK: Tensor, logits_NK: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """Cross-entropy H(t, p) = -sum_k t_k log p_k with p = softmax(logits / temperature), in nats.

    Args:
        targets_NK: target distributions t, shape (N, K).
        logits_NK: shape (N, K), finite.
        temperature: tau of the model's side, above 0.

    Returns:
        Shape (N,), at least H(t), always finite.

    Raises:
        PosteriorError: a target row is negative or does not sum to 1.
        LogitError: logits of the wrong shape, integer type or not finite.
        ShapeError: the shapes differ.
        ParameterError: the temperature is not above 0.

    Source: H(q, p) of Eqs. 1 and 2.

    >>> cross_entropy_from_logits(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([0.6931])
    """
    who = "cross_entropy_from_logits"
    check_posterior_tensor(targets_NK, who=who, name="targets")
    log_p_NK = log_posteriors(logits_NK, temperature=temperature, who=who)
    _check_pair(targets_NK, logits_NK, who, ("targets", "logits"))
    return -(widen(targets_NK) * log_p_NK).sum(dim=-1)


def kl_divergence(first_NK: Tensor, second_NK: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each row, in nats: D_KL(a, b) = sum_k a_k log(a_k / b_k).

    Arguments stand in the paper's order: the distribution that weighs the sum comes first. Swap
    them for the other direction.

    Args:
        first_NK: a, shape (N, K); in KD the teacher, in Eq. 1 the uniform distribution.
        second_NK: b, shape (N, K); the model.

    Returns:
        Shape (N,), at least 0 up to rounding, 0 where the rows agree, infinite where b is 0 and
        a is not.

    Raises:
        PosteriorError: a row of either is negative or does not sum to 1.
        ShapeError: the shapes differ.

    Source: Kullback and Leibler 1951; D_KL of Eqs. 1 and 2.

    >>> kl_divergence(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.75, 0.25]]))
    tensor([0.1438])
    """
    check_posterior_tensor(first_NK, who="kl_divergence", name="first")
    check_posterior_tensor(second_NK, who="kl_divergence", name="second")
    _check_pair(first_NK, second_NK, "kl_divergence", ("first", "second"))
    first, second = widen(first_NK), widen(second_NK)
    return (xlogy(first, first) - xlogy(first, second)).sum(dim=-1)


def kl_divergence_from_logits(
    first_logits_NK: Tensor, second_logits_NK: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """D_KL(a, b) = sum_k a_k log(a_k / b_k), both rows softmax(logits / temperature), in nats.

    Args:
        first_logits_NK: logits of a, shape (N, K); in KD the teacher.
        second_logits_NK: logits of b, shape (N, K); in KD the student.
        temperature: tau of both sides, above 0.

    Returns:
        Shape (N,), at least 0 up to rounding, always finite.

    Raises:
        LogitError: wrong shape, integer type or not finite; the message names the row.
        ShapeError: the shapes differ.
        ParameterError: the temperature is not above 0.

    Source: D_KL of Eq. 2; Hinton et al. 2014 for the temperature.

    >>> kl_divergence_from_logits(torch.zeros(1, 2), torch.tensor([[1e4, -1e4]]))
    tensor([9999.3066])
    """
    who = "kl_divergence_from_logits"
    log_a_NK = log_posteriors(first_logits_NK, temperature=temperature, who=who, name="first")
    log_b_NK = log_posteriors(second_logits_NK, temperature=temperature, who=who, name="second")
    _check_pair(first_logits_NK, second_logits_NK, who, ("first", "second"))
    return (log_a_NK.exp() * (log_a_NK - log_b_NK)).sum(dim=-1)


def log_posteriors(
    logits_NK: Tensor,
    *,
    temperature: float = 1.0,
    who: str = "log_posteriors",
    name: str = "logits",
) -> Tensor:
    """Log posteriors log p_k = z_k / tau - log sum_j exp(z_j / tau), in nats.

    Args:
        logits_NK: z, shape (N, K), finite.
        temperature: tau, above 0.
        who: the function to name in an error.
        name: the argument to name in an error.

    Returns:
        Shape (N, K), at most 0, finite.

    Raises:
        LogitError: wrong shape, integer type or not finite; the message names the row.
        ParameterError: the temperature is not above 0, or so small that logits overflow.

    Source: p(k|x) of Eqs. 1 and 2; Hinton et al. 2014, Eq. 1 for the temperature.

    >>> log_posteriors(torch.tensor([[0.0, 0.0]]), temperature=2.0)
    tensor([[-0.6931, -0.6931]])
    """
    check_logit_tensor(logits_NK, who=who, name=name)
    checks.check_temperature(temperature, who=who)
    check_scaled(logits_NK, temperature, who=who)
    return (widen(logits_NK) / temperature).log_softmax(dim=-1)


def posteriors(logits_NK: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Posteriors p_k = exp(z_k / tau) / sum_j exp(z_j / tau).

    Args:
        logits_NK: z, shape (N, K), finite.
        temperature: tau, above 0.

    Returns:
        Shape (N, K), each row sums to 1.

    Raises:
        LogitError: wrong shape, integer type or not finite; the message names the row.
        ParameterError: the temperature is not above 0, or so small that logits overflow.

    Source: p(k|x) of Eqs. 1 and 2.

    >>> posteriors(torch.tensor([[0.0, 0.0]]))
    tensor([[0.5000, 0.5000]])
    """
    return log_posteriors(logits_NK, temperature=temperature, who="posteriors").exp()


def widen(values: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is: 8 or 11 bits are too few to add K terms in.

    Args:
        values: any shape.

    Returns:
        The same shape; the same tensor where nothing is to be done.

    Source: IEEE 754, whose float16 has 11 significant bits; bfloat16 has 8.

    >>> widen(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def check_logit_tensor(logits_NK: Tensor | None, *, who: str, name: str = "logits") -> None:
    """Apply :func:`kdcheck.checks.check_logits` to a tensor of shape (N, K)."""
    checks.check_logits(_as_array(logits_NK, who, name), who=who, name=name)


def check_posterior_tensor(posteriors_NK: Tensor, *, who: str, name: str = "posteriors") -> None:
    """Apply :func:`kdcheck.checks.check_posteriors` to a tensor, with its own type's tolerance."""
    array_NK = _as_array(posteriors_NK, who, name)
    eps = torch.finfo(posteriors_NK.dtype).eps if posteriors_NK.is_floating_point() else None
    checks.check_posteriors(array_NK, who=who, name=name, eps=eps)


def check_label_tensor(labels_N: Tensor, *, examples: int, classes: int, who: str) -> None:
    """Apply :func:`kdcheck.checks.check_labels` to a tensor of shape (N,)."""
    if not isinstance(labels_N, Tensor):
        got, wanted = f"a {type(labels_N).__name__}", f"a torch.Tensor of shape ({examples},)"
        raise LabelError(f"{who}, labels", got, wanted, "Wrap it with torch.as_tensor(...).")
    labels = np.asarray(labels_N.detach().cpu())
    checks.check_labels(labels, examples=examples, classes=classes, who=who)


def check_scaled(logits_NK: Tensor, temperature: float, *, who: str) -> None:
    """Refuse a temperature so small that logits / temperature overflows."""
    if not bool(torch.isfinite(widen(logits_NK) / temperature).all()):
        got = f"{temperature!r}, which overflows logits as large as {logits_NK.abs().max():.3g}"
        wanted = "a temperature that keeps logits / temperature finite"
        step = "Use a larger temperature or float64 logits."
        raise ParameterError(f"{who}, temperature", got, wanted, step)


def _as_array(values: Tensor | None, who: str, name: str) -> Array:
    if not isinstance(values, Tensor):
        wanted, step = "a torch.Tensor of shape (N, K)", "Wrap it with torch.as_tensor(...)."
        raise InputError(f"{who}, {name}", f"a {type(values).__name__}", wanted, step)
    array: Array = np.asarray(widen(values.detach()).cpu())
    return array


def _check_pair(first: Tensor, second: Tensor, who: str, names: tuple[str, str]) -> None:
    checks.check_same_shape(tuple(first.shape), tuple(second.shape), who=who, names=names)
