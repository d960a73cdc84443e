"""Logits of a model on a split: dropout off, in order, and counted."""

# Shapes: N examples, K classes, B examples of one batch.

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kdcheck.engine.inputs import Inputs
from kdcheck.engine.memory import free_cache, too_little_memory
from kdcheck.engine.streams import sample_rows
from kdcheck.evidence.record import Predictions

TOKENS_PER_BATCH = 8192
"""Real tokens of one evaluation batch: large enough for the matrix units, small enough for caches."""


class Tally(Protocol):
    """What :func:`predict` adds its counts to: a mapping from name to number.

    Source: none.

    >>> from collections import defaultdict
    >>> tally: Tally = defaultdict(float)
    >>> tally["predicted_rows/test"] += 3
    """

    def __getitem__(self, name: str, /) -> float: ...
    def __setitem__(self, name: str, value: float, /) -> None: ...


def predict(
    model: nn.Module,
    inputs: Inputs,
    split: str,
    *,
    device: torch.device,
    sample: int | None = None,
    autocast: Callable[[], torch.autocast] | None = None,
    tally: Tally | None = None,
) -> Predictions:
    """Logits in eval mode, float32, in the order of the split; smaller batches where memory runs out.

    Args:
        model: a classifier whose vocabulary is that of ``inputs``; its mode is put back after.
        inputs: the tokenised task.
        split: ``train``, ``validation`` or ``test``.
        device: where the model is.
        sample: only so many examples, drawn at random, the same ones in every run of a task.
        autocast: makes the context the model was trained in, if any.
        tally: ``predicted_rows/<split>`` is added to it, ``.../<split>_sample`` for a sample.

    Returns:
        One row of logits per example, with ids and labels.

    Raises:
        TrainingError: memory does not suffice for one example.

    Source: the posteriors behind Tables 2 to 5; dropout off, temperature 1.

    >>> predict.__defaults__ is None
    True
    """
    part = inputs.task.split(split)
    rows_N = np.arange(len(part))
    if sample is not None:
        rows_N = sample_rows(len(part), sample)
        part = part.take(rows_N.tolist())
    lengths_N = inputs.tokenized[split].lengths[rows_N]
    was_training = model.training
    model.eval()
    logits_NK = torch.empty(len(rows_N), inputs.task.num_classes, dtype=torch.float32)
    pieces: list[tuple[np.ndarray, Tensor]] = []
    left = _batches(lengths_N)
    with torch.inference_mode():
        while left:
            try:
                batch = inputs.batch(split, rows_N[left[0]]).to(device)
                with autocast() if autocast else torch.autocast(device.type, enabled=False):
                    pieces.append((left[0], inputs.logits(model, batch)))
            except torch.OutOfMemoryError as error:
                what = str(error)
            else:
                left = left[1:]
                continue
            # Only here, outside the handler, are the tensors of the failed try gone.
            if len(left[0]) == 1:
                raise too_little_memory(f"logits on {split}", device, "one example", what)
            free_cache(device)
            # Batches have about the same number of tokens: the others would not fit either.
            left = [half for whole in left for half in np.array_split(whole, 2) if len(half)]
    for places_B, logits_BK in pieces:  # copied after the last launch: one wait, not one per batch
        logits_NK[torch.from_numpy(places_B)] = logits_BK.float().cpu()
    model.train(was_training)
    if tally is not None:
        tally[f"predicted_rows/{split}{'' if sample is None else '_sample'}"] += len(rows_N)
    return Predictions(
        ids=part.ids,
        labels_N=np.asarray(part.labels, dtype=np.int64),
        logits_NK=logits_NK.numpy(),
    )


def _batches(lengths_N: np.ndarray) -> list[np.ndarray]:
    """Places of similar length together, about TOKENS_PER_BATCH real tokens a batch."""
    by_length = np.argsort(lengths_N, kind="stable")
    batch_of_row = np.cumsum(lengths_N[by_length]) // TOKENS_PER_BATCH
    cuts = np.flatnonzero(np.diff(batch_of_row)) + 1
    return [rows for rows in np.split(by_length, cuts) if len(rows)]
