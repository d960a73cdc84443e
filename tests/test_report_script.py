"""Script and style of the page, read without a browser: what they name is there, and whole."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import resources

import pytest

from kdcheck.report import html
from tests import report_doubles as doubles
from tests.test_report_page import tree

FILES = resources.files("kdcheck.report")
SCRIPT, STYLE = (
    re.sub(r"^ *//.*\n", "", (FILES / name).read_text("utf-8"), flags=re.MULTILINE)
    for name in ("script.js", "style.css")
)
QUERY = re.compile(r"(\w+)\.querySelector(?:All)?\((?:\"([^\"]*)\"|'([^']*)')\)")
SIMPLE = re.compile(r"^(\w+)?(?:\.([\w-]+))?(?:\[([\w-]+)(?:=(\w+))?\])?$")
PHONE_PX = 360
DARK = re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", STYLE, re.DOTALL)[1]
LIGHT = re.search(r":root \{(.*?)\}", STYLE, re.DOTALL)[1]
TONES = ("supported", "refuted", "equivalent", "undecided", "not-testable", "invalid", "not-run")


@pytest.fixture(scope="module")
def page() -> ET.Element:
    return tree(html(doubles.record()))


def selected(place: ET.Element, selector: str) -> list[ET.Element]:
    """Elements below a place that one simple selector names: ``tag.class[attribute=value]``."""
    parts = SIMPLE.match(selector.removesuffix(":not([hidden])"))
    assert parts, f"a selector that this test cannot read: {selector}"
    tag, name, attribute, value = parts.groups()
    return [
        each
        for each in place.iter(tag)
        if name in (None, *each.get("class", "").split())
        and (attribute is None or attribute in each.attrib)
        and value in (None, each.get(attribute or ""))
    ]


def brackets(text: str) -> str:
    """The brackets of a program, without those in texts and patterns."""
    return re.sub(r'"[^"\n]*"|\'[^\'\n]*\'|`[^`]*`|(?<=\()/[^/\n]+/|[^][(){}]', "", text)


def is_whole(found: str) -> bool:
    while (shorter := re.sub(r"\(\)|\[\]|\{\}", "", found)) != found:
        found = shorter
    return not found


def rules() -> Iterator[tuple[str, str]]:
    """Selector and declarations of each rule, those within ``@media`` too."""
    for selector, body in re.findall(r"([^{};]+)\{([^{}]*)\}", STYLE):
        yield from ((each.strip(), body) for each in selector.split(","))


def test_every_bracket_of_script_and_style_is_closed() -> None:
    for text in (SCRIPT, STYLE):
        assert is_whole(brackets(text))
        last = max(text.rfind(each) for each in ")}")
        assert not is_whole(brackets(text[:last] + text[last + 1 :])), "one too few is noticed"
    assert not is_whole("([)]")


def test_all_that_the_script_asks_for_is_on_the_page(page: ET.Element) -> None:
    asked = [(where, double or single) for where, double, single in QUERY.findall(SCRIPT)]
    assert len(asked) == SCRIPT.count("querySelector")
    (bar,) = selected(page, ".filters")
    places = {"document": [page], "bar": [bar]}
    places["group"] = selected(page, ".theme") + selected(page, ".standing")
    for where, selector in asked:
        for place, part in itertools.product(places[where], selector.split(", ")):
            assert selected(place, part), (where, part)
    (status,) = selected(bar, "[role=status]")
    assert not status.text


def test_data_attributes_of_the_page_are_those_that_the_script_reads(page: ET.Element) -> None:
    read = set(re.findall(r"(\w+)\.dataset\.(\w+)", SCRIPT))
    assert read == {("item", "word"), ("item", "text"), ("button", "filter")}
    items, buttons = selected(page, "[data-word]"), selected(page, "button")
    assert {each.tag for each in items} == {"article", "li"}
    assert {tuple(sorted(k for k in each.attrib if "data" in k)) for each in items} == {
        ("data-text", "data-word")
    }
    assert {tuple(k for k in each.attrib if "data" in k) for each in buttons} == {("data-filter",)}
    # The script compares without a look at the case, which is that of what a reader types.
    assert "search.value.trim().toLowerCase()" in SCRIPT
    assert all(each.attrib["data-text"].islower() for each in items)
    words = {each.get("data-word") for each in items}
    assert {each.get("data-filter") for each in buttons} == {"", *words}


def test_what_is_hidden_at_first_is_shown_by_the_script_and_what_it_hides_goes(
    page: ET.Element,
) -> None:
    hidden = [each.get("class") for each in page.iter() if "hidden" in each.attrib]
    assert hidden == ["filters"]
    shown = re.findall(r"^  (\w+)\.hidden = false;$", SCRIPT, re.MULTILINE)
    assert shown == re.findall(r'const (\w+) = document\.querySelector\("\.filters"\)', SCRIPT)
    # A class that says how it is laid out is stronger than the browser's own rule for what is hidden.
    assert any("display" in body for selector, body in rules() if selector == ".filters")
    assert ("[hidden]", " display: none !important; ") in rules()


def test_the_script_stands_below_all_that_it_asks_for(page: ET.Element) -> None:
    (body,) = page.iter("body")
    assert [each.tag for each in page.iter()].count("script") == 1
    assert list(body)[-1].tag == "script"


def test_every_variable_of_the_style_is_set_and_used_and_each_colour_has_a_dark_one(
    page: ET.Element,
) -> None:
    inline = " ".join(each.get("style", "") for each in page.iter())
    set_, used = (
        set(re.findall(pattern, STYLE + inline))
        for pattern in (r"(?<!\()--([\w-]+):", r"var\(--([\w-]+)")
    )
    assert used == set_
    assert colours(LIGHT).keys() == colours(DARK).keys()


def colours(theme: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#\w+)", theme))


def luminance(colour: str) -> float:
    """Relative luminance of a colour, from 0 to 1. Source: WCAG 2.2, its glossary."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(("theme", "dark"), [(LIGHT, False), (DARK, True)])
def test_texts_stand_out_from_the_paper_in_light_and_in_dark(theme: str, dark: bool) -> None:
    found = colours(theme)
    for ground in ("paper", "card"):
        assert (luminance(found[ground]) < 0.5) is dark
        for least, names in ((4.5, ("ink", "quiet", "accent", *TONES)), (3.0, found)):
            for name in set(names) - {"paper", "card", "line", "band"}:  # those need not be read
                low, high = sorted(luminance(found[each]) for each in (ground, name))
                assert (high + 0.05) / (low + 0.05) >= least, (ground, name)


def test_nothing_on_the_page_is_made_wider_than_a_phone(page: ET.Element) -> None:
    for selector, body in rules():
        for number, unit in re.findall(r"(?:^|[ ;])(?:min-)?width: ([\d.]+)(px|rem)", body):
            assert float(number) * {"px": 1, "rem": 16}[unit] < PHONE_PX, selector
    by_selector: dict[str, str] = {}
    for selector, body in rules():
        by_selector.setdefault(selector, body)  # the first is the one for the screen
    for wide in (".scroll", "pre"):
        assert "overflow-x: auto" in by_selector[wide]
    scrolled = [table for box in selected(page, ".scroll") for table in box.iter("table")]
    assert len(scrolled) == len(list(page.iter("table"))) > 0
    for drawing in page.iter("svg"):
        name = drawing.attrib["class"].split()[0]  # those in a legend are of a method
        assert "width: " in by_selector[{"method": ".legend svg"}.get(name, f".{name}")], name
