"""Tiny rows to train on: pairs of texts as token ids, whose label only a reader of token types can tell."""

# N rows, L tokens, K classes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

CLASSES = 3
WORDS_PER_CLASS = 4
NEUTRAL_WORDS = 8
PADDING = 0
VOCABULARY = 1 + CLASSES * WORDS_PER_CLASS + NEUTRAL_WORDS
SIZES = {"train": 46, "validation": 12, "test": 15}
"""No multiples of a batch: the last batch of an epoch is a small one."""

Content = tuple[tuple[int, int], ...]
"""A row as a model sees it: token and token type of every place that is no padding."""


class Rows(Dataset[dict[str, Tensor]]):
    """One split. Row i is a dictionary of what a Hugging Face tokenizer gives, and its label.

    >>> row = tiny_rows(seed=0)["train"][0]
    >>> sorted(row), row["labels"].dtype
    (['attention_mask', 'input_ids', 'labels', 'token_type_ids'], torch.int64)
    """

    def __init__(self, contents: Sequence[Content], labels: Sequence[int]) -> None:
        self.contents, self.labels = tuple(contents), tuple(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: int) -> dict[str, Tensor]:
        ids, types = zip(*self.contents[at], strict=True)
        return {
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.ones(len(ids), dtype=torch.long),
            "token_type_ids": torch.tensor(types),
            "labels": torch.tensor(self.labels[at]),
        }

    def relabelled(self, new_class: Sequence[int]) -> Rows:
        """The same rows with class k called ``new_class[k]``."""
        return Rows(self.contents, [new_class[label] for label in self.labels])


def tiny_rows(seed: int) -> dict[str, Rows]:
    """Train, validation and test rows, no two of them alike.

    The second text holds two words of the row's class, the first one word of any class: who drops the
    token types cannot tell which of them count.
    """
    rng = np.random.default_rng(seed)
    seen: set[Content] = set()
    splits = {}
    for name, size in SIZES.items():
        rows: list[tuple[Content, int]] = []
        while len(rows) < size:
            label = int(rng.integers(CLASSES))
            content = _content(rng, label)
            if content not in seen:
                seen.add(content)
                rows.append((content, label))
        splits[name] = Rows(*zip(*rows, strict=True))
    return splits


def _content(rng: np.random.Generator, label: int) -> Content:
    first = [*_neutral(rng), _word(rng, int(rng.integers(CLASSES)))]
    second = [*_neutral(rng), _word(rng, label), _word(rng, label)]
    return tuple(
        (int(word), kind)
        for kind, text in enumerate((first, second))
        for word in rng.permutation(text)
    )


def _word(rng: np.random.Generator, of_class: int) -> int:
    return 1 + of_class * WORDS_PER_CLASS + int(rng.integers(WORDS_PER_CLASS))


def _neutral(rng: np.random.Generator) -> list[int]:
    words = rng.integers(NEUTRAL_WORDS, size=rng.integers(1, 4))
    return [1 + CLASSES * WORDS_PER_CLASS + int(word) for word in words]


@dataclass(frozen=True)
class Collate:
    """Rows as a batch: padded to the longest of them, or to ``pad_to`` tokens where that is more."""

    pad_to: int = 0

    def __call__(self, rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """A batch of tensors of shape (N, L), and labels of shape (N,)."""
        length = max(self.pad_to, *(len(row["input_ids"]) for row in rows))
        batch = {"labels": torch.stack([row["labels"] for row in rows])}
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            padded = [
                torch.nn.functional.pad(row[name], (0, length - len(row[name])), value=PADDING)
                for row in rows
            ]
            batch[name] = torch.stack(padded)
        return batch
