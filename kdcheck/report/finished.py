"""Tables of the finished models per arm and task, with the paper's figures where it has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdcheck.claims import SIZES
from kdcheck.report import wording
from kdcheck.report.markup import Markup, grid, tag

Record = Mapping[str, Any]


def tables(record: Record) -> Markup:
    """Per metric and size one table of the paper's own arms, and one of all others to unfold."""
    cells = {(f["arm"], f["task"], f["metric"]): f for f in record["finals"]}
    wide = len(record["tasks"]) > 2 or any(cell["paper"] for cell in record["finals"])
    shown = [_tables(record, cells, metric, size) for metric in record["metrics"] for size in SIZES]
    return tag("div", shown, class_="tables wide" if wide else "tables")


def _tables(record: Record, cells: Mapping[Any, Record], metric: str, size: str) -> Markup | None:
    arms = [arm for arm in record["arms"] if arm["size"] == size]
    own, others = ([arm for arm in arms if arm["plain"] is plain] for plain in (True, False))
    name, *unit = wording.metric(metric).split(", ")
    title = ", ".join([f"Test {name} of the {size} model", *unit])
    found = [_table(record, cells, metric, own, title)] if own else []
    if others:
        table = _table(record, cells, metric, others, f"{title}: other ways of training")
        summary = tag("summary", f"Other ways of training: {len(others)}")
        found.append(tag("details", summary, table))
    return tag("div", found) if found else None


def _table(
    record: Record,
    cells: Mapping[Any, Record],
    metric: str,
    arms: Sequence[Record],
    title: str,
) -> Markup:
    """Mean ± sd over seeds; a task of the paper has a second column with the printed figure."""
    names = [task["name"] for task in record["tasks"]]
    by_task = {name: [cells.get((arm["key"], name, metric)) for arm in arms] for name in names}
    in_paper = {name for name in names if any(cell and cell["paper"] for cell in by_task[name])}
    head: list[str] = ["method"]
    for name in names:
        own = wording.marked(record, name)
        head += [own, "paper"] if name in in_paper else [own]
    rows = []
    for row, arm in enumerate(arms):
        line: list[object] = [arm["label"]]
        for name in names:
            cell = by_task[name][row]
            line.append(_ours(record, cell))
            if name in in_paper:
                line.append(_theirs(cell))
        rows.append(line)
    return grid(title, head, rows)


def _ours(record: Record, cell: Record | None) -> Markup | str:
    if cell is None:
        return "–"
    metric, marks = cell["metric"], wording.marks_in_cell(record, cell)
    each = "; ".join(f"seed {s}: {wording.figure(metric, v)}" for s, v in cell["values"].items())
    shown = tag("span", wording.spread(metric, cell["mean"], cell["sd"]), title=each)
    # Without it a figure from a part of the data would stand beside the paper's as its like.
    return tag("span", shown, tag("small", marks, class_="caveats")) if marks else shown


def _theirs(cell: Record | None) -> Markup | str:
    if cell is None or cell["paper"] is None:
        return "–"
    metric, paper = cell["metric"], cell["paper"]
    comparison = paper["comparison"]
    figure = tag("span", paper["printed"], title=f"Table {paper['table']}", class_="paper")
    if not comparison:
        return figure
    low, high = (wording.figure(metric, bound) for bound in comparison["prediction_interval"])
    word = comparison["word"].lower()
    return tag("span", figure, tag("small", f"{low} to {high}"), tag("small", word))
