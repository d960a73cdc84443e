"""The objectives of kdcheck, as frozen objects: what a recipe stores and the training loop calls.

Every member but the confidence penalty is a :class:`Mixture`, one formula with another soft target:
the uniform distribution for LS (Eq. 1), the teacher's posterior for KD (Eq. 2), and something in
between for the others.
"""

# Shapes: N examples, K classes.

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.special import xlogy

from kdcheck import checks
from kdcheck.information import widen
from kdcheck.objectives.objective import Objective


class Mixture(Objective):
    """(1 - alpha) H(q, p) + alpha tau^2 D_KL(s_tau, p_tau): a hard label q and a soft target s.

    Source: Eqs. 1 and 2, which differ in s alone.

    >>> teacher, same = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)  # a uniform one is smoothing
    >>> kd, ls = Distillation(alpha=0.3), LabelSmoothing(alpha=0.3)
    >>> kd.per_example(teacher, torch.tensor([0]), same) - ls.per_example(teacher, torch.tensor([0]))
    tensor([0.])
    """

    constant_name: ClassVar[str]
    """alpha H(s) in words: what the loss lies below the cross-entropy against the mixed target."""
    alpha: float
    """Weight of the soft term, 0 to 1."""
    temperature: float = 1.0
    """tau, on both sides of the soft term; the hard term stays at 1."""
    tau_squared: bool = True
    """Whether the soft term is multiplied by tau^2, which keeps the size of its gradient as tau
    grows (Hinton et al. 2014, section 2). The paper does not say; at tau = 1 it is moot."""

    @abstractmethod
    def soft_target(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None
    ) -> Tensor:
        """S at the temperature, shape (N, K). Of the logits only shape and type may be used."""

    def per_example(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None = None
    ) -> Tensor:
        """One loss per example, in nats, shape (N,); gradients reach ``logits_NK`` alone."""
        logits_NK = widen(logits_NK)
        hard_N = -logits_NK.log_softmax(dim=1).gather(1, labels_N[:, None]).squeeze(1)
        if self.alpha == 0.0:
            return hard_N
        soft_NK = self.soft_target(logits_NK, labels_N, teacher_logits_NK).detach()
        log_p_NK = (logits_NK / self.temperature).log_softmax(dim=1)
        soft_N = (xlogy(soft_NK, soft_NK) - soft_NK * log_p_NK).sum(dim=1)
        scale = self.temperature**2 if self.tau_squared else 1.0
        return (1.0 - self.alpha) * hard_N + self.alpha * scale * soft_N


@dataclass(frozen=True)
class ERM(Mixture):
    """Empirical risk minimisation: H(q, p) = -log p_y; the mixture with alpha = 0.

    Source: first term of Eqs. 1 and 2.

    >>> ERM().per_example(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([0.6931])
    """

    name = "erm"
    constant_name = "0"
    alpha = 0.0

    def soft_target(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None
    ) -> Tensor:
        """The label itself."""
        return one_hot_like(logits_NK, labels_N)


@dataclass(frozen=True)
class LabelSmoothing(Mixture):
    """Label smoothing over all K classes: (1 - alpha) H(q, p) + alpha D_KL(u, p).

    Source: Eq. 1.

    >>> LabelSmoothing(alpha=0.5).per_example(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([0.3466])
    """

    name = "ls"
    constant_name = "alpha log K"
    alpha: float
    """Weight of the uniform distribution, 0 to 1, spread over all K classes."""

    def __post_init__(self) -> None:
        checks.check_alpha(self.alpha, who="label_smoothing")

    def soft_target(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None
    ) -> Tensor:
        """The uniform distribution u over all K classes."""
        return torch.full_like(logits_NK, 1.0 / logits_NK.shape[1])


@dataclass(frozen=True)
class Distillation(Mixture):
    """Knowledge distillation: (1 - alpha) H(q, p) + alpha tau^2 D_KL(p^t_tau, p_tau).

    Source: Eq. 2; the temperature and tau^2 from Hinton et al. 2014, section 2.

    >>> kd = Distillation(alpha=1.0)
    >>> kd.per_example(torch.zeros(1, 2), torch.tensor([1]), torch.zeros(1, 2))
    tensor([0.])
    """

    name = "kd"
    needs_teacher = True
    constant_name = "alpha H(p^t)"
    alpha: float
    """Weight of the divergence from the teacher, 0 to 1."""
    temperature: float = 1.0
    """tau, on both sides of the divergence; the hard term stays at 1."""
    tau_squared: bool = True
    """Whether the divergence is multiplied by tau^2. The paper does not say; at tau = 1 it is moot."""

    def __post_init__(self) -> None:
        checks.check_alpha(self.alpha, who="distillation")
        checks.check_temperature(self.temperature, who="distillation")
        checks.check_flag(self.tau_squared, who="distillation", name="tau_squared")

    def soft_target(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None
    ) -> Tensor:
        """The teacher's posterior at the temperature."""
        assert teacher_logits_NK is not None, "an objective with needs_teacher is given one"
        return (widen(teacher_logits_NK) / self.temperature).softmax(dim=1)


@dataclass(frozen=True)
class SelfTraining(Distillation):
    """Teacher-free KD by self-training: KD whose teacher is an ERM-trained copy of the student.

    The loss is Eq. 2; the name records that the recipe's teacher must be of the student's own kind.

    Source: Yuan et al. 2020, teacher-free KD by self-training (Tf-KD self).

    >>> SelfTraining(alpha=0.5).as_dict()["name"]
    'self_training'
    """

    name = "self_training"


@dataclass(frozen=True)
class VirtualTeacher(Mixture):
    """Teacher-free KD by a hand-made teacher: KD from a on the label, (1 - a)/(K - 1) elsewhere.

    Source: Yuan et al. 2020, teacher-free KD by a designed teacher (Tf-KD reg).

    >>> virtual = VirtualTeacher(alpha=0.5, correct_probability=1.0)
    >>> virtual.per_example(torch.zeros(1, 2), torch.tensor([1]))
    tensor([0.6931])
    """

    name = "virtual_teacher"
    constant_name = "alpha H(virtual teacher)"
    alpha: float
    """Weight of the divergence from the virtual teacher, 0 to 1."""
    correct_probability: float = 0.99
    """a, the virtual teacher's probability of the label, before the temperature."""
    temperature: float = 1.0
    """tau, on both sides of the divergence."""
    tau_squared: bool = True
    """Whether the divergence is multiplied by tau^2."""

    def __post_init__(self) -> None:
        checks.check_alpha(self.alpha, who="virtual_teacher")
        checks.check_probability(
            self.correct_probability, who="virtual_teacher", name="correct_probability"
        )
        checks.check_temperature(self.temperature, who="virtual_teacher")
        checks.check_flag(self.tau_squared, who="virtual_teacher", name="tau_squared")

    def soft_target(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None
    ) -> Tensor:
        """softmax(log t / tau) of the hand-made t, as powers, so that a = 1 needs no log 0."""
        top_N = torch.full_like(logits_NK[:, 0], self.correct_probability)
        made_NK = peaked(logits_NK, labels_N, top_N)
        # Against the largest entry, so that at small tau not all powers underflow to 0.
        softened_NK = (made_NK / made_NK.amax(dim=1, keepdim=True)).pow(1.0 / self.temperature)
        return softened_NK / softened_NK.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class InstanceSmoothing(Mixture):
    """Label smoothing whose amount the teacher sets per example.

    The soft target puts c = max_k p^t_k on the label and spreads 1 - c over the other classes: of
    the teacher it keeps how sure it is, not what it is sure of.

    Source: Zhang and Sabuncu 2020, with the teacher's own top probability as the amount.

    >>> smoothing = InstanceSmoothing(alpha=1.0)
    >>> smoothing.per_example(torch.zeros(1, 2), torch.tensor([1]), torch.zeros(1, 2))
    tensor([0.])
    """

    name = "instance_smoothing"
    needs_teacher = True
    constant_name = "alpha H(smoothed label)"
    alpha: float
    """Weight of the instance-specific soft target, 0 to 1."""

    def __post_init__(self) -> None:
        checks.check_alpha(self.alpha, who="instance_smoothing")

    def soft_target(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None
    ) -> Tensor:
        """The label with the teacher's top probability, the rest spread evenly."""
        assert teacher_logits_NK is not None, "an objective with needs_teacher is given one"
        top_N = widen(teacher_logits_NK).softmax(dim=1).amax(dim=1)
        return peaked(logits_NK, labels_N, top_N)


@dataclass(frozen=True)
class ConfidencePenalty(Objective):
    """Confidence penalty: H(q, p) - alpha H(p). The hard term keeps weight 1, as in its source.

    Up to alpha log K it adds alpha D_KL(p, u): LS with the divergence turned round.

    Source: Pereyra et al. 2017, where alpha is called beta.

    >>> ConfidencePenalty(alpha=0.5).per_example(torch.zeros(1, 2), torch.tensor([1]))
    tensor([0.3466])
    """

    name = "confidence_penalty"
    alpha: float
    """Weight of the model's own entropy, 0 to 1."""

    def __post_init__(self) -> None:
        checks.check_alpha(self.alpha, who="confidence_penalty")

    def per_example(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None = None
    ) -> Tensor:
        """One loss per example, in nats, shape (N,), at least -alpha log K."""
        log_p_NK = widen(logits_NK).log_softmax(dim=1)
        hard_N = -log_p_NK.gather(1, labels_N[:, None]).squeeze(1)
        entropy_N = (log_p_NK.exp() * -log_p_NK).sum(dim=1)
        return hard_N - self.alpha * entropy_N


def one_hot_like(logits_NK: Tensor, labels_N: Tensor) -> Tensor:
    """The one-hot distribution q of each label, in the widened type of the logits, shape (N, K).

    Source: q(k|x) of section 2.

    >>> one_hot_like(torch.zeros(1, 3), torch.tensor([2]))
    tensor([[0., 0., 1.]])
    """
    return one_hot(labels_N, logits_NK.shape[1]).to(widen(logits_NK).dtype)


def peaked(logits_NK: Tensor, labels_N: Tensor, top_N: Tensor) -> Tensor:
    """Distributions with top_N on the label and the rest spread evenly over the other K - 1.

    Args:
        logits_NK: shape (N, K); only shape and type are used.
        labels_N: class ids, integers of shape (N,).
        top_N: the label's probability, shape (N,).

    Returns:
        Shape (N, K), each row sums to 1.

    Source: Yuan et al. 2020, the designed teacher of Tf-KD reg.

    >>> peaked(torch.zeros(1, 3), torch.tensor([0]), torch.tensor([0.5]))
    tensor([[0.5000, 0.2500, 0.2500]])
    """
    hot_NK = one_hot_like(logits_NK, labels_N)
    top_N1 = top_N[:, None]
    return hot_NK * top_N1 + (1.0 - hot_NK) * (1.0 - top_N1) / (logits_NK.shape[1] - 1)
