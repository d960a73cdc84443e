"""Tables that scroll by themselves where the screen is narrow, so that the page does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kdcheck.report.markup import Markup, tag


def grid(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """A table whose first column names its rows.

    Args:
        caption: what it shows.
        head: names of the columns.
        rows: cells, as many as columns.

    Returns:
        A table inside a region that a keyboard can scroll.

    Source: none.

    >>> grid("c", ["a", "b"], [["x", 1]]).count("<td")
    1
    """
    body = [
        tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in rest])
        for first, *rest in rows
    ]
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", [tag("th", name, scope="col") for name in head])),
        tag("tbody", body),
    )
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)
