"""C: nothing but the arithmetic of a step, over batches that lie ready; no schedule, no records."""

from __future__ import annotations

import time

import torch
from torch import nn

from baselines.common import Work, distillation


def train_bare(model: nn.Module, work: Work) -> float:
    """Seconds for the steps on a packed model; packing and joining are done beforehand."""
    alpha = work.recipe.objective.alpha
    ready = []
    for rows_B in work.batches:
        index = torch.from_numpy(rows_B)
        batch = work.inputs.batch("train", rows_B)
        ready.append((batch, work.labels_N[index], work.teacher_logits_NK[index]))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=work.recipe.learning_rate, weight_decay=0.0, fused=True
    )
    began = time.perf_counter()
    for batch, labels_B, teacher_BK in ready:
        optimizer.zero_grad(set_to_none=True)
        loss = distillation(work.inputs.logits(model, batch), labels_B, teacher_BK, alpha)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), work.recipe.clip_norm)
        optimizer.step()
    return time.perf_counter() - began
