"""From the columns of a file to a split: names, labels, ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdcheck.errors import TaskError
from kdcheck.tasks.examples import check_split
from kdcheck.tasks.split import Split

CLASS_NUMBER = re.compile(r"[ \r]*-?\d{1,9}[ \r]*")
"""What Python reads as a whole number, and no more of it than any number of classes needs."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the files of a task look: the same for every source."""

    name: str
    text_columns: tuple[str, ...]
    classes: tuple[str, ...]


def split_from_columns(
    columns: Mapping[str, Sequence[object]], layout: Layout, split: str, where: str
) -> Split:
    """The examples of one file.

    A label is a class number or a class name. The id of an example is the split's name with the
    column ``idx`` where there is one, else with the row number from 0.
    """
    who = f"task {layout.name!r}, {where}"
    missing = [name for name in (*layout.text_columns, "label") if name not in columns]
    if missing:
        got = f"columns {', '.join(columns) or 'none'}"
        wanted = f"also {', '.join(missing)}"
        raise TaskError(who, got, wanted, "Rename the columns of the file to these names.")
    labels = columns["label"]
    numbers = columns.get("idx", range(len(labels)))
    result = Split(
        ids=tuple(f"{split}-{number}" for number in numbers),
        texts=tuple(zip(*(columns[name] for name in layout.text_columns), strict=True)),
        labels=tuple(_class_number(label, layout.classes) for label in labels),
    )
    check_split(result, who=who, classes=layout.classes, text_columns=layout.text_columns)
    return result


def check_class_names(names: Sequence[str], layout: Layout, where: str) -> None:
    """Refuse a file whose own label map differs from the task's."""
    if tuple(names) != layout.classes:
        who = f"task {layout.name!r}, {where}"
        next_step = "The numbers in this file mean other classes: renumber the labels."
        raise TaskError(who, f"label map {', '.join(names)}", ", ".join(layout.classes), next_step)


def _class_number(label: object, classes: Sequence[str]) -> int:
    """A class number; what is none is passed on, for check_split names the row."""
    if isinstance(label, str):
        if label in classes:
            return classes.index(label)
        if CLASS_NUMBER.fullmatch(label):
            return int(label)
    return label  # type: ignore[return-value]  # check_split refuses it with its row
