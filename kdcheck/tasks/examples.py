"""The one place where examples are checked, whatever source they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kdcheck.errors import LabelError, TaskError
from kdcheck.tasks.split import Split

_SHOWN = 5


def some(items: Iterable[object]) -> str:
    """The first few of the items, and how many there are if some are left out."""
    everything = [str(item) for item in items]
    tail = f", ... ({len(everything)} in all)" if len(everything) > _SHOWN else ""
    return ", ".join(everything[:_SHOWN]) + tail


def check_split(
    split: Split, *, who: str, classes: Sequence[str], text_columns: Sequence[str]
) -> None:
    """Refuse a split with an empty text, a label outside the classes or an unusable id."""
    if not len(split):
        raise TaskError(who, "no rows", "at least one example", "Check that the file is complete.")
    if any(not isinstance(example, str) or not example for example in split.ids):
        raise TaskError(who, "an id that is no text", "a string per example", "Name every example.")
    _check_texts(split, who, text_columns)
    _check_labels(split, who, len(classes))


def _check_texts(split: Split, who: str, text_columns: Sequence[str]) -> None:
    odd = [i for i, t in zip(split.ids, split.texts, strict=True) if len(t) != len(text_columns)]
    if odd:
        got = f"another number of texts in rows {some(odd)}"
        wanted = f"{len(text_columns)} per example ({', '.join(text_columns)})"
        raise TaskError(who, got, wanted, "Give every example one string per text column.")
    for column, column_name in enumerate(text_columns):
        empty = [
            example
            for example, texts in zip(split.ids, split.texts, strict=True)
            # A missing cell arrives as None or as the float NaN, depending on the file format.
            if not isinstance(texts[column], str) or not texts[column].strip()
        ]
        if empty:
            got = f"an empty or missing text in column {column_name!r}, rows {some(empty)}"
            next_step = "Fill in or remove these rows at the source; an empty text teaches nothing."
            raise TaskError(who, got, "text in every row", next_step)


def _check_labels(split: Split, who: str, num_classes: int) -> None:
    wrong = [
        f"{example} ({label!r})"
        for example, label in zip(split.ids, split.labels, strict=True)
        # bool is an int to Python, but True as a class is a mistake.
        if type(label) is not int or not 0 <= label < num_classes
    ]
    if wrong:
        raise LabelError(
            who,
            f"labels outside the classes in rows {some(wrong)}",
            f"integers from 0 to {num_classes - 1}",
            "A label of -1 is GLUE's way to hide it: use a split that has labels. "
            "Otherwise compare the label map of the file with the task's classes.",
        )


def check_unique_ids(who: str, ids: Sequence[str]) -> None:
    """Refuse ids that occur twice, within a split or across splits."""
    if len(set(ids)) == len(ids):
        return
    repeated = sorted(example for example, count in Counter(ids).items() if count > 1)
    next_step = "Give each example an id of its own; logits are joined by it."
    raise TaskError(who, f"repeated ids {some(repeated)}", "every id once", next_step)
