"""How large tasks and encoders are: of the files at hand, else as published, and said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from kdcheck.encoders import configuration, load_encoder
from kdcheck.errors import EncoderError
from kdcheck.places import Places
from kdcheck.study.resources import encoders_of
from kdcheck.study.scale import Scale
from kdcheck.tasks import SPLITS, Task, load_task
from kdcheck.tasks.glue import GLUE

SAMPLE = 5_000
"""Rows of a split whose tokens are counted, evenly spaced; the whole of a large one takes minutes."""


@dataclass(frozen=True, kw_only=True)
class TaskSize:
    """A task as a scale uses it."""

    classes: int
    rows: Mapping[str, int]
    """Split: rows in use."""
    tokens: Mapping[str, float]
    """Split: mean tokens of a row, special ones included."""
    vocabulary: int | None = None
    """Distinct tokens of so many rows; none: unknown, hence all that the encoder has."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An encoder, as far as its arithmetic goes."""

    name: str
    layers: int
    width: int
    inner: int
    """Width between the two products of a feed-forward part."""
    vocabulary: int
    positions: int

    def parameters(self, vocabulary: int | None = None) -> int:
        """Weights that are trained, with so many rows of the embedding table."""
        tables = (vocabulary or self.vocabulary) + self.positions
        return self.width * tables + self.layers * (self.products + 9 * self.width) + self.width**2

    @property
    def products(self) -> int:
        """Weights of one layer that multiply: queries, keys, values, output, and feed-forward."""
        return 4 * self.width**2 + 2 * self.width * self.inner

    def forward_flops(self, tokens: float, length: float, examples: float) -> float:
        """Twice the multiply-adds of a forward pass over tokens in rows of a mean length."""
        attention = 2 * length * self.width
        return 2 * tokens * self.layers * (self.products + attention) + 2 * examples * self.width**2


class Sizes:
    """Sizes of what a scale names; ``notes`` says what was not at hand, once it was asked for."""

    def __init__(self, scale: Scale, places: Places) -> None:
        self.notes: dict[str, None] = {}
        self._scale, self._places = scale, places
        self.names = encoders_of(scale)
        self.task = cache(self._task)
        self.shape = cache(self._shape)

    def _shape(self, name: str) -> Shape:
        folders = {"model_dir": self._places.model_dir, "cache_dir": self._places.cache_dir}
        config, at_hand = configuration(name, **folders)
        if not at_hand:
            self._note(f"{name} is not at hand: its shape is that of the published model.")
        values: dict[str, Any] = config.to_dict()
        return Shape(
            name=name,
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            inner=values.get("intermediate_size") or values["hidden_dim"],
            vocabulary=config.vocab_size,
            positions=config.max_position_embeddings,
        )

    def _task(self, name: str, max_length: int) -> TaskSize:
        cut = self._scale.rows.get(name, {})
        if name in GLUE and self._places.data_dir is None:
            glue = GLUE[name]
            self._note(f"{name} is not at hand (--data-dir): rows and lengths are as published.")
            published = {split: min(mean, max_length) for split, mean in glue.tokens.items()}
            rows = {split: cut.get(split, count) for split, count in glue.sizes.items()}
            return TaskSize(classes=len(glue.layout.classes), rows=rows, tokens=published)
        task = load_task(name, data_dir=self._places.data_dir, cache_dir=self._places.cache_dir)
        task.check_sizes(cut)
        for note in task.origin.notes:
            if "a subset" in note:
                self._note(f"{name}, {note}.")
        rows = {split: cut.get(split, len(task.split(split))) for split in SPLITS}
        tokens, vocabulary = self._tokens(task, rows, max_length)
        return TaskSize(classes=task.num_classes, rows=rows, tokens=tokens, vocabulary=vocabulary)

    def _tokens(
        self, task: Task, rows: Mapping[str, int], max_length: int
    ) -> tuple[Mapping[str, float], int | None]:
        name = self.names["smaller"]
        places = self._places
        if not configuration(name, model_dir=places.model_dir, cache_dir=places.cache_dir)[1]:
            if task.name in GLUE:
                self._note(
                    f"{task.name}: its lengths are as published, since no tokenizer is at hand."
                )
                return GLUE[task.name].tokens, None
            got, wanted = f"task {task.name!r} and no tokenizer", f"the files of {name}"
            step = "Name the folder of encoders with --model-dir."
            raise EncoderError("plan", got, wanted, step)
        encoder = load_encoder(name, model_dir=places.model_dir, cache_dir=places.cache_dir)
        means: dict[str, float] = {}
        seen: list[npt.NDArray[np.int32]] = []
        for split in SPLITS:
            texts = task.split(split).texts
            size = min(rows[split], SAMPLE)
            places_S = np.linspace(0, len(texts) - 1, size).astype(int)
            tokenized = encoder.tokenize([texts[row] for row in places_S], max_length)
            means[split] = float(tokenized.lengths.mean())
            seen += tokenized.ids
        return means, len(np.unique(np.concatenate(seen)))

    def _note(self, text: str) -> None:
        self.notes[text] = None
