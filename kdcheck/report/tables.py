"""Tables of entropy and accuracy per arm and task, with the paper's figures where it has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdcheck.report import wording
from kdcheck.report.markup import Markup, tag
from kdcheck.report.table import grid

Record = Mapping[str, Any]
SIZES = ("smaller", "larger")
TITLES = {
    ("test/mean_entropy_nats", "smaller"): "Test entropy of the smaller model, nats",
    ("test/mean_entropy_nats", "larger"): "Test entropy of the larger model, nats",
    ("test/accuracy", "smaller"): "Test accuracy of the smaller model, %",
    ("test/accuracy", "larger"): "Test accuracy of the larger model, %",
}


def finals(record: Record) -> Markup:
    """All tables of finished models.

    Args:
        record: of the report.

    Returns:
        Per metric and size one table of the paper's own arms, and one of all others to unfold.

    Source: Tables 2 to 5 and 8 to 11.

    >>> str(finals({"tasks": [], "arms": [], "finals": []}))
    '<div class="tables"></div>'
    """
    cells = {(f["arm"], f["task"], f["metric"]): f for f in record["finals"]}
    wide = len(record["tasks"]) > 2 or any(cell["paper"] for cell in record["finals"])
    shown = [_tables(record, cells, *key) for key in TITLES]
    return tag("div", shown, class_="tables wide" if wide else "tables")


def _tables(record: Record, cells: Mapping[Any, Record], metric: str, size: str) -> Markup | None:
    arms = [arm for arm in record["arms"] if arm["size"] == size]
    plain = sorted((arm for arm in arms if arm["plain"]), key=_order)
    others = sorted((arm for arm in arms if not arm["plain"]), key=_order)
    title = TITLES[metric, size]
    found = [_table(record, cells, metric, plain, title)] if plain else []
    if others:
        table = _table(record, cells, metric, others, f"{title}: other ways of training")
        found.append(
            tag("details", tag("summary", f"Other ways of training: {len(others)}"), table)
        )
    return tag("div", found) if found else None


def _order(arm: Record) -> tuple[int, str]:
    known = list(wording.METHODS)
    return (known.index(arm["method"]) if arm["method"] in known else len(known), arm["key"])


def _table(
    record: Record,
    cells: Mapping[Any, Record],
    metric: str,
    arms: Sequence[Record],
    title: str,
) -> Markup:
    """Mean ± sd over seeds; a task of the paper has a second column with the printed figure."""
    names = [task["name"] for task in record["tasks"]]
    by_task = {
        name: [cells.get((arm["key"], name, metric)) for arm in arms] for name in names
    }  # fmt: skip
    in_paper = {name for name in names if any(cell and cell["paper"] for cell in by_task[name])}
    head: list[str] = ["method"]
    for name in names:
        head += [name, "paper"] if name in in_paper else [name]
    rows = []
    for row, arm in enumerate(arms):
        line: list[object] = [arm["label"]]
        for name in names:
            cell = by_task[name][row]
            line.append(_ours(metric, cell))
            if name in in_paper:
                line.append(_theirs(metric, cell))
        rows.append(line)
    return grid(title, head, rows)


def _ours(metric: str, cell: Record | None) -> Markup | str:
    if cell is None:
        return "–"
    each = "; ".join(f"seed {s}: {wording.figure(metric, v)}" for s, v in cell["values"].items())
    return tag("span", wording.spread(metric, cell["mean"], cell["sd"]), title=each)


def _theirs(metric: str, cell: Record | None) -> Markup | str:
    if cell is None or cell["paper"] is None:
        return "–"
    paper = cell["paper"]
    comparison = paper["comparison"]
    figure = tag("span", paper["printed"], title=f"Table {paper['table']}", class_="paper")
    if not comparison:
        return figure
    low, high = (wording.figure(metric, bound) for bound in comparison["prediction_interval"])
    word = comparison["word"].lower()
    return tag("span", figure, tag("small", f"{low} to {high}"), tag("small", word))
