"""A task made ready for one encoder: tokenised once, cut to the rows of a recipe, its vocabulary."""

# Shapes: B examples of one batch, K classes.

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from kdcheck.encoders import Encoder, Tokenized, check_label_map
from kdcheck.engine.dropout import replace_dropout
from kdcheck.engine.packing import PackedBatch, pack, packed_logits, use_packing
from kdcheck.engine.streams import stream_seed
from kdcheck.recipe import Recipe, Rows
from kdcheck.tasks import SPLITS, Split, Task

WHOLE = Rows(None, None, None, None)
MOST_PACKED = 64 * 2**20
"""Bytes of packed batches that a process keeps: those of a few runs of the embedded scale."""


@dataclass(frozen=True)
class Inputs:
    """A task tokenised for an encoder; shared by all runs on the same rows in a process."""

    task: Task
    """The examples in use."""
    task_digest: str
    """Digest of the whole task that they are of."""
    rows: Rows
    """Which of its rows they are."""
    encoder: Encoder
    max_length: int
    """Longest text in tokens."""
    tokenized: Mapping[str, Tokenized]
    """By split."""
    vocabulary: npt.NDArray[np.int64]
    """Token ids that any example in use has, rising: the rows of the trained embedding table."""
    row_of_token: npt.NDArray[np.int64]
    """From token id to row of the trained table; -1 for ids that no example in use has."""

    def cut(self, rows: Rows) -> Inputs:
        """The whole task cut to the rows of a recipe: those that its seed draws for training, and
        for validation and test the same ones whatever the seed.

        Raises:
            TaskError: more rows than there are.
        """
        assert self.rows == WHOLE, "cut once, from the whole"
        if rows == WHOLE:
            return self
        part = _cut(self.task, rows)
        tokenized = {
            name: _tokens_of(part.split(name), self.task.split(name), self.tokenized[name])
            for name in SPLITS
        }
        cut = replace(self, task=part, rows=rows, tokenized=tokenized)
        return replace(cut, **_vocabulary(tokenized, self.encoder))

    def build(self, recipe: Recipe) -> nn.Module:
        """The classifier at step 0: pre-trained weights, head from the recipe's init stream."""
        model = self.encoder.build(
            num_classes=self.task.num_classes,
            seed=stream_seed(recipe.seed, "init"),
            dropout=recipe.dropout,
            head_dropout=recipe.head_dropout,
            vocabulary=self.vocabulary,
        )
        return use_packing(replace_dropout(model))

    def batch(self, split: str, rows_B: npt.NDArray[np.int64]) -> PackedBatch:
        """Some examples of a split, packed, on the CPU."""
        return _lately.packed(self, split, rows_B)

    def logits(self, model: nn.Module, batch: PackedBatch) -> Tensor:
        """The model's logits of a batch, shape (B, K)."""
        return packed_logits(model, batch)


class _Lately:
    """Batches that were packed last. Runs of one seed see the same, and packing is a tenth of a short step."""

    def __init__(self) -> None:
        self._batches: OrderedDict[Any, tuple[PackedBatch, int, Inputs]] = OrderedDict()
        self._bytes = 0

    def packed(self, inputs: Inputs, split: str, rows_B: npt.NDArray[np.int64]) -> PackedBatch:
        """The batch of some rows, from here if it is here."""
        key = (id(inputs), split, rows_B.tobytes())
        if key in self._batches:
            self._batches.move_to_end(key)
            return self._batches[key][0]
        batch = pack(inputs.tokenized[split], rows_B, inputs.row_of_token)
        # Ids, types and positions; per head where a token stands in attention, back, and whether it is one.
        per_token = 24 + 20 * inputs.encoder.config.num_attention_heads
        size = batch.input_ids.numel() * per_token
        self._batches[key] = batch, size, inputs  # its id is no other's as long as it is held here
        self._bytes += size
        while self._bytes > MOST_PACKED:
            _, (_, gone, _) = self._batches.popitem(last=False)
            self._bytes -= gone
        return batch


_lately = _Lately()


def prepare(
    task: Task,
    encoder: Encoder,
    max_length: int,
    tokenized: Mapping[str, Tokenized] | None = None,
) -> Inputs:
    """A whole task for one encoder, texts longer than so many tokens cut.

    Tokenised here, unless that was done for an encoder with the same tokenizer.
    """
    check_label_map(encoder, task.classes)
    encoder.check_length(max_length)
    if tokenized is None:
        tokenized = {name: encoder.tokenize(task.split(name).texts, max_length) for name in SPLITS}
    vocabulary = _vocabulary(tokenized, encoder)
    return Inputs(task, task.digest, WHOLE, encoder, max_length, tokenized, **vocabulary)


def prepare_cut(task: Task, encoder: Encoder, max_length: int, rows: Rows) -> Inputs:
    """What :func:`prepare` and :meth:`Inputs.cut` make together, of the rows in use alone."""
    part = prepare(_cut(task, rows), encoder, max_length)
    return replace(part, task_digest=task.digest, rows=rows)


def _cut(task: Task, rows: Rows) -> Task:
    drawn = task.subset(train=rows.train, seed=rows.seed or 0)
    return drawn.subset(validation=rows.validation, test=rows.test)


def _tokens_of(part: Split, whole: Split, tokenized: Tokenized) -> Tokenized:
    """The tokens of some examples of a split, found by id."""
    if part is whole:
        return tokenized
    row_of = {example: row for row, example in enumerate(whole.ids)}
    return tokenized.take([row_of[example] for example in part.ids])


def _vocabulary(tokenized: Mapping[str, Tokenized], encoder: Encoder) -> Mapping[str, Any]:
    # Rows of the embedding table that no example uses have zero gradient, and without weight decay
    # AdamW never moves them: leaving them out changes nothing but the work.
    row_of_token = np.full(encoder.config.vocab_size, -1, dtype=np.int64)
    ids = np.concatenate([ids for part in tokenized.values() for ids in part.ids])
    used = np.flatnonzero(np.bincount(ids))
    row_of_token[used] = np.arange(len(used))
    return {"vocabulary": used.astype(np.int64), "row_of_token": row_of_token}
