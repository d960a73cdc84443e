"""The paper's tables, each cell with its figure and ours, or with the run that it waits for."""

# Shapes: S seeds.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdcheck.claims import Line, Paper, PrintedTable
from kdcheck.report import wording
from kdcheck.verdict.intervals import t_bounds

Record = Mapping[str, Any]


@dataclass(frozen=True)
class _Runs:
    """What a record says of its runs, by arm."""

    record: Record

    def final(self, arm: str, task: str, metric: str) -> Record | None:
        """The finished models of an arm on a task, if there are any."""
        wanted = (arm, task, metric)
        found = (f for f in self.record["finals"] if (f["arm"], f["task"], f["metric"]) == wanted)
        return next(found, None)

    def settings(self, arm: str) -> Mapping[str, Record]:
        """By task, the settings with which an arm was run."""
        found = (each["settings"] for each in self.record["arms"] if each["key"] == arm)
        return next(found, {})

    def seeds(self, arm: str, task: str) -> int:
        """How many seeds of an arm there are on a task."""
        found = (f for f in self.record["finals"] if (f["arm"], f["task"]) == (arm, task))
        return len(next(found, {"values": ()})["values"])

    def rows(self, task: str) -> Mapping[str, int] | None:
        """Examples by split, if a claim was judged on the task."""
        return next((t["rows"] for t in self.record["tasks"] if t["name"] == task), None)


def paper_tables(paper: Paper, record: Record) -> list[dict[str, Any]]:
    """Every table of a paper as JSON values, in its order; see ``schema.json``.

    Args:
        paper: whose tables they are.
        record: with tasks, arms and finals.
    """
    runs = _Runs(record)
    return [_table(table, runs) for table in paper.tables]


def _table(table: PrintedTable, runs: _Runs) -> dict[str, Any]:
    tasks = [task["name"] for task in runs.record["tasks"]]
    # At a scale with tasks of its own these stand beside the paper's.
    own = [name for name in tasks if name not in table.columns] if table.holds == "metric" else []
    lines = [
        {"label": line.label, "cells": list(_cells(table, line, own, runs))} for line in table.lines
    ]
    unit = {
        "metric": wording.metric(table.metric).split(", ")[-1] if table.metric else "",
        "rows": "examples",
    }
    return {
        "number": table.number,
        "title": table.title,
        "unit": unit.get(table.holds, ""),
        "columns": [*table.columns, *own],
        "lines": lines,
    }


def _cells(
    table: PrintedTable, line: Line, own: list[str], runs: _Runs
) -> Iterator[dict[str, Any] | None]:
    fill = {"metric": _metric, "settings": _setting, "rows": _size, "grid": _grid}[table.holds]
    texts = (*line.texts, *("" for _ in own))
    for column, text in zip((*table.columns, *own), texts, strict=True):
        yield None if text is None else _cell(text, **fill(table, line, column, text, runs))


def _cell(
    text: str, ours: str = "", interval: str = "", seeds: int = 0, marks: str = "", waits: str = ""
) -> dict[str, Any]:
    return {"paper": text, "ours": ours, "interval": interval} | {
        "seeds": seeds,
        "marks": marks,
        "waits": waits,
    }


def _metric(table: PrintedTable, line: Line, column: str, _: str, runs: _Runs) -> dict[str, Any]:
    assert line.arm is not None, "a line of figures is of an arm"
    final = runs.final(line.arm.key, column, table.metric)
    if final is None:
        return {"waits": f"{line.arm.key} on {column}"}
    values_S = np.array(list(final["values"].values()))
    interval = ""
    if len(values_S) > 1:
        low, high = (
            wording.figure(table.metric, float(bound[0]))
            for bound in t_bounds(values_S[np.newaxis], 0.025)
        )
        interval = f"{low} to {high}"
    return {
        "ours": wording.figure(table.metric, final["mean"]),
        "interval": interval,
        "seeds": len(values_S),
        "marks": wording.marks(runs.record, column),
    }


def _setting(_: PrintedTable, line: Line, column: str, __: str, runs: _Runs) -> dict[str, Any]:
    assert line.arm is not None, "a line of settings is of an arm"
    settings = runs.settings(line.arm.key).get(line.task)
    if settings is None:
        return {"waits": f"{line.arm.key} on {line.task}"}
    value = {**settings, **settings["objective"]}.get(column)
    return {
        "ours": "–" if value is None else _number(value),
        "seeds": runs.seeds(line.arm.key, line.task),
        "marks": wording.marks(runs.record, line.task),
    }


def _size(_: PrintedTable, line: Line, column: str, __: str, runs: _Runs) -> dict[str, Any]:
    rows = runs.rows(line.task)
    if rows is None:
        return {"waits": f"any run on {line.task}"}
    return {"ours": f"{rows[column]:,}", "marks": wording.marks(runs.record, line.task)}


def _grid(table: PrintedTable, line: Line, _: str, text: str, runs: _Runs) -> dict[str, Any]:
    """On how many tasks our runs of so many arms have this value of the grid."""
    values = [
        {**settings, **settings["objective"]}.get(line.label)
        for arm in table.arms
        for settings in runs.settings(arm.key).values()
    ]
    if not values:
        return {"waits": f"any run of {', '.join(arm.key for arm in table.arms)}"}
    used = sum(value is not None and float(value) == float(text) for value in values)
    return {"ours": f"in {used} of {len(values)}", "marks": wording.marks_of_all(runs.record)}


def _number(value: object) -> str:
    """As the paper prints settings: no zero before the point, none in an exponent."""
    return f"{value:g}".removeprefix("0").replace("e-0", "e-")
