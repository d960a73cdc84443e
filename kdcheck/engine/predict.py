"""Logits of a model on a split: dropout off, in order, and counted."""

# Shapes: N examples, K classes, B examples of one batch.

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kdcheck.engine.inputs import Inputs
from kdcheck.engine.memory import free_cache, ran_out, too_little_memory
from kdcheck.engine.streams import sample_rows
from kdcheck.evidence.evidence import Predictions
from kdcheck.tasks import Split

TOKENS_PER_BATCH = 8192
"""Real tokens of one evaluation batch: large enough for the matrix units, small enough for caches."""


TRAIN_SAMPLE, TEST_SAMPLE = "train_sample", "test_sample"
SAMPLES = {TRAIN_SAMPLE: "train", TEST_SAMPLE: "test"}
"""Names of the samples that curves follow, beside the names of the splits that they are of."""


class Tally(Protocol):
    """What :func:`predict` adds its counts to: a mapping from name to number."""

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
    """Float32 logits in eval mode, in the order of the split, or of a sample of so many examples.

    The model's mode is put back after. ``autocast`` makes the context that it was trained in, if any;
    ``predicted_rows/<split>`` (``.../<split>_sample``) of the tally counts the rows.
    """
    part, rows_N = examples_of(inputs, split, sample)
    lengths_N = inputs.tokenized[split].lengths[rows_N]
    was_training = model.training
    model.eval()
    logits_NK = torch.empty(len(rows_N), inputs.task.num_classes, dtype=torch.float32)
    pieces: list[tuple[npt.NDArray[np.int64], Tensor]] = []
    left = _batches(lengths_N)
    with torch.inference_mode():
        while left:
            try:
                batch = inputs.batch(split, rows_N[left[0]]).to(device)
                with autocast() if autocast else torch.autocast(device.type, enabled=False):
                    pieces.append((left[0], inputs.logits(model, batch)))
            except RuntimeError as error:
                if not ran_out(error):
                    raise
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
        ids=part.ids, labels_N=np.asarray(part.labels, dtype=np.int64), logits_NK=logits_NK.numpy()
    )


def examples_of(
    inputs: Inputs, split: str, sample: int | None = None
) -> tuple[Split, npt.NDArray[np.int64]]:
    """The examples that a look at a split sees, the same in all runs on its rows, and their rows."""
    part = inputs.task.split(split)
    if sample is None:
        return part, np.arange(len(part))
    rows_N = sample_rows(len(part), sample)
    return part.take(rows_N.tolist()), rows_N


def _batches(lengths_N: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Places of similar length together, about TOKENS_PER_BATCH real tokens a batch."""
    by_length = np.argsort(lengths_N, kind="stable")
    batch_of_row = np.cumsum(lengths_N[by_length]) // TOKENS_PER_BATCH
    cuts = np.flatnonzero(np.diff(batch_of_row)) + 1
    return [rows for rows in np.split(by_length, cuts) if len(rows)]
