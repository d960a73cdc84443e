"""The examples of one split, by column: what every step in the making of a task hands on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kdcheck.errors import TaskError

SPLITS = ("train", "validation", "test")


def sha256_of_json(value: object) -> str:
    """The digest of JSON values."""
    # ASCII escapes keep the bytes the same whatever the platform does with Unicode.
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode("ascii")).hexdigest()


@dataclass(frozen=True, kw_only=True, repr=False)
class Split:
    """The examples of one split, by column; nothing in it can be changed."""

    ids: tuple[str, ...]
    """Stable name of each example, unique within the task."""
    texts: tuple[tuple[str, ...], ...]
    """Per example, one string per text column."""
    labels: tuple[int, ...]
    """Class of each example, 0 to K - 1."""

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.texts) == len(self.labels):
            got = f"{len(self.ids)} ids, {len(self.texts)} texts, {len(self.labels)} labels"
            wanted = "as many of each"
            raise TaskError("Split", got, wanted, "Build the three columns from the same rows.")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Split({len(self)} examples, digest {self.digest[:8]})"

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over ids, texts and labels, in their order."""
        return sha256_of_json([self.ids, self.texts, self.labels])

    def take(self, rows: Sequence[int]) -> Split:
        """The given rows, in the given order."""
        return Split(
            ids=tuple(self.ids[row] for row in rows),
            texts=tuple(self.texts[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
        )
