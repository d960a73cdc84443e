"""Decisions about rows that depend on their text alone: order, cuts, repeats (decisions 0020, 0021, 0112).

Nothing here draws random numbers: a hash of seed and text takes their place, so that the same
content gives the same split on every machine and in every library version.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kdcheck.tasks.split import Split

# A link and the mark of a retweet differ between copies of one and the same tweet.
_NOT_CONTENT = re.compile(r"https?://\S*|\brt @\w+:?|\bvia @\w+")
_WORD = re.compile(r"[^\W_]+")


def same_text(text: str) -> str:
    """What two texts have in common when a reader would call them the same.

    Letters and digits without case; links, retweet marks, punctuation and spacing are dropped.
    """
    folded = text.casefold()
    bare = _NOT_CONTENT.sub(" ", folded) if "@" in folded or "http" in folded else folded
    return " ".join(_WORD.findall(bare)) or " ".join(folded.split())


def _content_key(texts: Sequence[str]) -> tuple[str, ...]:
    """Key of an example; the two texts of a pair may stand in either order."""
    return tuple(sorted(same_text(text) for text in texts))


@lru_cache(maxsize=64)  # both encoders of a pair are trained on the rows that a seed draws
def content_order(split: Split, seed: int) -> Sequence[int]:
    """Row numbers in the order of sha256(seed, content); equal texts stand together."""
    start = f"{seed}\0".encode()
    keys = [
        (hashlib.sha256(start + content).digest(), example, row)
        for row, (example, content) in enumerate(zip(split.ids, _contents(split), strict=True))
    ]
    return tuple(row for _, _, row in sorted(keys))


@lru_cache(maxsize=8)
def _contents(split: Split) -> Sequence[bytes]:
    """What a seed is hashed with, row by row: the slow part, and the same for every seed."""
    return [
        "\0".join(_content_key(texts)).encode("utf-8", "surrogatepass") for texts in split.texts
    ]


def cut(split: Split, size: int, seed: int) -> tuple[Split, Split]:
    """Cut ``size`` rows out of a split: what is left, and what was taken. Both keep their order.

    Equal texts stand together in the content order, so at most one group of repeats is parted.
    """
    order = content_order(split, seed)
    return split.take(sorted(order[size:])), split.take(sorted(order[:size]))


def part_of(group: str, shares: Mapping[str, float], seed: int, *, rest: str) -> str:
    """The part that a group of rows goes to as a whole: each gets about its share of all groups."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    for part, share in shares.items():
        if place < share:
            return part
        place -= share
    return rest


def balance(split: Split, seed: int) -> Split:
    """As many rows of each class as of the rarest, the first in content order; row order is kept."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for row in content_order(split, seed):
        by_class[split.labels[row]].append(row)
    size = min(map(len, by_class.values()), default=0)
    return split.take(sorted(row for rows in by_class.values() for row in rows[:size]))


def overlap(first: Split, second: Split) -> int:
    """How many rows of the first have a text that also occurs in the second."""
    seen = {_content_key(texts) for texts in second.texts}
    return sum(_content_key(texts) in seen for texts in first.texts)


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """What :func:`drop_repeats` removed, in rows."""

    repeated: int
    """Further copies of a text that was kept once."""
    contradictory: int
    """All copies of texts whose copies carry different labels."""


def drop_repeats(parts: Mapping[str, Split]) -> tuple[dict[str, Split], Repeats]:
    """Keep each text once over all parts; where copies disagree on the label, keep none."""
    labels = defaultdict(set)
    for split in parts.values():
        for texts, label in zip(split.texts, split.labels, strict=True):
            labels[_content_key(texts)].add(label)
    seen: set[tuple[str, ...]] = set()
    kept, repeated, contradictory = {}, 0, 0
    for name, split in parts.items():
        rows = []
        for row, texts in enumerate(split.texts):
            key = _content_key(texts)
            if len(labels[key]) > 1:
                contradictory += 1
            elif key in seen:
                repeated += 1
            else:
                seen.add(key)
                rows.append(row)
        kept[name] = split.take(rows)
    return kept, Repeats(repeated=repeated, contradictory=contradictory)
