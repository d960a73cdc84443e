"""The paper's tables, filled: which figure stands in which cell, and what a cell without a run says."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from kdcheck.claims import Paper
from kdcheck.paper import load_tables
from kdcheck.paper.publication import PAPER
from kdcheck.report import write_tables
from tests import report_doubles as doubles
from tests.report_doubles import ENTROPY, PLAIN


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return doubles.record()


def table_of(record: dict[str, Any], number: str) -> dict[str, Any]:
    (found,) = (each for each in record["paper_tables"] if each["number"] == number)
    return found


def cell_of(record: dict[str, Any], number: str, label: str, column: str) -> dict[str, Any]:
    table = table_of(record, number)
    (line,) = (each for each in table["lines"] if each["label"] == label)
    return line["cells"][table["columns"].index(column)]


def test_a_cell_has_the_papers_figure_our_mean_its_interval_seeds_and_marks(record) -> None:
    (final,) = (
        each
        for each in record["finals"]
        if (each["arm"], each["task"], each["metric"]) == (PLAIN.key, "fish", ENTROPY)
    )
    values = np.array(list(final["values"].values()))
    reach = t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    assert cell_of(record, "21", "Plain one", "fish") == {
        "paper": ".311",
        "ours": f"{values.mean():.4f}",
        "interval": f"{values.mean() - reach:.4f} to {values.mean() + reach:.4f}",
        "seeds": 3,
        "marks": "subset, cut",
        "waits": "",
    }
    assert cell_of(record, "21", "Plain one", "birds")["marks"] == "cut"


def test_tasks_of_the_scale_alone_stand_beside_the_papers(record) -> None:
    assert table_of(record, "21")["columns"] == ["fish", "birds", "trees"]
    cell = cell_of(record, "21", "Plain one", "trees")
    assert (cell["paper"], cell["marks"], cell["seeds"]) == ("", "", 3)


def test_a_cell_without_a_run_names_the_run_that_it_waits_for(record) -> None:
    assert cell_of(record, "21", "Nobody's", "fish")["waits"] == "unheard/larger on fish"
    assert (
        cell_of(record, "27", "Smoothed, deer", "learning_rate")["waits"]
        == "smooth/smaller on deer"
    )
    assert cell_of(record, "28", "Deer", "train")["waits"] == "any run on deer"
    assert cell_of(record, "21", "Nobody's", "birds") is None, "a dash in the paper"


def test_settings_sizes_and_grids_are_those_of_the_runs(record) -> None:
    alpha = cell_of(record, "27", "Smoothed, birds", "alpha")
    assert (alpha["paper"], alpha["ours"], alpha["seeds"], alpha["marks"]) == (".4", ".3", 3, "cut")
    assert cell_of(record, "27", "Plain, fish", "learning_rate")["ours"] == ".0001"
    assert cell_of(record, "28", "Fish", "train")["ours"] == "2,400"
    assert cell_of(record, "28", "Fish", "test")["ours"] == "70"
    # Plain has two epochs and Smoothed three, on three tasks each.
    assert [cell and cell["ours"] for cell in table_of(record, "20")["lines"][0]["cells"]] == [
        "in 3 of 6", "in 3 of 6", None,
    ]  # fmt: skip


def test_one_seed_has_no_interval() -> None:
    record = doubles.record(claims=[doubles.SURER], seeds=(11,))
    cell = cell_of(record, "21", "Plain one", "fish")
    assert (cell["interval"], cell["seeds"]) == ("", 1)


def test_figures_say_whose_curves_they_wait_for(record) -> None:
    waiting = record["figures_waiting"]
    assert waiting["Figure 7"] == []
    alone = doubles.record(claims=[doubles.SURER])
    assert alone["figures_waiting"]["Figure 9"] == [
        f"plainly/larger on {task}" for task in doubles.TASKS
    ]


def test_page_markdown_csv_and_an_svg_a_figure_are_written(record, tmp_path: Path) -> None:
    files = write_tables(record, tmp_path / "p.html")
    names = ["tables.html", "tables.md", "tables.csv", "figure-7.svg", "figure-9.svg"]
    assert [path.name for path in files] == names
    assert {path.parent for path in files} == {tmp_path / "p-tables"}
    page, text, rows, *drawn = (path.read_text(encoding="utf-8") for path in files)
    cell = cell_of(record, "21", "Plain one", "fish")
    shown = f"{cell['ours']} ({cell['interval']}, 3 seeds)"
    assert f'<small>{shown}</small><small class="caveats">[subset, cut]</small>' in page
    assert f".311; {shown} \\[subset, cut\\]" in text
    assert "waits for unheard/larger on fish" in page
    found = list(csv.DictReader(io.StringIO(rows)))
    (one,) = (
        row
        for row in found
        if (row["table"], row["line"], row["column"]) == ("21", "Plain one", "fish")
    )
    assert (one["paper"], one["ours"], one["marks"]) == (".311", cell["ours"], "subset, cut")
    for svg in drawn:
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
    assert "fish [subset, cut], test text" in drawn[0]
    _check_panels(ET.fromstring(drawn[0]))  # noqa: S314 - our own


def tables_page(record: dict[str, Any], folder: Path) -> ET.Element:
    page, *_ = write_tables(record, folder / "p.html")
    kind, whole = page.read_text(encoding="utf-8").split("\n", 1)
    assert kind == "<!doctype html>"
    return ET.fromstring(re.sub(r"<(meta [^>]*)>", r"<\1/>", whole))  # noqa: S314 - our own


def test_the_page_of_the_tables_is_laid_out_as_a_browser_and_a_reader_need_it(
    record, tmp_path: Path
) -> None:
    head, body = root = tables_page(record, tmp_path)
    assert root.attrib == {"lang": "en"}
    assert [each.attrib for each in head.findall("meta")] == [
        {"charset": "utf-8"},
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ]
    assert head.findtext("title") == "Tables: Do Tulips < Teach?, at pocket scale"
    assert ".tables" in (head.findtext("style") or "")
    assert [(each.tag, each.get("class")) for each in body] == [
        ("h1", None), ("p", "lead"), ("ul", None), ("div", "tables wide"), ("figure", "curves"),
    ]  # fmt: skip
    assert body.findtext("h1") == "Do Tulips < Teach?, at pocket scale"
    assert (body.findtext("p") or "").startswith("Below the paper's figure stands ours: mean")
    assert [each.text for each in body[2]] == [
        "fish, subset: A subset was read, 7 of 9.",
        "fish, cut: Each run trains on 1,200.",
        "birds, cut: Each run trains on 345.",
    ]
    assert [each.text for each in body.iter("caption")] == [
        "Table 21: entropy, nats", "Table 27: chosen", "Table 28: sizes, examples", "Table 20: grid",
    ]  # fmt: skip


def test_the_page_of_the_tables_ends_with_what_its_figures_wait_for(tmp_path: Path) -> None:
    record = doubles.record(claims=[doubles.SURER])
    told = tables_page(record, tmp_path)[1][-1]
    assert told.tag == "ul"
    assert [(each.text or "").partition(" of ")[0] for each in told] == [
        f"{figure} waits for curves" for figure, runs in record["figures_waiting"].items() if runs
    ]


def _check_panels(picture: ET.Element) -> None:
    """Each drawing of a figure has a place and a size of its own, below the title over it."""
    svg = "{http://www.w3.org/2000/svg}"
    places = [each for each in picture.findall(f"{svg}svg") if each.find(f"{svg}svg") is not None]
    corners = [(float(each.attrib["x"]), float(each.attrib["y"])) for each in places]
    sizes = {(float(each.attrib["width"]), float(each.attrib["height"])) for each in places}
    ((width, height),) = sizes
    assert len(places) == 6, "two panels for each of three tasks"
    apart = [
        abs(one[0] - other[0]) >= width or abs(one[1] - other[1]) >= height
        for one, other in combinations(corners, 2)
    ]
    assert all(apart)
    assert float(picture.attrib["height"]) >= max(y for _, y in corners) + height


def test_a_figure_of_its_own_has_a_title_a_key_for_each_line_and_says_what_it_waits_for(
    record, tmp_path: Path
) -> None:
    *_, seven, nine = write_tables(record, tmp_path / "p.html")
    svg = "{http://www.w3.org/2000/svg}"
    shown, waiting = (ET.fromstring(file.read_text("utf-8")) for file in (seven, nine))  # noqa: S314 - our own
    texts = [each.text for each in shown.findall(f"{svg}text")]
    assert texts[0] == "Figure 7. Do Tulips < Teach?, at pocket scale"
    assert texts[1:3] == ["fish [subset, cut], test text", "fish [subset, cut], training text"]
    keys = shown.findall(f"{svg}g")
    assert [(key.attrib["class"], key[1].text) for key in keys] == [
        ("method other", "Taught"), ("method grey", "Plain"), ("method orange", "Smoothed"),
    ]  # fmt: skip
    assert {key[0].attrib["class"] for key in keys} == {"line"}
    style = shown.findtext(f"{svg}style") or ""
    for key in keys:
        hue = key.attrib["class"].replace(" ", ".")
        assert f".{hue} .line {{ stroke: #" in style
    tops = [float(key[1].attrib["y"]) for key in keys]
    first = min(float(each.attrib["y"]) for each in shown.findall(f"{svg}svg"))
    assert [b - a for a, b in zip(tops, [*tops[1:], first], strict=True)] >= [24, 24, 24]
    named = waiting.findall(f"{svg}text")
    assert [each.text for each in named] == ["Figure 9. Do Tulips < Teach?, at pocket scale"]
    alone = doubles.record(claims=[doubles.SURER])
    *_, nine = write_tables(alone, tmp_path / "q.html")
    told, why = ET.fromstring(nine.read_text("utf-8")).findall(f"{svg}text")  # noqa: S314 - our own
    assert why.text == (
        "Figure 9 waits for curves of plainly/larger on fish, plainly/larger on trees, "
        "plainly/larger on birds"
    )
    assert float(why.attrib["y"]) > float(told.attrib["y"]) + 12


def test_a_paper_without_tables_leaves_no_folder(record, tmp_path: Path) -> None:
    assert write_tables({**record, "paper_tables": []}, tmp_path / "p.html") == []
    assert list(tmp_path.iterdir()) == []


# This paper


def test_every_table_of_the_paper_is_laid_out_cell_by_cell() -> None:
    printed = load_tables().tables
    assert [table.number for table in PAPER.tables] == list(printed)
    for table in PAPER.tables:
        whole = printed[table.number]
        texts = {each.printed for row in whole.cells for each in whole.row(row)}
        assert {text for line in table.lines for text in line.texts if text} == texts
        assert len(table.lines) == len(whole.cells) + len(whole.missing)
        assert {len(line.texts) for line in table.lines} == {len(whole.columns)}
    lacking = [
        line.label for table in PAPER.tables for line in table.lines if set(line.texts) == {""}
    ]
    assert lacking == [f"{task}, DistilBERT, self-KD" for task in ("MRPC", "QNLI", "SST-2")]


def test_figures_that_contrasts_read_stand_in_the_line_of_their_arm() -> None:
    lines = {
        (table.number, line.arm, column): text
        for table in PAPER.tables
        if table.holds == "metric"
        for line in table.lines
        for column, text in zip(table.columns, line.texts, strict=True)
    }
    read = [each for each in PAPER.printed if each.metric != "smoothing_floor_nats"]
    assert all(lines[each.table, each.arm, each.task] == each.text for each in read)
    assert len(read) == len(lines)


def test_tables_survive_the_way_through_a_stored_claim() -> None:
    import json

    stored = json.loads(json.dumps(doubles.PAPER.to_dict()))
    assert Paper.from_dict(stored).tables == doubles.PAPER.tables
    del stored["tables"]
    assert Paper.from_dict(stored).tables == (), "a bundle from before they were kept"
