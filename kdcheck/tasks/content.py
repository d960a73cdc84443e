"""Decisions about rows that depend on their text alone: order, cuts, repeats.

Nothing here draws random numbers: a hash of seed and text takes their place, so that the same
content gives the same split on every machine and in every library version.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdcheck.tasks.split import Split

# A link and the mark of a retweet differ between copies of one and the same tweet.
_NOT_CONTENT = re.compile(r"https?://\S*|\brt @\w+:?|\bvia @\w+")
_WORD = re.compile(r"[^\W_]+")


def same_text(text: str) -> str:
    """What two texts have in common when a reader would call them the same.

    Letters and digits without case; links, retweet marks, punctuation and spacing are dropped.

    Source: decision 0021, repeated texts.

    >>> same_text("RT @Ann: So  GOOD! http://t.co/x") == same_text("so good")
    True
    >>> same_text("?!")
    '?!'
    """
    folded = text.casefold()
    bare = _NOT_CONTENT.sub(" ", folded) if "@" in folded or "http" in folded else folded
    return " ".join(_WORD.findall(bare)) or " ".join(folded.split())


def _content_key(texts: Sequence[str]) -> tuple[str, ...]:
    """Key of an example; the two texts of a pair may stand in either order.

    >>> _content_key(("Yes.", "No?")) == _content_key(("no", "yes"))
    True
    """
    return tuple(sorted(same_text(text) for text in texts))


def content_order(split: Split, seed: int) -> list[int]:
    """Row numbers in the order of sha256(seed, content); equal texts stand together.

    Args:
        split: the examples, N of them.
        seed: picks one of the many orders.

    Returns:
        A permutation of 0..N-1. Leaving rows out does not change the order of the others.

    Source: decision 0020, train is cut by a hash of the text.

    >>> from kdcheck.tasks.split import Split
    >>> split = Split(ids=("a", "b", "c"), texts=(("So good",), ("Bad",), ("so good!",)),
    ...               labels=(1, 0, 1))
    >>> content_order(split, seed=0)
    [0, 2, 1]
    """
    keys = []
    for row, (example, texts) in enumerate(zip(split.ids, split.texts, strict=True)):
        content = "\0".join((str(seed), *_content_key(texts)))
        keys.append(
            (hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest(), example, row)
        )
    return [row for _, _, row in sorted(keys)]


def cut(split: Split, size: int, seed: int) -> tuple[Split, Split]:
    """Cut ``size`` rows out of a split: what is left, and what was taken. Both keep their order.

    Equal texts stand together in the content order, so at most one group of repeats is parted.

    Args:
        split: the examples.
        size: rows to take out.
        seed: picks which.

    Returns:
        What is left, and what was taken.

    Source: decision 0020; the sizes of the cuts are those of the paper's Table 6.

    >>> from kdcheck.tasks.split import Split
    >>> split = Split(ids=("a", "b", "c"), texts=(("So good",), ("Bad",), ("so good!",)),
    ...               labels=(1, 0, 1))
    >>> left, taken = cut(split, 2, seed=0)
    >>> left.ids, taken.ids
    (('b',), ('a', 'c'))
    """
    order = content_order(split, seed)
    return split.take(sorted(order[size:])), split.take(sorted(order[:size]))


def overlap(first: Split, second: Split) -> int:
    """How many rows of the first have a text that also occurs in the second.

    Source: decision 0021, repeated texts.

    >>> from kdcheck.tasks.split import Split
    >>> train = Split(ids=("a", "b"), texts=(("So good",), ("Bad",)), labels=(1, 0))
    >>> overlap(train, Split(ids=("c",), texts=(("so good!",),), labels=(1,)))
    1
    """
    seen = {_content_key(texts) for texts in second.texts}
    return sum(_content_key(texts) in seen for texts in first.texts)


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """What :func:`drop_repeats` removed, in rows.

    Source: decision 0021, repeated texts.

    >>> Repeats(repeated=1, contradictory=2).contradictory
    2
    """

    repeated: int
    """Further copies of a text that was kept once."""
    contradictory: int
    """All copies of texts whose copies carry different labels."""


def drop_repeats(parts: Mapping[str, Split]) -> tuple[dict[str, Split], Repeats]:
    """Keep each text once over all parts; where copies disagree on the label, keep none.

    Args:
        parts: splits by name, the one that wins a shared text first (test before train).

    Returns:
        The thinned parts, in their order, and how many rows were dropped for which reason.

    Source: decision 0021, repeated texts.

    >>> from kdcheck.tasks.split import Split
    >>> test = Split(ids=("a", "b"), texts=(("So good",), ("Bad",)), labels=(1, 0))
    >>> train = Split(ids=("c", "d"), texts=(("so good!",), ("bad?",)), labels=(1, 1))
    >>> kept, repeats = drop_repeats({"test": test, "train": train})
    >>> kept["test"].ids, kept["train"].ids, repeats
    (('a',), (), Repeats(repeated=1, contradictory=2))
    """
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
