"""What a trainer under check is asked to do, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from kdcheck.conform.trainer.tiny_rows import Collate, Rows

Method = Literal["erm", "ls", "kd"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training that :func:`kdcheck.check_trainer` asks for: data, teacher, objective, seed, options.

    A trainer that cannot do what a job asks raises ``NotImplementedError("why")``: what is checked by
    it is then reported as not run. An option that is passed over in silence is noticed, and reported
    as not run, too.
    """

    method: Method
    """``erm``: plain training. ``ls``: label smoothing. ``kd``: distillation."""
    alpha: float
    """Weight of the soft term, 0 to 1; 0 with ``erm``."""
    temperature: float
    """tau on both sides of the divergence."""
    teacher: nn.Module | None
    """``teacher(**inputs).logits``; handed over in train mode, as a model fresh from training is."""
    make_student: Callable[[], nn.Module]
    """A new student, ``student(**inputs).logits``, its weights from torch's global generator."""
    train: Rows
    """``torch.utils.data.Dataset`` of ``input_ids``, ``attention_mask``, ``token_type_ids``, ``labels``."""
    validation: Rows
    test: Rows
    """To be read once, when training is over."""
    collate: Collate
    """Rows to a batch, with the padding that the job asks for."""
    seed: int
    epochs: int = 3
    batch_size: int = 8
    """Examples of one optimiser step, whatever ``parts`` is."""
    learning_rate: float = 0.02
    """Whatever optimiser and schedule the trainer has."""
    parts: int = 1
    """In how many parts a step is taken: gradient accumulation."""
    precision: Precision = "float32"
    evaluate_every: int = 0
    """Read the validation split after so many steps, 0 for never."""
    folder: Path
    """An empty folder for checkpoints; that of the first half where ``resume`` is set."""
    stop_after: int = 0
    """Stop after so many steps as if killed, with a checkpoint; 0 for never."""
    resume: bool = False
    """Go on from the checkpoint in ``folder``."""


Trainer = Callable[[Job], Tensor]
"""Trains as the job says and returns posteriors of the test rows in their order, shape (M, K)."""
