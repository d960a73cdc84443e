"""What changes while a recipe trains, and nothing else; a checkpoint holds all of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import nn

from kdcheck.engine.adamw import AdamW
from kdcheck.engine.finite import FiniteGuard
from kdcheck.evidence.evidence import EvaluationPoint


@dataclass
class State:
    """Model, optimiser and counts between two steps."""

    device: torch.device
    model: nn.Module
    optimizer: AdamW
    scaler: torch.amp.GradScaler
    guard: FiniteGuard
    micro_batch: int
    """Most examples that go through the model at once; halved where memory runs out."""
    step: int = 0
    """Optimiser steps taken."""
    points: list[EvaluationPoint] = field(default_factory=list)
    cost: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: list[str] = field(default_factory=list)
