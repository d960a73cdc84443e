"""The paper's tables and figures as files of their own: a page, Markdown, CSV, and an SVG a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from kdcheck.report import wording
from kdcheck.report.curves import HEIGHT, WIDTH, drawn, figures, panels
from kdcheck.report.markdown import bullets, plain, table
from kdcheck.report.markup import Markup, grid, tag

Record = Mapping[str, Any]
CSV_HEAD = (
    *("table", "title", "unit", "line", "column", "paper", "ours", "low_to_high", "seeds"),
    *("marks", "waits_for"),
)
LEAD = (
    "Below the paper's figure stands ours: mean over seeds, 95 % interval of the mean, number of "
    "seeds, and in brackets what it must not be read without. Of a grid: on how many pairs of a "
    "method and a task our runs have that value."
)
TITLE, KEY, GAP = 26, 24, 16
"""Heights in units of a drawing: of a panel's title, of a line of the legend, and between panels."""
LOOK = (
    "text { font: 12px sans-serif; fill: #1d2126 } h3 { margin: 0 } .grid { stroke: #e3e4e0 } "
    ".zero { stroke: #6b7480 } .line { fill: none; stroke-width: 2.2 } .spread { opacity: 0.14 } "
)
HUES = {
    "grey": "#4a5058", "orange": "#c2570c", "blue": "#1f5fbf", "green": "#12805c",
    "purple": "#8a3fa8", "other": "#5b6470",
}  # fmt: skip
"""As in the page's light theme; a file of its own knows no other."""


def name_of(table: Record) -> str:
    """Number, title and unit of a table, as a heading."""
    unit = f", {table['unit']}" if table["unit"] else ""
    return f"Table {table['number']}: {table['title']}{unit}"


def scale_of(record: Record) -> str:
    """Whose tables they are, at which scale, and whether anything may be learned from them."""
    rehearsal = "REHEARSAL, no evidence: " if any(_rehearsed(record)) else ""
    return f"{rehearsal}{record['paper']['title']}, at {record['scale']} scale"


def _rehearsed(record: Record) -> Iterator[int]:
    return iter(record["counts"]["REHEARSAL"].values())


def ours(cell: Record) -> str:
    """Our side of a cell in one line, with its marks."""
    return " ".join(filter(None, (_figure(cell), _marks(cell))))


def _figure(cell: Record) -> str:
    if cell["waits"]:
        return f"waits for {cell['waits']}"
    notes = [cell["interval"]] if cell["interval"] else []
    notes += [f"{cell['seeds']} {'seed' if cell['seeds'] == 1 else 'seeds'}"] * bool(cell["seeds"])
    return " ".join([cell["ours"], *([f"({', '.join(notes)})"] if notes else [])])


def _marks(cell: Record) -> str:
    return f"[{cell['marks']}]" if cell["marks"] else ""


def as_html(record: Record) -> str:
    """All tables and figures as one page that refers to nothing outside itself."""
    shown = [
        grid(
            name_of(each),
            ["", *each["columns"]],
            [[line["label"], *map(_html_cell, line["cells"])] for line in each["lines"]],
        )
        for each in record["paper_tables"]
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"Tables: {scale_of(record)}"),
        tag("style", Markup((resources.files("kdcheck.report") / "style.css").read_text("utf-8"))),
    )
    waiting = [tag("li", text) for text in _waiting(record)]
    body = tag(
        "body",
        tag("h1", scale_of(record)),
        tag("p", LEAD, class_="lead"),
        tag("ul", [tag("li", text) for text in wording.rows_said(record)]),
        tag("div", shown, class_="tables wide"),
        figures(record),
        tag("ul", waiting) if waiting else None,
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _html_cell(cell: Record | None) -> Markup | str:
    if cell is None:
        return "–"
    theirs = tag("span", cell["paper"] or "·", class_="paper")
    # The marks on lines of their own: four tasks, or ten values, would not fit side by side.
    marks = tag("small", _marks(cell), class_="caveats") if cell["marks"] else None
    return tag("span", theirs, tag("small", _figure(cell)), marks)


def as_markdown(record: Record) -> str:
    """All tables as Markdown, the paper's figure before ours."""
    blocks = [f"# {plain(scale_of(record))}", plain(LEAD), bullets(wording.rows_said(record))]
    for each in record["paper_tables"]:
        rows = [
            (plain(line["label"]), *map(_markdown_cell, line["cells"])) for line in each["lines"]
        ]
        blocks += [f"## {plain(name_of(each))}", table(("", *map(plain, each["columns"])), rows)]
    waiting = bullets(_waiting(record))
    blocks += ["## Figures that wait for runs", waiting] if waiting else []
    return "\n\n".join(filter(None, blocks)) + "\n"


def _markdown_cell(cell: Record | None) -> str:
    return "–" if cell is None else plain(f"{cell['paper'] or '·'}; {ours(cell)}")


def as_csv(record: Record) -> str:
    """Every cell as a row of CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for each in record["paper_tables"]:
        for line in each["lines"]:
            for column, cell in zip(each["columns"], line["cells"], strict=True):
                if cell is None:
                    continue
                own = (
                    cell[part] for part in ("paper", "ours", "interval", "seeds", "marks", "waits")
                )
                writer.writerow(
                    [each["number"], each["title"], each["unit"], line["label"], column, *own]
                )
    return text.getvalue()


def _waiting(record: Record) -> list[str]:
    return [
        f"{name} waits for curves of {', '.join(runs)}"
        for name, runs in record["figures_waiting"].items()
        if runs
    ]


def standalone_figures(record: Record) -> dict[str, str]:
    """Each figure of the paper as an SVG document, by file name without its ending."""
    known = {figure["name"]: figure for figure in record["figures"]}
    return {
        name.lower().replace(" ", "-"): _standalone(name, known.get(name), record)
        for name in record["figures_waiting"]
    }


def _standalone(name: str, figure: Record | None, record: Record) -> str:
    found = drawn(figure, record) if figure else None
    shown = list(panels(record, found)) if found else []
    waits = [text for text in _waiting(record) if text.startswith(f"{name} waits")]
    top = TITLE
    parts: list[object] = [_text(8, top - 8, f"{name}. {scale_of(record)}")]
    for arm in found.arms if found else ():
        hue = f"method {arm['colour'] or 'other'}"
        key = tag("path", d=f"M8 {top + KEY / 2 - 4}h28", class_="line")
        parts.append(tag("g", key, _text(44, top + KEY / 2, arm["label"]), class_=hue))
        top += KEY
    for text in waits:
        parts.append(_text(8, top + KEY / 2, text))
        top += KEY
    for place, (title, drawing) in enumerate(shown):
        x, y = (place % 2) * (WIDTH + GAP), top + (place // 2) * (HEIGHT + TITLE + GAP)
        parts += [_text(x + 8, y + TITLE - 8, title), _placed(drawing, x, y + TITLE)]
    rows = -(-len(shown) // 2)
    size = (2 * WIDTH + GAP, top + rows * (HEIGHT + TITLE + GAP) + GAP)
    return (
        tag("svg", tag("style", Markup(LOOK + _hues())), parts, xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {size[0]} {size[1]}", width=size[0], height=size[1], role="img")
        + "\n"
    )  # fmt: skip


def _placed(drawing: Markup, x: float, y: float) -> Markup:
    # A drawing has no size of its own: it fills the nearest picture around it.
    return tag("svg", drawing, x=x, y=y, width=WIDTH, height=HEIGHT)


def _text(x: float, y: float, text: str) -> Markup:
    return tag("text", text, x=x, y=y)


def _hues() -> str:
    return " ".join(
        f".method.{name} .line {{ stroke: {hue} }} .method.{name} circle, "
        f".method.{name} .spread {{ fill: {hue} }}"
        for name, hue in HUES.items()
    )
