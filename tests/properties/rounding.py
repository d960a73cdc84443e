"""How far rounding may move a value: bounds to first order, derived once for all properties.

eps is the type's machine epsilon. An operation is off by at most eps / 2 of its result, exp and log
by at most eps; z stands for logits / tau, S for the largest |z|. Two routes to one value may each be
off by the bound of the worse type, so tests allow twice of it.
"""

from __future__ import annotations

import math

import torch


def log_posterior(dtype: torch.dtype, *, classes: int, largest: float, tau: float = 1.0) -> float:
    """Of log p_k = (z_k - max) - log(sum), absolute; also of p_k, relative.

    Dividing by tau, subtracting the maximum and subtracting the logarithm: numbers of at most 2 S
    and log K each round once (3 S eps / 2 at the student's and at the maximum's entry, so 3 S eps).
    The sum of K exponentials is off by K + 2 eps, relative, which its logarithm makes absolute; two
    more for log K and exp.
    """
    return torch.finfo(dtype).eps * (3.0 * largest / tau + classes + 4.0)


def expectation(dtype: torch.dtype, *, classes: int, largest: float, tau: float = 1.0) -> float:
    """Of sum_k w_k x_k with weights w = p or s, and x a log posterior or a difference of two.

    |x| is at most 2 S + log K. x is off by two log posteriors and its own rounding; w by one log
    posterior, relative; the K products and their sum by K + 1 eps of the largest term.
    """
    log_error = log_posterior(dtype, classes=classes, largest=largest, tau=tau)
    span = 2.0 * largest / tau + math.log(classes)
    return 2.0 * log_error + span * (log_error + (classes + 3.0) * torch.finfo(dtype).eps)


def loss(dtype: torch.dtype, *, classes: int, largest: float, tau: float = 1.0) -> float:
    """Of (1 - alpha) hard + alpha tau^2 soft, twice over: what two routes may differ by.

    The hard term is an expectation at temperature 1, the soft one at tau, times tau^2.
    """
    hard = expectation(dtype, classes=classes, largest=largest)
    soft = expectation(dtype, classes=classes, largest=largest, tau=tau)
    return 2.0 * (hard + max(1.0, tau**2) * soft)


def gradient(dtype: torch.dtype, *, classes: int, largest: float, tau: float = 1.0) -> float:
    """Of (1 - alpha) (p - q) + alpha tau (p_tau - s_tau), twice over.

    Each probability is at most 1 and off by one log posterior, relative; two of them per term, and
    K + 1 eps for the sum that the derivative of the softmax takes.
    """
    eps = torch.finfo(dtype).eps
    hard = 2.0 * log_posterior(dtype, classes=classes, largest=largest) + (classes + 1) * eps
    soft = 2.0 * log_posterior(dtype, classes=classes, largest=largest, tau=tau)
    return 2.0 * (hard + max(1.0, tau, 1.0 / tau) * (soft + (classes + 1) * eps))
