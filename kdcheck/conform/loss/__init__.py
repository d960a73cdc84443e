"""Conformance of losses: the convention of anyone's distillation or smoothing loss, and its checks."""

from kdcheck.conform.loss.adapters import compute_loss, compute_loss_func
from kdcheck.conform.loss.checking import CHECKS, check_objective, checked_loss
from kdcheck.conform.loss.marking import parametrize_with_checks

__all__ = [
    "CHECKS",
    "check_objective",
    "checked_loss",
    "compute_loss",
    "compute_loss_func",
    "parametrize_with_checks",
]
