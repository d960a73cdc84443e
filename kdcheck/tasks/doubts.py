"""What makes a task doubtful and cannot be refused: leakage, imbalance, texts that are labels."""

from __future__ import annotations

from collections.abc import Iterator

from kdcheck.tasks.split import SPLITS, Split
from kdcheck.tasks.task import Task

LARGEST_SHARE = 0.9
"""Of one class in a split: a model that knows no text is right as often."""
HELD_OUT = ("validation", "test")


def doubts(task: Task) -> list[str]:
    """A sentence for each; none for a task that nothing speaks against.

    Args:
        task: whose texts are compared as they are, letter by letter.

    Source: docs/guides/add-a-task.md.

    >>> from kdcheck.testing import tiny_task
    >>> doubts(tiny_task(train=40))
    []
    """
    return [*_leaks(task), *_imbalance(task), *_labels_as_texts(task), *_headers(task)]


def _leaks(task: Task) -> Iterator[str]:
    known = set(task.train.texts)
    for name in HELD_OUT:
        seen, total = [texts in known for texts in task.split(name).texts], len(task.split(name))
        if any(seen):
            share = f"{sum(seen):,} of {total:,} texts of {name} ({sum(seen) / total:.1%})"
            yield f"leakage: {share} are in train too; a model may know them by heart"


def _imbalance(task: Task) -> Iterator[str]:
    for name in SPLITS:
        labels = task.split(name).labels
        counts = [labels.count(label) for label in range(task.num_classes)]
        missing = [task.classes[label] for label, count in enumerate(counts) if not count]
        if missing:
            what = "one class only" if len(missing) == task.num_classes - 1 else "classes missing"
            yield f"balance: {what} in {name}; no example of {', '.join(missing)}"
        elif (share := max(counts) / len(labels)) > LARGEST_SHARE:
            largest = task.classes[counts.index(max(counts))]
            yield f"balance: {share:.1%} of {name} are {largest}; accuracy says little there"


def _labels_as_texts(task: Task) -> Iterator[str]:
    names = {*task.classes, *map(str, range(task.num_classes))}
    for column, title in enumerate(task.text_columns):
        if all(texts[column].strip() in names for texts in task.train.texts):
            yield f"labels: every text of column {title!r} in train is the name of a class"


def _headers(task: Task) -> Iterator[str]:
    for name in SPLITS:
        rows = list(_rows_of_titles(task.split(name), task.text_columns))
        if rows:
            yield f"header: {rows[0]} of {name} repeats the names of the columns as texts"


def _rows_of_titles(split: Split, titles: tuple[str, ...]) -> Iterator[str]:
    wanted = tuple(title.lower() for title in titles)
    for example, texts in zip(split.ids, split.texts, strict=True):
        if tuple(text.strip().lower() for text in texts) == wanted:
            yield example
