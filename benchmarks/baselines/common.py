"""What the baselines share: the work to do, and padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kdcheck.engine.inputs import Inputs
from kdcheck.recipe import Recipe


@dataclass(frozen=True)
class Work:
    """Some steps of distillation, the same rows in the same order for everyone."""

    recipe: Recipe
    inputs: Inputs
    batches: list[np.ndarray]
    labels_N: Tensor
    teacher_logits_NK: Tensor
    teacher: nn.Module
    """The library's own module, for those who ask it at each step."""


def padded(work: Work, rows_B: np.ndarray, length: int | None = None) -> dict[str, Tensor]:
    """A padded batch as the library takes it, to a fixed length or to the longest row."""
    part = work.inputs.tokenized["train"]
    longest = length or int(part.lengths[rows_B].max())
    real_BL = np.arange(longest) < part.lengths[rows_B][:, None]
    ids_BL, types_BL = (np.zeros(real_BL.shape, dtype=np.int64) for _ in range(2))
    ids_BL[real_BL] = np.concatenate([part.ids[row] for row in rows_B])
    types_BL[real_BL] = np.concatenate([part.types[row] for row in rows_B])
    return {
        "input_ids": torch.from_numpy(ids_BL),
        "token_type_ids": torch.from_numpy(types_BL),
        "attention_mask": torch.from_numpy(real_BL.astype(np.int64)),
    }


def distillation(logits_BK: Tensor, labels_B: Tensor, teacher_BK: Tensor, alpha: float) -> Tensor:
    """Eq. 2, averaged over a batch."""
    soft = nn.functional.kl_div(
        logits_BK.log_softmax(-1), teacher_BK.softmax(-1), reduction="batchmean"
    )
    return (1 - alpha) * nn.functional.cross_entropy(logits_BK, labels_B) + alpha * soft
