"""Markup by functions: text is escaped unless a function of this module made it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

VOID = {"br", "hr", "input", "meta", "wbr"}


class Markup(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """One element of HTML or SVG.

    Children are markup, text (escaped), numbers, None (left out), or iterables of these. Of an
    attribute's name a trailing underscore is dropped and others become hyphens; None and False leave
    an attribute out, True gives it no value.
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """Children one after the other, text escaped."""
    return Markup("".join(map(_child, children)))


def grid(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """A table whose first column names its rows.

    It stands in a region that a keyboard can scroll, so that on a narrow screen the table scrolls
    and the page does not.
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


def _child(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(child)
    if isinstance(child, Iterable):
        return join(child)
    return html.escape(str(child))


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
