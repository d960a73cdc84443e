"""The objectives as functions that check their arguments, for use from Python and in tests."""

# Shapes: N examples, K classes.

from __future__ import annotations

from torch import Tensor

from kdcheck import checks
from kdcheck.information import check_label_tensor, check_logit_tensor, check_scaled
from kdcheck.objectives.members import (
    ERM,
    ConfidencePenalty,
    Distillation,
    InstanceSmoothing,
    LabelSmoothing,
    Mixture,
    SelfTraining,
    VirtualTeacher,
)
from kdcheck.objectives.objective import Objective


def erm(logits_NK: Tensor, labels_N: Tensor) -> Tensor:
    """Empirical risk minimisation, per example, in nats: H(q, p) = -log p_y.

    Args:
        logits_NK: shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).

    Returns:
        Shape (N,), at least 0 up to rounding.

    Raises:
        LogitError: logits of the wrong shape or type, or not finite; the message names the row.
        LabelError: labels of the wrong shape or type, or out of range; the message names the row.

    Source: the hard term H(q, p) of Eqs. 1 and 2.

    >>> import torch
    >>> erm(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([2]))
    tensor([1.0986])
    """
    return _checked(ERM(), "erm", logits_NK, labels_N)


def label_smoothing(logits_NK: Tensor, labels_N: Tensor, *, alpha: float) -> Tensor:
    """Label smoothing, per example, in nats: (1 - alpha) H(q, p) + alpha D_KL(u, p).

    u is uniform over all K classes, the true one included. The value is alpha log K below the
    cross-entropy against the smoothed label (``torch.nn.CrossEntropyLoss(label_smoothing=alpha)``);
    the gradient is the same.

    Args:
        logits_NK: shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        alpha: weight of the uniform distribution, 0 to 1.

    Returns:
        Shape (N,), at least 0 up to rounding.

    Raises:
        LogitError: logits of the wrong shape or type, or not finite; the message names the row.
        LabelError: labels of the wrong shape or type, or out of range; the message names the row.
        ParameterError: alpha outside [0, 1].

    Source: Eq. 1.

    >>> import torch
    >>> label_smoothing(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), alpha=0.1)
    tensor([0.1576])
    """
    return _checked(LabelSmoothing(alpha=alpha), "label_smoothing", logits_NK, labels_N)


def distillation(
    logits_NK: Tensor,
    labels_N: Tensor,
    teacher_logits_NK: Tensor,
    *,
    alpha: float,
    temperature: float = 1.0,
    tau_squared: bool = True,
) -> Tensor:
    """Knowledge distillation, per example, in nats.

    (1 - alpha) H(q, p) + alpha tau^2 D_KL(p^t_tau, p_tau), with p_tau = softmax(z / tau).

    Args:
        logits_NK: the student's, shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        teacher_logits_NK: the teacher's, shape (N, K), finite; no gradient flows into them.
        alpha: weight of the divergence from the teacher, 0 to 1.
        temperature: tau, above 0, on both sides of the divergence; the hard term stays at 1.
        tau_squared: whether the divergence is multiplied by tau^2, which keeps the size of its
            gradient as tau grows. The paper does not say; at tau = 1 it is moot.

    Returns:
        Shape (N,), at least 0 up to rounding.

    Raises:
        LogitError: logits of the wrong shape or type, or not finite; the message names the row.
        ShapeError: teacher and student logits of different shapes.
        LabelError: labels of the wrong shape or type, or out of range; the message names the row.
        ParameterError: alpha outside [0, 1], or a temperature that is not above 0 or is
            so small that logits / temperature overflows.

    Source: Eq. 2; temperature and tau^2 from Hinton et al. 2014, section 2.

    >>> import torch
    >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[4.0, 0.0]])
    >>> distillation(student, torch.tensor([0]), teacher, alpha=0.5, temperature=4.0)
    tensor([0.2742])
    """
    objective = Distillation(alpha=alpha, temperature=temperature, tau_squared=tau_squared)
    return _checked(objective, "distillation", logits_NK, labels_N, teacher_logits_NK)


def self_training_distillation(
    logits_NK: Tensor,
    labels_N: Tensor,
    teacher_logits_NK: Tensor,
    *,
    alpha: float,
    temperature: float = 1.0,
    tau_squared: bool = True,
) -> Tensor:
    """Teacher-free KD by self-training, per example, in nats: Eq. 2 with an earlier self as teacher.

    Args:
        logits_NK: the student's, shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        teacher_logits_NK: of a model of the student's own kind trained by ERM, shape (N, K).
        alpha: weight of the divergence from that model, 0 to 1.
        temperature: tau, above 0, on both sides of the divergence.
        tau_squared: whether the divergence is multiplied by tau^2.

    Returns:
        Shape (N,), at least 0 up to rounding.

    Raises:
        LogitError: logits of the wrong shape or type, or not finite; the message names the row.
        ShapeError: teacher and student logits of different shapes.
        LabelError: labels of the wrong shape or type, or out of range; the message names the row.
        ParameterError: alpha outside [0, 1], or a temperature that is not above 0 or is
            so small that logits / temperature overflows.

    Source: Yuan et al. 2020, Tf-KD self; Eq. 2.

    >>> import torch
    >>> same = torch.tensor([[2.0, 0.0]])
    >>> self_training_distillation(same, torch.tensor([0]), same, alpha=0.0)
    tensor([0.1269])
    """
    objective = SelfTraining(alpha=alpha, temperature=temperature, tau_squared=tau_squared)
    who = "self_training_distillation"
    return _checked(objective, who, logits_NK, labels_N, teacher_logits_NK)


def virtual_teacher_distillation(
    logits_NK: Tensor,
    labels_N: Tensor,
    *,
    alpha: float,
    correct_probability: float = 0.99,
    temperature: float = 1.0,
    tau_squared: bool = True,
) -> Tensor:
    """Teacher-free KD by a virtual teacher, per example, in nats.

    Eq. 2 with p^t = a on the label and (1 - a) / (K - 1) on each other class, softened by tau.

    Args:
        logits_NK: shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        alpha: weight of the divergence from the virtual teacher, 0 to 1.
        correct_probability: a, the virtual teacher's probability of the label, 0 to 1.
        temperature: tau, above 0, on both sides of the divergence.
        tau_squared: whether the divergence is multiplied by tau^2.

    Returns:
        Shape (N,), at least 0 up to rounding.

    Raises:
        LogitError: logits of the wrong shape or type, or not finite; the message names the row.
        LabelError: labels of the wrong shape or type, or out of range; the message names the row.
        ParameterError: alpha or a outside [0, 1], or a temperature that is not above 0 or is
            so small that logits / temperature overflows.

    Source: Yuan et al. 2020, Tf-KD reg; Eq. 2.

    >>> import torch
    >>> logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> virtual_teacher_distillation(logits, labels, alpha=0.5, correct_probability=0.9)
    tensor([0.0644])
    """
    objective = VirtualTeacher(
        alpha=alpha,
        correct_probability=correct_probability,
        temperature=temperature,
        tau_squared=tau_squared,
    )
    return _checked(objective, "virtual_teacher_distillation", logits_NK, labels_N)


def instance_smoothing(
    logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor, *, alpha: float
) -> Tensor:
    """Instance-specific label smoothing, per example, in nats: (1 - alpha) H(q, p) + alpha D_KL(s, p).

    s puts c = max_k p^t_k on the label and (1 - c) / (K - 1) on each other class.

    Args:
        logits_NK: the student's, shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        teacher_logits_NK: the teacher's, shape (N, K), finite; no gradient flows into them.
        alpha: weight of the smoothed target, 0 to 1.

    Returns:
        Shape (N,), at least 0 up to rounding.

    Raises:
        LogitError: logits of the wrong shape or type, or not finite; the message names the row.
        ShapeError: teacher and student logits of different shapes.
        LabelError: labels of the wrong shape or type, or out of range; the message names the row.
        ParameterError: alpha outside [0, 1].

    Source: Zhang and Sabuncu 2020, with the teacher's own top probability as the amount.

    >>> import torch
    >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    >>> instance_smoothing(student, torch.tensor([0]), teacher, alpha=1.0)
    tensor([0.0728])
    """
    objective = InstanceSmoothing(alpha=alpha)
    return _checked(objective, "instance_smoothing", logits_NK, labels_N, teacher_logits_NK)


def confidence_penalty(logits_NK: Tensor, labels_N: Tensor, *, alpha: float) -> Tensor:
    """Confidence penalty, per example, in nats: H(q, p) - alpha H(p).

    Args:
        logits_NK: shape (N, K), finite.
        labels_N: class ids, integers of shape (N,).
        alpha: weight of the model's own entropy, 0 to 1.

    Returns:
        Shape (N,), at least -alpha log K.

    Raises:
        LogitError: logits of the wrong shape or type, or not finite; the message names the row.
        LabelError: labels of the wrong shape or type, or out of range; the message names the row.
        ParameterError: alpha outside [0, 1].

    Source: Pereyra et al. 2017, where alpha is called beta.

    >>> import torch
    >>> confidence_penalty(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), alpha=0.1)
    tensor([0.0904])
    """
    return _checked(ConfidencePenalty(alpha=alpha), "confidence_penalty", logits_NK, labels_N)


def _checked(
    objective: Objective,
    who: str,
    logits_NK: Tensor,
    labels_N: Tensor,
    teacher_logits_NK: Tensor | None = None,
) -> Tensor:
    check_logit_tensor(logits_NK, who=who)
    examples, classes = logits_NK.shape
    check_label_tensor(labels_N, examples=examples, classes=classes, who=who)
    temperature = objective.temperature if isinstance(objective, Mixture) else 1.0
    check_scaled(logits_NK, temperature, who=who)
    if objective.needs_teacher:
        check_logit_tensor(teacher_logits_NK, who=who, name="teacher logits")
        assert teacher_logits_NK is not None  # or the check above would have refused it
        check_scaled(teacher_logits_NK, temperature, who=who)
        shapes = tuple(logits_NK.shape), tuple(teacher_logits_NK.shape)
        checks.check_same_shape(*shapes, who=who, names=("logits", "teacher logits"))
    return objective.per_example(logits_NK, labels_N.long(), teacher_logits_NK)
