"""A paper as data: its printed figures, its figures' layout, and how its methods are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kdcheck.claims.arm import Arm
from kdcheck.claims.contrast import Contrast, Reading
from kdcheck.errors import InputError

ROW = ("experiment", "table", "metric", "arm", "tasks")
"""Figures of one arm in one table, as they are stored."""


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One printed figure of a finished model on test text."""

    table: str
    """Number of the table."""
    task: str
    metric: str
    """A row of :data:`kdcheck.metrics.METRICS`, in whose unit the value is."""
    arm: Arm
    value: float
    half_width: float
    """Half a unit of the last printed digit, in the metric's unit; 0 where the figure is exact."""
    text: str
    """As the paper prints it."""
    experiment: str = ""
    """What a contrast takes all its figures from where it can: by default the table itself."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Which arms a figure of the paper compares while they train."""

    name: str
    """As the paper calls it."""
    title: str
    arms: tuple[Arm, ...]
    needs: tuple[Arm, ...] = ()
    """At least one of these must have been run; none: at least one of ``arms``."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a table of the paper."""

    label: str
    texts: tuple[str | None, ...]
    """As printed, by column: none for a dash, empty where our copy of the paper lacks it."""
    arm: Arm | None = None
    """Whose figures or settings they are."""
    task: str = ""
    """On which task, where the columns do not say it."""


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """A table of the paper, as it is laid out there."""

    number: str
    title: str
    holds: Literal["metric", "settings", "rows", "grid"]
    """What is in it: a metric by arm and task, settings of an arm, rows of splits by task, or the values
    of a grid by setting, of which ours are those that runs of ``arms`` have."""
    columns: tuple[str, ...]
    """Tasks, names of settings, splits, or places in a grid."""
    lines: tuple[Line, ...]
    metric: str = ""
    arms: tuple[Arm, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What the machinery knows of a paper; everything in it is data of that paper.

    Raises:
        InputError: a name that cannot stand in a tag.

    Source: the paper itself.

    >>> erm = Arm("erm", "smaller")
    >>> cell = Printed(table="2", task="a", metric="accuracy", arm=erm, value=0.8, half_width=0.0005,
    ...                text="80.0")
    >>> paper = Paper(name="p", title="T", printed=(cell,))
    >>> paper.values(Contrast("reading", (Reading("accuracy", erm),)) * 100)
    {'a': 80.0}
    """

    name: str
    """Short and unique among the papers of a store: a family of claims is of one paper and scale."""
    title: str
    printed: tuple[Printed, ...] = ()
    """Figures of its tables, table after table."""
    figures: tuple[Figure, ...] = ()
    tables: tuple[PrintedTable, ...] = ()
    """All of its tables as they are laid out, also those that no contrast reads."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What a reader calls a method, in the order in which tables list them."""
    colours: Mapping[str, str] = field(default_factory=dict)
    """Method: one of the hues of the page, ``grey``, ``orange``, ``blue``, ``green``, ``purple``."""
    arms: tuple[Arm, ...] = ()
    """The arms of its own; others, of our making, are shown apart from them."""
    scales: str = ""
    """Folder of its scale files, if it brings some."""
    stored_scale_names: tuple[str, ...] = ()
    """Of a paper read from a store, which knows the names of its scales and not their folder."""
    default_scale: str = ""
    gpu_scale: str = ""
    """The scale of ``-m gpu``."""

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            wanted = "letters, digits, - and _ alone"
            raise InputError(
                "paper", f"the name {self.name!r}", wanted, "It names a family in tags."
            )

    @property
    def scale_names(self) -> tuple[str, ...]:
        """Names of the scales that it brings."""
        if not self.scales:
            return self.stored_scale_names
        return tuple(sorted(path.stem for path in Path(self.scales).glob("*.toml")))

    def label(self, arm: Arm) -> str:
        """What a reader calls an arm: its method, and what sets it apart from the paper's own."""
        parts = [self.labels.get(arm.method, arm.method)]
        teachers = {own.teacher for own in self.arms if own.method == arm.method}
        warmth, shuffled = arm.teacher_temperature, arm.teacher_shuffled
        if arm.teacher is not None and (arm.teacher not in teachers or warmth != 1 or shuffled):
            at = f" at temperature {warmth:g}" if warmth != 1 else ""
            at += " with its confidences shuffled" if shuffled else ""
            parts.append(f"taught by {self.label(arm.teacher)} ({arm.teacher.size}){at}")
        if arm.budget is not None:
            parts.append(f"budget of {self.label(arm.budget)} ({arm.budget.size})")
        return ", ".join(parts)

    @cached_property
    def _by_reading(self) -> Mapping[tuple[str, str, Arm], list[Printed]]:
        found: dict[tuple[str, str, Arm], list[Printed]] = {}
        for each in self.printed:
            found.setdefault((each.task, each.metric, each.arm), []).append(each)
        return found

    def find(self, reading: Reading, task: str, *, experiment: str | None = None) -> Printed | None:
        """The first printed figure of a reading on a task, of that experiment if one is named."""
        if (reading.split, reading.temperature, reading.point) != ("test", 1.0, "last"):
            return None
        found = self._by_reading.get((task, reading.metric, reading.arm), ())
        named = (each for each in found if experiment in (None, each.experiment or each.table))
        return next(named, None)

    def cells(self, contrast: Contrast) -> dict[str, dict[Reading, Printed]]:
        """Per task, the printed figure of each reading; tasks with all of them alone.

        Figures of a method that was trained in several experiments are taken from the first in
        which all of the contrast stands, and from anywhere if there is none.
        """
        readings = contrast.readings()
        tasks = dict.fromkeys(each.task for each in self.printed)
        experiments = dict.fromkeys(each.experiment or each.table for each in self.printed)
        found = {}
        for task in tasks:
            for experiment in (*experiments, None):
                cells = [self.find(reading, task, experiment=experiment) for reading in readings]
                if readings and None not in cells:
                    found[task] = dict(zip(readings, cells, strict=True))
                    break
        return found  # type: ignore[return-value]

    def values(self, contrast: Contrast) -> dict[str, float]:
        """A contrast evaluated on the tables: its value on each task that has all its figures."""
        return {
            task: round(contrast.value({r: cell.value for r, cell in row.items()}.__getitem__), 10)
            for task, row in self.cells(contrast).items()
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON values of what a report shows; :meth:`from_dict` reads them back."""
        tables: dict[tuple[str, str, str, Arm], dict[str, list[Any]]] = {}
        for each in self.printed:
            row = tables.setdefault((each.experiment, each.table, each.metric, each.arm), {})
            row[each.task] = [each.value, each.half_width, each.text]
        rows = [
            dict(zip(ROW, (*key[:3], key[3].to_dict(), tasks), strict=True))
            for key, tasks in tables.items()
        ]
        figures = [
            vars(each) | {"arms": _stored(each.arms), "needs": _stored(each.needs)}
            for each in self.figures
        ]
        return {"name": self.name, "title": self.title, "printed": rows, "figures": figures} | {
            "tables": [_stored_table(each) for each in self.tables],
            "labels": [[method, label] for method, label in self.labels.items()],
            "colours": dict(self.colours),
            "arms": _stored(self.arms),
            "scale_names": list(self.scale_names),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Paper:
        """The paper that :meth:`to_dict` wrote; of its scales the names alone."""
        printed = [
            Printed(
                **{n: row[n] for n in ("experiment", "table", "metric")},
                **dict(zip(("value", "half_width", "text"), figure, strict=True)),
                task=task,
                arm=arm,
            )
            for row in values["printed"]
            for arm in (Arm.from_dict(row["arm"]),)
            for task, figure in row["tasks"].items()
        ]
        figures = [
            Figure(name=f["name"], title=f["title"], arms=_arms(f["arms"]), needs=_arms(f["needs"]))
            for f in values["figures"]
        ]
        return cls(
            name=values["name"],
            title=values["title"],
            printed=tuple(printed),
            figures=tuple(figures),
            tables=tuple(map(_table, values.get("tables", ()))),
            labels=dict(values["labels"]),
            colours=values["colours"],
            arms=_arms(values["arms"]),
            stored_scale_names=tuple(values.get("scale_names", ())),
        )


def _stored_table(table: PrintedTable) -> dict[str, Any]:
    lines = [
        {"label": each.label, "texts": list(each.texts), "task": each.task}
        | {"arm": each.arm and each.arm.to_dict()}
        for each in table.lines
    ]
    values = {"columns": list(table.columns), "lines": lines, "arms": _stored(table.arms)}
    return vars(table) | values


def _table(values: Mapping[str, Any]) -> PrintedTable:
    lines = [
        Line(
            label=each["label"],
            texts=tuple(each["texts"]),
            task=each["task"],
            arm=Arm.from_dict(each["arm"]) if each["arm"] else None,
        )
        for each in values["lines"]
    ]
    columns, arms = tuple(values["columns"]), _arms(values["arms"])
    return PrintedTable(**{**values, "columns": columns, "lines": tuple(lines), "arms": arms})


def _stored(arms: Iterable[Arm]) -> list[dict[str, Any]]:
    return [arm.to_dict() for arm in arms]


def _arms(stored: Iterable[Mapping[str, Any]]) -> tuple[Arm, ...]:
    return tuple(map(Arm.from_dict, stored))


OWN = Paper(name="own", title="Claims of no paper")
"""What claims belong to that name no paper."""
