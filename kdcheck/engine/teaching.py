"""What a student learns from: labels, and its teacher's logits joined by example, softened, shuffled."""

# Shapes: N examples of the training split, K classes.

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kdcheck.engine.inputs import Inputs
from kdcheck.engine.streams import shuffled
from kdcheck.evidence.evidence import Predictions
from kdcheck.recipe import Recipe

Targets = tuple[Tensor, Tensor | None]
"""Labels of the training split and the teacher's logits on it, on the device: (N,) and (N, K)."""


def targets_of(
    recipe: Recipe, inputs: Inputs, teacher: Predictions | None, device: torch.device
) -> Targets:
    """What the objective learns from, in the order of the training split."""
    labels_N = torch.tensor(inputs.task.train.labels, device=device)
    if teacher is None:
        return labels_N, None
    aligned = teacher.aligned(inputs.task.train.ids)
    if recipe.teacher_shuffled:
        aligned = shuffle_confidences(aligned, recipe.seed)
    logits_NK = torch.from_numpy(aligned.logits_NK).to(device)
    if recipe.precision == "float64":
        logits_NK = logits_NK.double()
    return labels_N, logits_NK / recipe.teacher_temperature


def shuffle_confidences(teacher: Predictions, seed: int) -> Predictions:
    """The teacher's posteriors dealt out anew among the examples of which it predicts the same class.

    Each example keeps the teacher's prediction and gets another example's confidence. Which one
    depends on seed and ids alone, not on the order in which they come.
    """
    dealt_NK = teacher.logits_NK.copy()
    predicted_N = teacher.logits_NK.argmax(axis=1)
    by_id_N = np.array(sorted(range(len(teacher.ids)), key=teacher.ids.__getitem__))
    for predicted in range(teacher.logits_NK.shape[1]):
        rows: npt.NDArray[np.int64] = by_id_N[predicted_N[by_id_N] == predicted]
        dealt_NK[rows] = teacher.logits_NK[rows[shuffled(seed, predicted, len(rows))]]
    return Predictions(ids=teacher.ids, labels_N=teacher.labels_N, logits_NK=dealt_NK)
