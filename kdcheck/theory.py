"""Closed forms: what a fitted model must look like, and which way a step moves its entropy.

numpy and math alone: nothing here needs torch, so the audit can run without it and the tests can
hold the torch code against it.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from kdcheck import checks
from kdcheck.errors import ParameterError

Floats = npt.NDArray[np.float64]


def smoothed_label(alpha: float, classes: int) -> tuple[float, float]:
    """q_ls on the label and on each other class: 1 - alpha + alpha / K and alpha / K.

    Args:
        alpha: weight of the uniform distribution, 0 to 1.
        classes: K, at least 2.

    Returns:
        The two probabilities; the second is taken K - 1 times.

    Raises:
        ParameterError: alpha outside [0, 1] or fewer than 2 classes.

    Source: q_ls of section 2.

    >>> smoothed_label(0.5, 2)
    (0.75, 0.25)
    """
    checks.check_alpha(alpha, who="smoothed_label")
    checks.check_classes(classes, who="smoothed_label")
    return 1.0 - alpha + alpha / classes, alpha / classes


def smoothing_entropy_floor(alpha: float, classes: int) -> float:
    """Entropy of the LS minimiser, in nats: H(q_ls(alpha, K)).

    LS is least where p = q_ls on every example. Where labels are uncertain, with true posterior P,
    the minimiser is (1 - alpha) P + alpha u, whose entropy is at least this by concavity. So a
    model that fits its loss sits at or above; one that overshoots the smoothed label on easy
    examples, or is tested on other data, may sit below: suspicious, not impossible.

    Args:
        alpha: weight of the uniform distribution, 0 to 1.
        classes: K, at least 2.

    Returns:
        Nats, from 0 (alpha = 0) to log K (alpha = 1).

    Raises:
        ParameterError: alpha outside [0, 1] or fewer than 2 classes.

    Source: the minimiser of Eq. 1.

    >>> round(smoothing_entropy_floor(alpha=0.8, classes=3), 4)
    1.0606
    """
    top, rest = smoothed_label(alpha, classes)
    return _h(top) + (classes - 1) * _h(rest)


def alpha_for_entropy(entropy_nats: float, classes: int) -> float:
    """The alpha whose LS minimiser has this entropy: the inverse of the floor.

    Args:
        entropy_nats: wanted entropy, from 0 to log K.
        classes: K, at least 2.

    Returns:
        alpha, 0 to 1, to the last few bits. Near log K the floor is flat and alpha ill-conditioned:
        an error of e nats there moves alpha by about sqrt(2 e / (K - 1)).

    Raises:
        ParameterError: fewer than 2 classes, or an entropy outside [0, log K].

    Source: the minimiser of Eq. 1.

    >>> round(alpha_for_entropy(0.6931, 2), 2)
    0.99
    """
    checks.check_classes(classes, who="alpha_for_entropy")
    if not 0.0 <= entropy_nats <= math.log(classes):
        wanted = f"nats between 0 and log {classes} = {math.log(classes):.4f}"
        step = "No distribution over that many classes has such an entropy; are these bits?"
        raise ParameterError("alpha_for_entropy, entropy_nats", repr(entropy_nats), wanted, step)
    low, high = 0.0, 1.0
    # The floor grows with alpha, so each halving keeps the root; 60 use up the digits of a float.
    for _ in range(60):
        middle = (low + high) / 2.0
        if smoothing_entropy_floor(middle, classes) < entropy_nats:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def smoothing_constant(alpha: float, classes: int) -> float:
    """What Eq. 1 lies below the cross-entropy against q_ls, in nats: alpha log K.

    It does not depend on the model, so both have the same gradient and the same minimiser.

    Args:
        alpha: weight of the uniform distribution, 0 to 1.
        classes: K, at least 2.

    Returns:
        H(q_ls, p) - L_LS, for every p.

    Raises:
        ParameterError: alpha outside [0, 1] or fewer than 2 classes.

    Source: section 2, "equivalent" between q_ls and Eq. 1: alpha D_KL(u, p) = alpha H(u, p) - alpha
    log K.

    >>> round(smoothing_constant(0.5, 2), 4)
    0.3466
    """
    checks.check_alpha(alpha, who="smoothing_constant")
    checks.check_classes(classes, who="smoothing_constant")
    return alpha * math.log(classes)


def mixture_gradient(
    logits_NK: npt.ArrayLike,
    labels_N: npt.ArrayLike,
    soft_NK: npt.ArrayLike,
    *,
    alpha: float,
    temperature: float = 1.0,
    tau_squared: bool = True,
) -> Floats:
    """Gradient of every mixture objective in the logits: p - target, the soft part at tau.

    (1 - alpha) (p - q) + alpha tau (p_tau - s_tau), the factor tau being 1 / tau without tau^2.
    At tau = 1 this is p - ((1 - alpha) q + alpha s).

    Args:
        logits_NK: shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        soft_NK: s at the temperature, shape (N, K): u for LS, the teacher's posterior for KD.
        alpha: weight of the soft term, 0 to 1.
        temperature: tau, above 0.
        tau_squared: whether the loss has the factor tau^2.

    Returns:
        Shape (N, K), float64; each row sums to 0.

    Raises:
        LogitError, LabelError, PosteriorError, ShapeError, ParameterError: see
            :mod:`kdcheck.checks`.

    Source: derivative of Eqs. 1 and 2; Hinton et al. 2014, section 2.

    >>> mixture_gradient([[0.0, 0.0]], [0], [[0.5, 0.5]], alpha=0.5)
    array([[-0.25,  0.25]])
    """
    who = "mixture_gradient"
    checks.check_alpha(alpha, who=who)
    checks.check_temperature(temperature, who=who)
    logits, labels = _logits(logits_NK, who), np.asarray(labels_N)
    checks.check_labels(labels, examples=logits.shape[0], classes=logits.shape[1], who=who)
    soft = _rows(soft_NK, who, "soft target")
    checks.check_same_shape(logits.shape, soft.shape, who=who, names=("logits", "soft target"))
    hard_part = _softmax(logits) - np.eye(logits.shape[1])[labels]
    soft_part = _softmax(logits / temperature) - soft
    scale = temperature if tau_squared else 1.0 / temperature
    gradient: Floats = (1.0 - alpha) * hard_part + alpha * scale * soft_part
    return gradient


def confidence_penalty_gradient(
    logits_NK: npt.ArrayLike, labels_N: npt.ArrayLike, *, alpha: float
) -> Floats:
    """Gradient of H(q, p) - alpha H(p) in the logits: p - q + alpha p (log p + H(p)).

    Args:
        logits_NK: shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        alpha: weight of the model's own entropy, 0 to 1.

    Returns:
        Shape (N, K), float64; each row sums to 0.

    Raises:
        LogitError, LabelError, ParameterError: see :mod:`kdcheck.checks`.

    Source: derivative of Pereyra et al. 2017's objective; dH/dz_j = -p_j (log p_j + H).

    >>> confidence_penalty_gradient([[0.0, 0.0]], [0], alpha=0.5)
    array([[-0.5,  0.5]])
    """
    who = "confidence_penalty_gradient"
    checks.check_alpha(alpha, who=who)
    logits, labels = _logits(logits_NK, who), np.asarray(labels_N)
    checks.check_labels(labels, examples=logits.shape[0], classes=logits.shape[1], who=who)
    p_NK = _softmax(logits)
    gradient: Floats = p_NK - np.eye(logits.shape[1])[labels] + alpha * _surprise_excess(p_NK)
    return gradient


def entropy_rate_towards_uniform(posteriors_NK: npt.ArrayLike) -> Floats:
    """dH/dt where logits follow the gradient flow of D_KL(u, p): Cov_p(p, log p), never negative.

    The flow is dz/dt = u - p. p and log p rise together, so their covariance under p is at least
    0, and 0 only where p is uniform on its support.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1.

    Returns:
        Shape (N,), nats per unit of time, at least 0 up to rounding.

    Raises:
        PosteriorError: rows that are not distributions.

    Source: the soft term of Eq. 1; section 3's statement that it raises entropy, as an identity.

    >>> entropy_rate_towards_uniform([[0.5, 0.5], [0.75, 0.25]]).round(4)
    array([0.   , 0.103])
    """
    p_NK = _rows(posteriors_NK, "entropy_rate_towards_uniform", "posteriors")
    rate: Floats = (p_NK * _surprise_excess(p_NK)).sum(axis=1)
    return rate


def entropy_rate_towards_teacher(posteriors_NK: npt.ArrayLike, teacher_NK: npt.ArrayLike) -> Floats:
    """dH/dt along the logit gradient flow of D_KL(p^t, p): Cov_p(p - p^t, log p), of either sign.

    The flow is dz/dt = p^t - p. A teacher surer than the student on the student's own top class
    lowers the student's entropy; a less sure one raises it. With p^t = u it is never negative.

    Args:
        posteriors_NK: the student's p, shape (N, K), rows sum to 1.
        teacher_NK: p^t, shape (N, K), rows sum to 1.

    Returns:
        Shape (N,), nats per unit of time.

    Raises:
        PosteriorError: rows that are not distributions.
        ShapeError: the shapes differ.

    Source: the soft term of Eq. 2; section 3's statement that its effect depends on the teacher.

    >>> entropy_rate_towards_teacher([[0.75, 0.25]] * 2, [[0.9, 0.1], [0.6, 0.4]]).round(4)
    array([-0.0618,  0.0618])
    """
    who = "entropy_rate_towards_teacher"
    p_NK, teacher = _rows(posteriors_NK, who, "posteriors"), _rows(teacher_NK, who, "teacher")
    checks.check_same_shape(p_NK.shape, teacher.shape, who=who, names=("posteriors", "teacher"))
    rate: Floats = ((p_NK - teacher) * _surprise_excess(p_NK)).sum(axis=1)
    return rate


def smoothing_minus_erm_rate(
    posteriors_NK: npt.ArrayLike, labels_N: npt.ArrayLike, *, alpha: float
) -> Floats:
    """How much faster entropy grows under an LS step than under an ERM step from the same p.

    alpha p_y (log p_y + H(p)): negative, so that the LS step lowers entropy relative to the ERM
    step, exactly where p_y < exp(-H(p)); that is, where the label has less than the probability of
    a uniform distribution of the same entropy. Early in training, and on examples the model has
    wrong, LS sharpens.

    Args:
        posteriors_NK: shape (N, K), rows sum to 1.
        labels_N: class ids, integers of shape (N,).
        alpha: weight of the uniform distribution, 0 to 1.

    Returns:
        Shape (N,), nats per unit of time.

    Raises:
        PosteriorError, LabelError, ParameterError: see :mod:`kdcheck.checks`.

    Source: the difference of the gradients of Eq. 1 and of H(q, p), alpha (q - u).

    >>> smoothing_minus_erm_rate([[0.75, 0.25]] * 2, [0, 1], alpha=0.5).round(4)
    array([ 0.103, -0.103])
    """
    who = "smoothing_minus_erm_rate"
    checks.check_alpha(alpha, who=who)
    p_NK, labels = _rows(posteriors_NK, who, "posteriors"), np.asarray(labels_N)
    checks.check_labels(labels, examples=p_NK.shape[0], classes=p_NK.shape[1], who=who)
    rate: Floats = alpha * _surprise_excess(p_NK)[np.arange(len(labels)), labels]
    return rate


def large_temperature_distillation(
    logits_NK: npt.ArrayLike, teacher_logits_NK: npt.ArrayLike
) -> Floats:
    """Limit of tau^2 D_KL(p^t_tau, p_tau) as tau grows: mean squared distance of centred logits / 2.

    With z and v centred per row, 1 / (2 K) sum_k (v_k - z_k)^2; its gradient is (z - v) / K. The
    error falls as 1 / tau.

    Args:
        logits_NK: the student's z, shape (N, K), finite.
        teacher_logits_NK: the teacher's v, shape (N, K), finite.

    Returns:
        Shape (N,), at least 0, in nats.

    Raises:
        LogitError, ShapeError: see :mod:`kdcheck.checks`.

    Source: Hinton et al. 2014, Eqs. 2 to 4, whose gradient this is the integral of.

    >>> large_temperature_distillation([[1.0, -1.0]], [[2.0, 0.0]])
    array([0.])
    """
    who = "large_temperature_distillation"
    z_NK = _logits(logits_NK, who)
    v_NK = _logits(teacher_logits_NK, who, "teacher logits")
    checks.check_same_shape(z_NK.shape, v_NK.shape, who=who, names=("logits", "teacher logits"))
    gap_NK = v_NK - z_NK
    gap_NK = gap_NK - gap_NK.mean(axis=1, keepdims=True)
    limit: Floats = (gap_NK**2).mean(axis=1) / 2.0
    return limit


def equivalent_smoothing_at_two_classes(
    alpha: float, teacher_label_probability_N: npt.ArrayLike
) -> Floats:
    """At K = 2, the LS amount that gives the same target as KD at tau = 1: 2 alpha (1 - p^t_y).

    Two classes leave the teacher one number per example to say. KD is then label smoothing of an
    amount of its own for each example, and instance-specific smoothing with p^t_y is KD itself. An
    amount above 1 means that the teacher outvotes the label. No structure among wrong classes
    exists to be transferred; a verdict that rests on binary tasks alone says so.

    Args:
        alpha: weight of the divergence from the teacher, 0 to 1.
        teacher_label_probability_N: p^t_y, the teacher's probability of the label, shape (N,).

    Returns:
        Shape (N,), from 0 to 2 alpha.

    Raises:
        ParameterError: alpha, or a probability, outside [0, 1].

    Source: (1 - alpha) q + alpha p^t = q_ls(2 alpha (1 - p^t_y)) at K = 2; Eqs. 1 and 2.

    >>> equivalent_smoothing_at_two_classes(0.5, [1.0, 0.5, 0.0])
    array([0. , 0.5, 1. ])
    """
    who = "equivalent_smoothing_at_two_classes"
    checks.check_alpha(alpha, who=who)
    label_probability_N = np.asarray(teacher_label_probability_N, dtype=np.float64)
    for value in label_probability_N.ravel():
        checks.check_probability(value, who=who, name="teacher_label_probability_N")
    amount: Floats = 2.0 * alpha * (1.0 - label_probability_N)
    return amount


def _h(probability: float) -> float:
    return -probability * math.log(probability) if probability > 0.0 else 0.0


def _surprise_excess(p_NK: Floats) -> Floats:
    """p_j (log p_j + H(p)) = -dH/dz_j, with 0 log 0 = 0."""
    log_p_NK = np.log(np.where(p_NK > 0, p_NK, 1.0))
    entropy_N1 = -(p_NK * log_p_NK).sum(axis=1, keepdims=True)
    excess: Floats = p_NK * (log_p_NK + entropy_N1)
    return excess


def _softmax(logits_NK: Floats) -> Floats:
    shifted_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    normalised: Floats = shifted_NK / shifted_NK.sum(axis=1, keepdims=True)
    return normalised


def _logits(values: npt.ArrayLike, who: str, name: str = "logits") -> Floats:
    array: Floats = np.asarray(values, dtype=np.float64)
    checks.check_logits(array, who=who, name=name)
    return array


def _rows(values: npt.ArrayLike, who: str, name: str) -> Floats:
    array = np.asarray(values)
    # A caller's float32 posteriors keep float32's tolerance after conversion.
    eps = float(np.finfo(array.dtype).eps) if np.issubdtype(array.dtype, np.floating) else None
    wide: Floats = array.astype(np.float64)
    checks.check_posteriors(wide, who=who, name=name, eps=eps)
    return wide
