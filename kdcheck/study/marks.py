"""What a reader of a figure must know of the rows behind it: subsets, cuts, texts that were cut short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdcheck.tasks import SPLITS, Task

SUBSET, CUT, TRUNCATED = "subset", "cut", "truncated"
"""The marks of a figure."""
DOES = {"train": "trains on", "validation": "validates on", "test": "is tested on"}


def facts_of_rows(
    task: Task, rows: Mapping[str, int], truncated: Iterable[int], max_length: int
) -> dict[str, Any]:
    """Of one task: how many rows each split has, and by mark what is not the whole of it.

    Args:
        task: as it was read, before a scale cuts it.
        rows: how many rows of a split a run uses, where not all.
        truncated: of each run, how many of its texts were cut short.
        max_length: the most tokens of a text.

    Returns:
        JSON values: ``rows`` by split, and ``marks``, a sentence for each that applies.

    >>> from kdcheck.testing import tiny_task
    >>> facts_of_rows(tiny_task(train=40), {"train": 12}, [3, 5], 32)["marks"]
    {'cut': 'Each run trains on 12 of 40 rows.', 'truncated': '3 to 5 texts of a run were cut to 32 tokens.'}
    """
    sizes = {name: len(task.split(name)) for name in SPLITS}
    used = [
        f"{DOES[name]} {rows[name]:,} of {sizes[name]:,} rows"
        for name in SPLITS
        if rows.get(name, sizes[name]) != sizes[name]
    ]
    counts = sorted({count for count in truncated if count})
    marks = {}
    if task.origin.subsets:
        marks[SUBSET] = f"A subset was read, {', '.join(task.origin.subsets)}."
    if used:
        marks[CUT] = f"Each run {', '.join(used)}."
    if counts:
        span = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
        marks[TRUNCATED] = f"{span} texts of a run were cut to {max_length} tokens."
    return {"rows": sizes, "marks": marks}
