"""Training objectives: pure functions from logits, labels and teacher logits to one loss each.

Two forms of the same formulas: functions (:mod:`.losses`), which check their arguments, and frozen
objects (:mod:`.members`), which a recipe stores and the training loop calls without checks.
"""

from kdcheck.objectives.losses import (
    confidence_penalty,
    distillation,
    erm,
    instance_smoothing,
    label_smoothing,
    self_training_distillation,
    virtual_teacher_distillation,
)
from kdcheck.objectives.members import (
    ERM,
    ConfidencePenalty,
    Distillation,
    InstanceSmoothing,
    LabelSmoothing,
    SelfTraining,
    VirtualTeacher,
)
from kdcheck.objectives.objective import Objective, from_dict, registered
from kdcheck.objectives.origin import load_modules, modules_of
from kdcheck.objectives.targets import TargetView, target_view

__all__ = [
    "ERM",
    "ConfidencePenalty",
    "Distillation",
    "InstanceSmoothing",
    "LabelSmoothing",
    "Objective",
    "SelfTraining",
    "TargetView",
    "VirtualTeacher",
    "confidence_penalty",
    "distillation",
    "erm",
    "from_dict",
    "instance_smoothing",
    "label_smoothing",
    "load_modules",
    "modules_of",
    "registered",
    "self_training_distillation",
    "target_view",
    "virtual_teacher_distillation",
]
