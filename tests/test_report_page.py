"""The page, the Markdown and the badge: complete, true to the record, well formed, and escaped."""

from __future__ import annotations

import copy
import re
import shlex
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from kdcheck.errors import OptionError
from kdcheck.paper.arms import ERM, LS
from kdcheck.report import badge, html, markdown, wording, write
from kdcheck.report.axes import over, ticks
from kdcheck.report.forest import forest
from kdcheck.report.markup import VOID
from kdcheck.report.reproduce import commands
from kdcheck.study.scale import load
from tests import report_doubles as doubles

EVIL = "<script>alert('a & b')</script> \" onload=\"x() | `c`"
ANYWHERE_ELSE = re.compile(
    r"https?:|//[\w.]+\.\w|url\(|@import|\bsrc=|<link|<iframe", re.IGNORECASE
)


class Page(HTMLParser):
    """Elements of a page, its text by element, and where the nesting breaks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)
        self.faults += [f"{name} is never closed" for name in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} is closed out of turn")

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return doubles.record()


@pytest.fixture(scope="module")
def page(record: dict[str, Any]) -> Page:
    return Page(html(record))


def test_every_claim_has_a_tile_and_a_card_and_they_find_each_other(
    record: dict[str, Any], page: Page
) -> None:
    ids = [claim["id"] for claim in record["claims"]]
    assert [card["id"] for card in page.all("article")] == ids
    links = {link["href"] for link in page.all("a")}
    assert {f"#{name.replace('[', '%5B').replace(']', '%5D')}" for name in ids} <= links


def test_every_link_leads_somewhere_on_the_page(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = {link["href"].replace("%5B", "[").replace("%5D", "]") for link in page.all("a")}  # type: ignore[union-attr]
    assert targets <= {f"#{name}" for name in ids}


def test_the_papers_figure_has_our_range_and_word_below_it_in_plain_sight() -> None:
    gap = doubles.entropy_gap("ls", LS("smaller"), ERM("smaller"))
    record = doubles.record(questions=[gap], scale=load("paper"))
    (cell,) = (f for f in record["finals"] if (f["arm"], f["task"], f["metric"])
               == ("ls/smaller", "mrpc", doubles.ENTROPY))  # fmt: skip
    low, high = cell["paper"]["comparison"]["prediction_interval"]
    assert f".6896{low:.4f} to {high:.4f}inconsistent" in Page(html(record)).cells


def test_the_nesting_holds(page: Page) -> None:
    assert page.faults == []


@pytest.mark.parametrize("broken", ["<p><b></p></b>", "<p>", "</p>"])
def test_broken_nesting_would_be_noticed(broken: str) -> None:
    assert Page(broken).faults


def test_every_inline_picture_is_xml_with_a_title(record: dict[str, Any]) -> None:
    pictures = re.findall(r"<svg(?![^>]*aria-hidden).*?</svg>", html(record), flags=re.DOTALL)
    claims, panels = len(record["claims"]), 2 * len(record["tasks"])
    assert len(pictures) >= claims + panels
    for picture in pictures:
        title = ET.fromstring(picture).find("title")  # noqa: S314 - our own text
        assert title is not None
        assert title.text


def test_the_page_needs_nothing_from_anywhere_else(record: dict[str, Any]) -> None:
    assert ANYWHERE_ELSE.findall(html(record)) == []


@pytest.mark.parametrize(
    "planted",
    ["https://cdn.example/x.js", '<img src="x.png">', "url(font.woff)", "//cdn.example/a"],
)
def test_a_reference_to_anywhere_else_would_be_noticed(planted: str) -> None:
    assert ANYWHERE_ELSE.search(planted)


def test_the_tables_show_the_records_figures(record: dict[str, Any], page: Page) -> None:
    for cell in record["finals"]:
        assert wording.spread(cell["metric"], cell["mean"], cell["sd"]) in page.cells
    for claim in record["claims"]:
        for task in claim["tasks"]:
            row = page.cells.index(wording.interval(task["interval"]))
            shown = page.cells[row + 1 : row + 1 + len(task["per_seed"])]
            assert shown == [wording.effect(seed["effect"]) for seed in task["per_seed"]]


def test_a_figure_that_differs_from_the_record_would_be_noticed(
    record: dict[str, Any], page: Page
) -> None:
    other = copy.deepcopy(record)
    for cell in other["finals"]:
        cell["mean"] += 0.01
    shown = [wording.spread(c["metric"], c["mean"], c["sd"]) for c in other["finals"]]
    assert not set(shown) <= set(page.cells)


def with_evil_texts(record: dict[str, Any]) -> dict[str, Any]:
    """The record with markup in every place where a user's text may stand."""
    evil = copy.deepcopy(record)
    evil["scale"] = EVIL
    evil["deviations"], evil["notes"] = [EVIL], [EVIL]
    evil["environment"][EVIL] = [EVIL]
    for claim in evil["claims"]:
        for name in ("says", "where", "paper", "reason", "advice", "unit", "because"):
            claim[name] = EVIL
        claim["id"] = f"{claim['id']} {EVIL}"
        claim["deviations"] = [EVIL, f"{EVIL} own"]
        claim["criterion"]["contrast"] = EVIL
        claim["at_two_classes"] = EVIL
        for task in claim["tasks"]:
            task["name"] = EVIL
    for arm in evil["arms"]:
        arm["label"] = EVIL
    return evil


def test_markup_in_a_text_stays_text(record: dict[str, Any], page: Page) -> None:
    shown = html(with_evil_texts(record))
    parsed = Page(shown)
    assert "alert('" not in shown
    assert "<script>alert" not in shown
    assert parsed.faults == []
    assert len(parsed.all("script")) == len(page.all("script")) == 1
    assert not any("onload" in attributes for _, attributes in parsed.elements)


def test_markup_that_was_not_escaped_would_be_noticed(record: dict[str, Any]) -> None:
    planted = Page(html(record).replace("<h1>", f"<h1>{EVIL}"))
    assert len(planted.all("script")) == 2


def test_a_verdict_is_said_in_words_wherever_it_is_coloured(record: dict[str, Any]) -> None:
    text = html(record)
    for claim in record["claims"]:
        card = text[text.index(f'id="{claim["id"]}"') :]
        assert claim["word"] in card[:600]


def test_a_keyboard_reaches_everything(page: Page) -> None:
    regions = [each for each in page.all("div") if each.get("class") == "scroll"]
    assert regions
    assert all(each.get("tabindex") == "0" and each.get("aria-label") for each in regions)
    assert page.all("a")[0]["class"] == "skip"
    assert all(each.get("aria-label") for each in page.all("input"))


def test_filters_show_only_where_a_script_runs(page: Page) -> None:
    (bar,) = (each for each in page.all("div") if each.get("class") == "filters")
    assert "hidden" in bar


def test_a_claim_without_evidence_has_a_card_and_no_picture(record: dict[str, Any]) -> None:
    bare = copy.deepcopy(record["claims"][0])
    bare |= {"word": "NOT_RUN", "effect": None, "interval": None, "tasks": [], "seeds": 0}
    assert forest(bare) is None
    shown = Page(html({**record, "claims": [bare]}))
    assert shown.faults == []
    assert len(shown.all("article")) == 1


def test_one_seed_gives_a_page_without_intervals() -> None:
    assert Page(html(doubles.record(seeds=1))).faults == []


@pytest.mark.parametrize(
    ("scale", "tasks", "command"),
    [
        ("embedded", ["tweets", "snippets"], "--scale embedded --seeds 3"),
        ("mini", ["tweets", "sst2"], "--scale mini --seeds 3 --data-dir DIR"),
        ("my scale", ["tweets"], "--scale FILE.toml --seeds 3"),
        ("my scale", ["own"], "--scale FILE.toml --seeds 3 --data-dir DIR"),
    ],
)
def test_the_commands_work_on_a_checkout_and_name_the_files_that_they_need(
    record: dict[str, Any], scale: str, tasks: list[str], command: str
) -> None:
    changed = record | {"scale": scale, "tasks": [{"name": name} for name in tasks]}
    (checkout, install), (why, train), *rest = commands({**changed, "seeds": [0, 1, 2]})
    assert "checkout of the source" in checkout
    assert record["kdcheck"] in checkout
    assert "==" not in install  # kdcheck is on no index, and a wheel of it would hold no claims
    assert train == f"pytest claims/ {command}"
    assert [name for name in ("FILE.toml", "DIR") if name in why] == [
        name for name in ("FILE.toml", "DIR") if name in train
    ]
    assert f"kdcheck report --scale {shlex.quote(scale)}" in [command for _, command in rest]


def test_the_markdown_names_every_claim_and_figure(record: dict[str, Any]) -> None:
    text = markdown(record).replace("\\", "")
    for claim in record["claims"]:
        assert f"| {claim['id']} | {wording.SIGNS[claim['word']]} {claim['word']} |" in text
        assert wording.interval(claim["interval"]) in text
    for cell in record["finals"]:
        assert wording.spread(cell["metric"], cell["mean"], cell["sd"]) in text


def test_markdown_tables_keep_their_columns_whatever_the_texts_say(record: dict[str, Any]) -> None:
    for text in (markdown(record), markdown(with_evil_texts(record))):
        # Indented lines are commands, which Markdown shows as they are.
        assert not [line for line in text.splitlines() if re.match(r"(?! {4}).*<script>", line)]
        blocks = [block for block in text.split("\n\n") if block.startswith("| ")]
        assert len(blocks) >= 3
        for block in blocks:
            columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(columns) == 1


def test_the_badge_counts_what_the_record_counts(record: dict[str, Any]) -> None:
    drawing = ET.fromstring(badge(record))  # noqa: S314 - our own text
    texts = [element.text for element in drawing.iter() if element.tag.endswith("}text")]
    present = {word: count for word, count in record["counts"].items() if count}
    assert texts == [
        "claims, embedded",
        *(f"{count} {wording.plain_word(word)}" for word, count in present.items()),
    ]
    ET.fromstring(badge(with_evil_texts(record)))  # noqa: S314


def test_the_badges_segments_lie_side_by_side(record: dict[str, Any]) -> None:
    drawing = ET.fromstring(badge(record))  # noqa: S314
    rects = [each.attrib for each in drawing.iter() if each.tag.endswith("}rect")][1:]
    left = 0.0
    for rect in rects:
        assert float(rect["x"]) == pytest.approx(left)
        left += float(rect["width"])
    assert float(drawing.attrib["width"]) == pytest.approx(left)


def test_four_files_are_written_beside_each_other(record: dict[str, Any], tmp_path: Path) -> None:
    written = write(record, tmp_path / "new" / "page.html")
    assert [path.name for path in written] == ["page.html", "page.md", "page.json", "page.svg"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in written
    )


def test_another_ending_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        write(record, tmp_path / "page.pdf")
    assert ".html" in caught.value.wanted


def test_a_place_that_cannot_be_written_to_is_refused_whole(
    record: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError) as caught:
        write(record, tmp_path / "file" / "page.html")
    assert "may write to" in caught.value.next_step
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("low", "high", "most"),
    [(-0.03, 0.52, 6), (0, 1e-4, 5), (-9e5, 3, 4), (0.9, 1.0, 7), (0, 10, 6)],
)
def test_ticks_are_few_even_and_inside(low: float, high: float, most: int) -> None:
    found = ticks(low, high, most)
    steps = [b - a for a, b in pairwise(found)]
    assert 2 <= len(found) <= most
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert steps == pytest.approx([steps[0]] * len(steps))


def test_an_axis_keeps_values_inside_the_drawing() -> None:
    axis = over([-1.0, 3.0], 10, 90)
    assert 10 < axis.at(-1.0) < axis.at(3.0) < 90
    assert (axis.at(-99.0), axis.at(99.0)) == (10, 90)
