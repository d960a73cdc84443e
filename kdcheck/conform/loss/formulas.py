"""Formulas of losses on logits that are divided by their temperature, each per example, in nats.

Written in numpy, apart from the objectives of kdcheck: what a stranger's loss is held against must
not share code with it. Values are summed over classes, at float64.
"""

# Shapes: N examples, K classes; a_NK and b_NK are logits of student and teacher over their temperatures.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, xlogy

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One batch and the settings that a loss is called with, under our names."""

    student_NK: Array
    teacher_NK: Array
    labels_N: Array
    alpha: float = 0.3
    beta: float = 0.7
    tau: float = 2.5

    def __str__(self) -> str:
        """As a reader would type it."""
        values = {"student": self.student_NK, "teacher": self.teacher_NK, "labels": self.labels_N}
        told = [f"{name} {value.tolist()}" for name, value in values.items()]
        told += [f"{name} {getattr(self, name):.4g}" for name in ("alpha", "beta", "tau")]
        return ", ".join(told)


def kl(log_q: Array, log_p: Array) -> Array:
    """D_KL(q, p)."""
    return (np.exp(log_q) * (log_q - log_p)).sum(-1)


def ce(log_q: Array, log_p: Array) -> Array:
    """H(q, p)."""
    return -(np.exp(log_q) * log_p).sum(-1)


def log_posteriors_of(logits: Array) -> Array:
    """Log-softmax."""
    below = logits - logits.max(-1, keepdims=True)
    return below - np.log(np.exp(below).sum(-1, keepdims=True))


def probabilities(logits: Array) -> Array:
    """Softmax."""
    return np.exp(log_posteriors_of(logits))


def entropy(p_NK: Array) -> Array:
    """H(p)."""
    return -xlogy(p_NK, p_NK).sum(-1)


def js(weight: float, a: Array, b: Array, _hot: Array) -> Array:
    """Generalised Jensen-Shannon: weight of the teacher's divergence from the mixture."""
    log_p, log_q = log_posteriors_of(a), log_posteriors_of(b)
    log_m = np.log(weight * np.exp(log_q) + (1.0 - weight) * np.exp(log_p))
    return weight * kl(log_q, log_m) + (1.0 - weight) * kl(log_p, log_m)


def skew(weight: float, a: Array, b: Array, _hot: Array) -> Array:
    """D_KL(teacher, weight * teacher + (1 - weight) * student)."""
    log_p, log_q = log_posteriors_of(a), log_posteriors_of(b)
    return kl(log_q, np.log(weight * np.exp(log_q) + (1.0 - weight) * np.exp(log_p)))


def skew_reverse(weight: float, a: Array, b: Array, _hot: Array) -> Array:
    """D_KL(student, weight * student + (1 - weight) * teacher)."""
    return skew(weight, b, a, _hot)


def binary(log_p: Array, hot: Array) -> Array:
    """Log-probabilities of the label and of all others together, shape (N, 2)."""
    label = np.exp((log_p * hot).sum(-1))
    return np.log(np.stack([label, 1.0 - label], axis=-1))


def tckd(a: Array, b: Array, hot: Array) -> Array:
    """Zhao et al. 2022: the divergence of the label against all others."""
    return kl(binary(log_posteriors_of(b), hot), binary(log_posteriors_of(a), hot))


def nckd(a: Array, b: Array, hot: Array) -> Array:
    """Zhao et al. 2022: the divergence among the others."""
    others = [x[hot == 0].reshape(len(x), -1) for x in (a, b)]
    return kl(log_posteriors_of(others[1]), log_posteriors_of(others[0]))


def cosine(x: Array, y: Array) -> Array:
    """1 - cosine of the angle; 1 where either has no length but what rounding left, as in torch."""
    lengths = np.maximum(norm(x), 1e-8) * np.maximum(norm(y), 1e-8)
    return 1.0 - (x * y).sum(-1) / lengths


def norm(x: Array) -> Array:
    """Euclidean length."""
    return np.sqrt((x * x).sum(-1))


def centred(x: Array, axis: int = -1) -> Array:
    """Without its mean."""
    return x - x.mean(axis=axis, keepdims=True)


def pearson_over_batch(a: Array, b: Array, _hot: Array) -> Array:
    """Huang et al. 2022 (DIST): 1 - correlation over examples, of each class."""
    p, q = centred(probabilities(a), 0), centred(probabilities(b), 0)
    return np.full(len(a), cosine(p.T, q.T).sum() / len(a))  # of the whole batch, shared out


def standardised(ddof: int, a: Array, b: Array, _hot: Array) -> Array:
    """Sun et al. 2024: the divergence of logits with mean 0 and deviation 1, at temperature 1."""
    return standardised_at(1.0, ddof, a, b)


def standardised_then_tempered(ddof: int, case: Case) -> Array:
    """The same at tau: dividing first would change nothing."""
    return standardised_at(case.tau, ddof, case.student_NK, case.teacher_NK)


def standardised_at(tau: float, ddof: int, student_NK: Array, teacher_NK: Array) -> Array:
    """Both sides with mean 0 and deviation 1, then divided by tau."""
    log_p, log_q = (
        log_posteriors_of(
            centred(x) / np.maximum(x.std(-1, ddof=ddof, keepdims=True), 1e-300) / tau
        )
        for x in (student_NK, teacher_NK)
    )
    return kl(log_q, log_p)


def bernoulli_ce(logits: Array, target: Array) -> Array:
    """Cross-entropy of each class as a question of its own."""
    return -(target * log_expit(logits) + (1.0 - target) * log_expit(-logits)).sum(-1)


def huber(difference: Array) -> Array:
    """Half the square near 0, the distance beyond 1."""
    far = np.abs(difference)
    return np.where(far < 1.0, 0.5 * far**2, far - 0.5).sum(-1)


def virtual(correct: float, hot: Array) -> Array:
    """Yuan et al. 2020: a hand-made posterior, with this probability of the label."""
    return hot * correct + (1.0 - hot) * (1.0 - correct) / (hot.shape[-1] - 1)


def uniform(like: Array) -> Array:
    """Log of the uniform distribution."""
    return np.full(like.shape, -np.log(like.shape[-1]))


def ce_others(a: Array, _b: Array, hot: Array) -> Array:
    """Cross-entropy with the uniform distribution over all classes but the label's."""
    return -((1.0 - hot) / (hot.shape[-1] - 1) * log_posteriors_of(a)).sum(-1)


def twice(divergence: Callable[[Array, Array], Array], sides: str, a: Array, b: Array) -> Array:
    """A divergence of logits that are probabilities already."""
    b = probabilities(b) if "teacher" in sides else b
    a = probabilities(a) if "student" in sides else a
    return divergence(log_posteriors_of(b), log_posteriors_of(a))


def twice_then_tempered(
    divergence: Callable[[Array, Array], Array], sides: str, case: Case
) -> Array:
    """Softmax of probabilities at tau, which were themselves taken at temperature 1."""
    a = probabilities(case.student_NK) if "student" in sides else case.student_NK
    b = probabilities(case.teacher_NK) if "teacher" in sides else case.teacher_NK
    return divergence(log_posteriors_of(b / case.tau), log_posteriors_of(a / case.tau))


def smoothed(case: Case, alpha: float, *, others: bool) -> Array:
    """Minus the entropy of the smoothed label, over all classes or all but the label's."""
    hot = np.eye(case.student_NK.shape[1])[case.labels_N]
    spread = (1.0 - hot) / (hot.shape[1] - 1) if others else np.full_like(hot, 1.0 / hot.shape[1])
    return -entropy((1.0 - alpha) * hot + alpha * spread)


def bce_smoothed(case: Case) -> Array:
    """Each class a question of its own, with the smoothed label for an answer."""
    hot = np.eye(case.student_NK.shape[1])[case.labels_N]
    return bernoulli_ce(case.student_NK, (1.0 - case.alpha) * hot + case.alpha / hot.shape[1])


def mixed_target(case: Case, alpha: float) -> Array:
    """Minus the entropy of label and teacher mixed."""
    hot = np.eye(case.student_NK.shape[1])[case.labels_N]
    return -entropy((1.0 - alpha) * hot + alpha * probabilities(case.teacher_NK))


def of_virtual_probabilities(correct: float, tempered: bool, case: Case) -> Array:
    """KL from softmax(virtual probabilities / tau), as the published code of Tf-KD has it."""
    hot = np.eye(case.student_NK.shape[1])[case.labels_N]
    target = log_posteriors_of(virtual(correct, hot) / case.tau)
    return kl(target, log_posteriors_of(case.student_NK / (case.tau if tempered else 1.0)))
