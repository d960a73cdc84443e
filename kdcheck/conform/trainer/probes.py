"""A student and a teacher that write down what they are asked, and how."""

# N rows, L tokens, K classes, W width

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import torch
from torch import Tensor, nn

from kdcheck.conform.trainer.tiny_rows import (
    CLASSES,
    PADDING,
    VOCABULARY,
    WORDS_PER_CLASS,
    Content,
    Rows,
)

WIDTH = 12
Place = tuple[str, int]
"""Split and number of a row."""
UNKNOWN: Place = ("unknown", -1)
"""What no split holds: a row that lost its token types, or was altered in another way."""
STRANGER = -1
"""In the place of the token type where none was given."""


@dataclass(frozen=True)
class Asked:
    """One forward pass."""

    places_N: tuple[Place, ...]
    training: bool
    """Whether the module was in train mode."""
    learns: bool
    """Whether gradients were on."""
    tokens: int
    """L, padding included."""
    logits_NK: Tensor
    weight_bytes: int
    """Of one weight of the module's head."""


class Log:
    """What student and teacher were asked, in order; copies of a module write into one log."""

    def __init__(self, splits: Mapping[str, Rows]) -> None:
        self._places: dict[Content, Place] = {
            content: (name, at)
            for name, rows in splits.items()
            for at, content in enumerate(rows.contents)
        }
        self.student: list[Asked] = []
        self.teacher: list[Asked] = []
        self.born = ""
        """Digest of the weights that the last student began with."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def write(
        self, into: list[Asked], module: Student | Teacher, seen: _Seen, logits_NK: Tensor
    ) -> None:
        """Note a forward pass."""
        places = tuple(self._places.get(content, UNKNOWN) for content in seen.contents())
        asked = Asked(
            places,
            module.training,
            torch.is_grad_enabled(),
            seen.ids_NL.shape[1],
            logits_NK.detach(),
            weight_bytes=module.head.weight.element_size(),
        )
        into.append(asked)

    @property
    def lessons(self) -> list[Asked]:
        """What the student was trained on, pass by pass."""
        return [asked for asked in self.student if asked.learns]


@dataclass(frozen=True)
class _Seen:
    ids_NL: Tensor
    mask_NL: Tensor
    types_NL: Tensor | None

    @classmethod
    def of(cls, ids_NL: Tensor, mask_NL: Tensor | None, types_NL: Tensor | None) -> Self:
        mask_NL = torch.ones_like(ids_NL) if mask_NL is None else mask_NL
        return cls(ids_NL, mask_NL, types_NL)

    def contents(self) -> list[Content]:
        # Padding is told by its token here, so that a lost mask is seen by what it does to posteriors.
        types_NL = (
            torch.full_like(self.ids_NL, STRANGER) if self.types_NL is None else self.types_NL
        )
        return [
            tuple((int(i), int(t)) for i, t in zip(ids, types, strict=True) if i != PADDING)
            for ids, types in zip(self.ids_NL.tolist(), types_NL.tolist(), strict=True)
        ]


class Output(dict[str, Tensor]):
    """``output.logits``, and ``output.loss`` where labels were given: as the library's models answer."""

    @property
    def logits(self) -> Tensor:
        """Shape (N, K)."""
        return self["logits"]

    @property
    def loss(self) -> Tensor:
        """Mean cross-entropy in nats."""
        return self["loss"]


class Student(nn.Module):
    """A bag of words with token types; its head starts at zero, so that no class is like no other.

    It answers as a model of the transformers library does: ``student(**batch).logits``.
    """

    def __init__(self, log: Log, dropout: float) -> None:
        super().__init__()
        self.log = log
        self.config = SimpleNamespace(problem_type=None)  # which the library's Trainer asks for
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        log.born = digest_of(self)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Output:
        """Logits, and the mean cross-entropy where there are labels."""
        seen = _Seen.of(input_ids, attention_mask, token_type_ids)
        words_NLW = self.words(input_ids)
        if token_type_ids is not None:
            words_NLW = words_NLW * self.types(token_type_ids)
        mask_NL1 = seen.mask_NL[..., None].to(words_NLW.dtype)
        mean_NW = (words_NLW * mask_NL1).sum(dim=1) / mask_NL1.sum(dim=1)
        logits_NK = self.head(self.dropout(torch.tanh(self.hidden(mean_NW))))
        self.log.write(self.log.student, self, seen, logits_NK)
        output = Output(logits=logits_NK)
        if labels is not None:
            output["loss"] = nn.functional.cross_entropy(logits_NK, labels)
        return output


class Teacher(nn.Module):
    """Knows the words of each class; its dropout and running statistics tell in which mode it is asked.

    Args:
        log: where it writes.
        says_KK: its logits for one word of class k in the second text, row k.
    """

    def __init__(self, log: Log, says_KK: Tensor) -> None:
        super().__init__()
        self.log = log
        self.norm = nn.BatchNorm1d(CLASSES)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(CLASSES, CLASSES)
        with torch.no_grad():
            self.head.weight.copy_(says_KK.T)
            self.head.bias.zero_()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,  # noqa: ARG002 - the signature of the library's models
    ) -> Output:
        """Logits from the words of each class that it was shown."""
        seen = _Seen.of(input_ids, attention_mask, token_type_ids)
        class_NL = torch.where(input_ids > 0, (input_ids - 1) // WORDS_PER_CLASS, CLASSES)
        counts_NLK = nn.functional.one_hot(class_NL.clamp(max=CLASSES), CLASSES + 1)[..., :CLASSES]
        if token_type_ids is not None:
            counts_NLK = counts_NLK * token_type_ids[..., None]
        counts_NK = (counts_NLK * seen.mask_NL[..., None]).sum(dim=1).to(self.head.weight.dtype)
        logits_NK = self.head(self.dropout(self.norm(counts_NK)))
        self.log.write(self.log.teacher, self, seen, logits_NK)
        return Output(logits=logits_NK)


def digest_of(module: nn.Module) -> str:
    """sha256 over names and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
