"""A task made ready for one encoder: tokenised once, with the vocabulary that it uses."""

# Shapes: B examples of one batch, K classes.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from kdcheck.encoders import Encoder, Tokenized, check_label_map
from kdcheck.engine.dropout import replace_dropout
from kdcheck.engine.packing import PackedBatch, pack, packed_logits, use_packing
from kdcheck.engine.streams import stream_seed
from kdcheck.recipe import Recipe
from kdcheck.tasks import SPLITS, Task


@dataclass(frozen=True)
class Inputs:
    """A task tokenised for an encoder; shared by all its runs in a process."""

    task: Task
    encoder: Encoder
    max_length: int
    """Longest text in tokens."""
    tokenized: Mapping[str, Tokenized]
    """By split."""
    vocabulary: npt.NDArray[np.int64]
    """Token ids that any split uses, rising: the rows of the trained embedding table."""
    row_of_token: npt.NDArray[np.int64]
    """From token id to row of the trained table; -1 for ids that no split uses."""

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
        return pack(self.tokenized[split], rows_B, self.row_of_token)

    def logits(self, model: nn.Module, batch: PackedBatch) -> Tensor:
        """The model's logits of a batch, shape (B, K)."""
        return packed_logits(model, batch)


def prepare(task: Task, encoder: Encoder, max_length: int) -> Inputs:
    """Tokenise every split of a task once, texts longer than so many tokens cut."""
    check_label_map(encoder, task.classes)
    tokenized = {name: encoder.tokenize(task.split(name).texts, max_length) for name in SPLITS}
    # Rows of the embedding table that no example uses have zero gradient, and without weight decay
    # AdamW never moves them: leaving them out changes nothing but the work.
    used = np.unique(np.concatenate([ids for part in tokenized.values() for ids in part.ids]))
    row_of_token = np.full(encoder.config.vocab_size, -1, dtype=np.int64)
    row_of_token[used] = np.arange(len(used))
    return Inputs(task, encoder, max_length, tokenized, used.astype(np.int64), row_of_token)
