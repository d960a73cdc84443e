"""The target-distribution view: at tau = 1 every objective is a cross-entropy, up to a constant."""

# Shapes: N examples, K classes.

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcheck.errors import ParameterError
from kdcheck.information import widen
from kdcheck.objectives.members import Mixture, one_hot_like
from kdcheck.objectives.objective import Objective


@dataclass(frozen=True)
class TargetView:
    """A loss written as H(target, p) - constant, per example, in nats.

    Source: section 2, which states it for LS; for KD it follows in the same way.

    >>> from kdcheck.objectives import LabelSmoothing
    >>> view = target_view(LabelSmoothing(alpha=0.3), torch.zeros(1, 3), torch.tensor([0]))
    >>> view.constant_name
    'alpha log K'
    >>> view.targets_NK
    tensor([[0.8000, 0.1000, 0.1000]])
    """

    targets_NK: Tensor
    """(1 - alpha) q + alpha s, shape (N, K)."""
    constant_N: Tensor
    """alpha H(s), what the loss lies below H(target, p), shape (N,)."""
    constant_name: str
    """The constant in words."""


def target_view(
    objective: Objective,
    logits_NK: Tensor,
    labels_N: Tensor,
    teacher_logits_NK: Tensor | None = None,
) -> TargetView:
    """The mixture that an objective fits: loss = H((1 - alpha) q + alpha s, p) - alpha H(s).

    Args:
        objective: a mixture (any but the confidence penalty), at temperature 1.
        logits_NK: the model's, shape (N, K); only shape and type are used.
        labels_N: class ids, integers of shape (N,).
        teacher_logits_NK: the teacher's, shape (N, K), where the objective has one.

    Returns:
        Targets of shape (N, K), constants of shape (N,) in nats, and the constant's name.

    Raises:
        ParameterError: a temperature other than 1, or an objective whose target moves with the
            model, as the confidence penalty's does.

    Source: section 2 (q_ls); Eqs. 1 and 2.

    >>> from kdcheck.objectives import Distillation
    >>> kd, teacher = Distillation(alpha=0.5), torch.tensor([[0.0, 0.0]])
    >>> target_view(kd, torch.zeros(1, 2), torch.tensor([1]), teacher).targets_NK
    tensor([[0.2500, 0.7500]])
    """
    if not isinstance(objective, Mixture):
        wanted = "an objective with a fixed target"
        step = "This one's target moves with the model; see its gradient in kdcheck.theory."
        raise ParameterError("target_view", repr(objective), wanted, step)
    if objective.temperature != 1.0:
        step = "At other temperatures the two terms see different posteriors: no one target exists."
        raise ParameterError("target_view", repr(objective), "temperature 1", step)
    alpha, logits_NK = objective.alpha, widen(logits_NK)
    soft_NK = objective.soft_target(logits_NK, labels_N, teacher_logits_NK)
    return TargetView(
        targets_NK=(1.0 - alpha) * one_hot_like(logits_NK, labels_N) + alpha * soft_NK,
        constant_N=alpha * torch.special.entr(soft_NK).sum(dim=1),
        constant_name=objective.constant_name,
    )
