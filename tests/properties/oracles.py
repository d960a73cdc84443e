"""The core's formulas by other routes: scipy on numpy arrays, and mpmath with fifty digits."""

# Shapes: N examples, K classes.

from __future__ import annotations

import numpy as np
from mpmath import mp, mpf
from scipy import special


def scipy_log_posteriors(logits_NK, temperature=1.0):
    return special.log_softmax(logits_NK.double().numpy() / temperature, axis=1)


def scipy_mixture(batch, soft_log_NK, *, alpha, temperature=1.0, scale=1.0):
    """Eqs. 1 and 2 from the logarithm of the soft target, whose zeros may be -inf."""
    log_p_NK = scipy_log_posteriors(batch.logits_NK)
    hard_N = -log_p_NK[np.arange(len(log_p_NK)), batch.labels_N.numpy()]
    soft_NK = np.exp(soft_log_NK)
    negative_entropy_N = -special.entr(soft_NK).sum(axis=1)
    cross_N = -(soft_NK * scipy_log_posteriors(batch.logits_NK, temperature)).sum(axis=1)
    return (1 - alpha) * hard_N + alpha * scale * (negative_entropy_N + cross_N)


def exact_posteriors(row, temperature=1.0):
    """softmax(row / temperature) with fifty digits."""
    scaled = [mpf(float(value)) / mpf(temperature) for value in row]
    top = max(scaled)
    exponentials = [mp.exp(value - top) for value in scaled]
    total = sum(exponentials)
    return [value / total for value in exponentials]


def exact_kl(first, second):
    return sum(a * (mp.log(a) - mp.log(b)) for a, b in zip(first, second, strict=True) if a > 0)


def exact_mixture(row, label, soft, *, alpha, temperature=1.0, scale=1.0):
    """One example of Eqs. 1 and 2 with fifty digits."""
    hard = -mp.log(exact_posteriors(row)[label])
    soft_term = exact_kl(soft, exact_posteriors(row, temperature))
    return float((1 - mpf(alpha)) * hard + mpf(alpha) * mpf(scale) * soft_term)


mp.dps = 50
