"""Markup by functions: text is escaped unless a function of this module made it."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = {"br", "hr", "input", "meta", "wbr"}


class Markup(str):
    """Text that is markup already and is not escaped again.

    Source: none.

    >>> str(tag("p", "1 < 2", tag("b", "!")))
    '<p>1 &lt; 2<b>!</b></p>'
    """

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """One element of HTML or SVG.

    Args:
        name: of the element.
        *children: markup, text (escaped), numbers, None (left out), or iterables of these.
        **attributes: a trailing underscore is dropped and others become hyphens; None and False
            leave an attribute out, True gives it no value.

    Returns:
        The markup.

    Source: none.

    >>> str(tag("a", "x", href='"', class_="c", data_word="w", hidden=False))
    '<a href="&quot;" class="c" data-word="w">x</a>'
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """Children one after the other, text escaped.

    Source: none.

    >>> str(join(["a & b", None, [tag("i", 1)]]))
    'a &amp; b<i>1</i>'
    """
    return Markup("".join(map(_child, children)))


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
