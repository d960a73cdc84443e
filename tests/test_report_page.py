"""The page, the Markdown and the badge: true to the record figure by figure, well formed, escaped."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from kdcheck import report
from kdcheck.errors import OptionError
from kdcheck.evidence.board import headline
from kdcheck.report import badge, html, markdown, wording, write
from kdcheck.report.axes import Axis, over
from kdcheck.report.forest import forest
from kdcheck.report.markup import VOID
from kdcheck.report.reproduce import commands
from kdcheck.verdict import Word
from tests import report_doubles as doubles
from tests.report_doubles import ACCURACY, ENTROPY, PLAIN, SMOOTH, TAUGHT

EVIL = "<script>alert('a & b')</script> \" onload=\"x() | `c`"
ANYWHERE_ELSE = re.compile(
    r"https?:|//[\w.]+\.\w|url\(|@import|\bsrc=|<link|<iframe", re.IGNORECASE
)

FISH, BIRDS = "fish [subset, cut]", "birds [cut]"
MARKS = {"fish": "subset, cut", "trees": "", "birds": "cut"}
ALONE = {"fish": "subset", "trees": "", "birds": ""}
"""What a cell says that stands beside no figure of the paper."""


def tree(page: str) -> ET.Element:
    """The page as a tree; an error where the nesting breaks or a text was not escaped."""
    bare = re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", page, flags=re.DOTALL)
    closed = re.sub(rf"<({'|'.join(VOID)})((?: [^>]*)?)>", r"<\1\2/>", bare)
    return ET.fromstring(closed.removeprefix("<!doctype html>").replace(" hidden>", ' hidden="">'))  # noqa: S314


def text_of(element: ET.Element) -> str:
    return "".join(element.itertext())


def rows_of(part: ET.Element, caption: str) -> list[list[str]]:
    """Cells of the table with that caption, its head first."""
    (table,) = (each for each in part.iter("table") if text_of(each.find("caption")) == caption)  # type: ignore[arg-type]
    return [[text_of(cell) for cell in row] for row in table.iter("tr")]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return doubles.record()


@pytest.fixture(scope="module")
def page(record: dict[str, Any]) -> ET.Element:
    return tree(html(record))


def card_of(page: ET.Element, claim_id: str) -> ET.Element:
    (found,) = (each for each in page.iter("article") if each.get("id") == claim_id)
    return found


def pairs_of(part: ET.Element) -> dict[str, str]:
    """What stands in the part's lists of names and values."""
    names, values = (list(map(text_of, part.iter(name))) for name in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def final_of(record: dict[str, Any], arm: Any, task: str, metric: str) -> dict[str, Any]:
    wanted = (arm.key, task, metric)
    (found,) = (f for f in record["finals"] if (f["arm"], f["task"], f["metric"]) == wanted)
    return found


def test_a_card_shows_its_claims_figures_by_task_and_seed(page: ET.Element) -> None:
    shown = card_of(page, "smooth_is_less_sure[smaller]")
    assert rows_of(shown, "Effect by task and seed, nats") == [
        ["task", "mean", "95 % interval", "seed 3", "seed 11", "seed 12"],
        [FISH, "+0.409", "[+0.4, +0.417]", "+0.405", "+0.412", "+0.409"],
        ["trees", "+0.729", "[+0.713, +0.746]", "+0.722", "+0.731", "+0.735"],
        [BIRDS, "+0.316", "[+0.303, +0.33]", "+0.311", "+0.316", "+0.322"],
    ]
    other = card_of(page, doubles.AS_GOOD.id)
    assert rows_of(other, "Effect by task and seed, points")[1] == [
        FISH, "+0.233", "[−2.62, +3.09]", "−0.9", "+1.4", "+0.2",
    ]  # fmt: skip
    assert rows_of(card_of(page, doubles.BUDGET.id), "Effect by task and seed")[3][0] == BIRDS


@pytest.mark.parametrize(
    ("claim", "word", "effect", "must"),
    [
        (doubles.SURER, "✓ SUPPORTED", "+0.316 nats 95 % interval [+0.303, +0.341]",
         "effect above +0.05 nats on every task"),
        (doubles.TEACHING, "✕ REFUTED", "−0.337 nats 95 % interval [−0.348, −0.317]",
         "effect above +0.04 nats on every task"),
        (doubles.AS_GOOD, "? UNDECIDED", "+0.333 points 95 % interval [−3.89, +4.35]",
         "effect above −0.5 points on most tasks"),
        (doubles.WARMTH, "✓ SUPPORTED", "+0.014 nats 95 % interval [+0.0008, +0.0272]",
         "effect between −0.2 nats and +0.2 nats on some task"),
        (doubles.BUDGET, "≈ EQUIVALENT", "+0.00533 95 % interval [+0.0007, +0.01]",
         "effect above +0.2 on most tasks"),
        (doubles.HANDED, "⊘ NOT TESTABLE", "+0.0273 nats 95 % interval [+0.0112, +0.0561]",
         "effect above +0.06 nats on every task"),
        (doubles.SIZE, "! INVALID", None, "effect above +0.03 nats on every task"),
        (doubles.UNRUN, "○ NOT RUN", None, "effect above +0.01 nats on every task"),
    ],
)  # fmt: skip
def test_a_card_says_word_effect_and_what_must_be_shown(
    page: ET.Element, claim: Any, word: str, effect: str | None, must: str
) -> None:
    shown = card_of(page, claim.id)
    (top,) = (each for each in shown.iter("p") if each.get("class") == "top")
    chip = "EXPLORATORY" if claim.id in doubles.EXPLORATORY else ""
    assert text_of(top) == f"{word}{chip}{claim.id}"
    assert shown.get("class") == f"card {word[2:].lower().replace(' ', '_')}"
    assert [text_of(each) for each in shown.iter("p") if each.get("class") == "effect"] == (
        [effect] if effect else []
    )
    assert pairs_of(shown)["must show"] == must
    quantifier = must.partition(" on ")[2]
    assert f"Part of {claim.id} · must hold on {quantifier}" in text_of(shown)


def test_a_card_shows_what_the_contrast_is_in_the_paper_and_here(page: ET.Element) -> None:
    surer = pairs_of(card_of(page, doubles.SURER.id))
    assert surer["In the paper"] == "fish +0.302, birds +0.362 nats (Table 21)"
    assert surer["Here"] == f"{FISH} +0.409; trees +0.729; {BIRDS} +0.316 nats"
    size = pairs_of(card_of(page, doubles.SIZE.id))
    assert size["In the paper"] == "fish +0.104, birds +0.063 nats (Tables 21 and 24)"
    assert "In the paper" not in pairs_of(card_of(page, doubles.BUDGET.id))


def test_a_cards_criterion_pays_the_right_rate_for_each_word(
    record: dict[str, Any], page: ET.Element
) -> None:
    shown = pairs_of(card_of(page, doubles.TEACHING.id))
    (claim,) = (each for each in record["claims"] if each["id"] == doubles.TEACHING.id)
    p = claim["criterion"]["adjusted_p"]
    supported, refuted, equivalent = (
        doubles.PLAN.rate(word) for word in (Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT)
    )
    assert shown["p, all prices paid"] == (
        f"SUPPORTED 1 (at most {supported:g}); REFUTED {p['REFUTED']:.2g} (at most {refuted:g}); "
        f"EQUIVALENT 1 (at most {equivalent:g})"
    )
    assert shown["planned looks"] == "at 3 and 5 seeds; 3 used, attempt 1"
    assert shown["family"] == "8 claims, judged together"
    assert shown["standing"] == "CONFIRMATORY under lock 5eed5eed"
    assert pairs_of(card_of(page, doubles.BUDGET.id))["standing"] == "EXPLORATORY"
    fish = [doubles.recipe(PLAIN, "fish", seed).digest[:10] for seed in (3, 11, 12)]
    assert shown["Plain (smaller), fish"] == "".join(fish)
    assert "18 runs" in [
        text_of(each) for each in card_of(page, doubles.TEACHING.id).iter("summary")
    ]


def test_what_all_claims_depart_in_is_listed_once_and_the_rest_on_its_card(
    page: ET.Element,
) -> None:
    own = [text_of(each) for each in card_of(page, doubles.SURER.id).iter("li")]
    assert own == [f"{doubles.SURER.id} departs alone."]
    (section,) = (each for each in page.iter("section") if each.get("id") == "deviations")
    assert next(text_of(each) for each in section.iter("li")) == "Text is invented."
    assert [text_of(each) for each in section.iter("h3")] == ["Rows", "Notes of runs"]


class Drawing:
    """A forest plot whose coordinates are read back as values, by its own ticks."""

    def __init__(self, claim: dict[str, Any]) -> None:
        self.root = ET.fromstring(str(forest(claim)))  # noqa: S314 - our own text
        (axis,) = self.of("g", "axis")
        labels = [(float(each.attrib["x"]), each.text or "") for each in axis.iter("text")][:-1]
        ticks = [(x, float(text.replace("−", "-"))) for x, text in labels]
        (self.x0, self.v0), (x1, v1) = ticks[0], ticks[-1]
        self.scale = (v1 - self.v0) / (x1 - self.x0)
        self.step = 0.1 * abs(self.scale)

    def of(self, name: str, class_: str) -> list[ET.Element]:
        return [each for each in self.root.iter(name) if each.get("class") == class_]

    def value(self, x: str | float) -> float:
        return self.v0 + (float(x) - self.x0) * self.scale

    def near(self, values: list[float]) -> Any:
        return pytest.approx(values, abs=2 * self.step)


@pytest.mark.parametrize(
    ("claim", "margin", "edges"),
    [
        (doubles.SURER, 0.05, [0.05]),
        (doubles.AS_GOOD, 0.5, [-0.5]),
        (doubles.WARMTH, 0.2, [-0.2, 0.2]),
    ],
)
def test_a_picture_has_margin_edges_seeds_and_intervals_where_their_values_are(
    record: dict[str, Any], claim: Any, margin: float, edges: list[float]
) -> None:
    (shown,) = (each for each in record["claims"] if each["id"] == claim.id)
    drawing = Drawing(shown)
    drawn = [float(each.attrib["d"][1:].split()[0]) for each in drawing.of("path", "edge")]
    assert list(map(drawing.value, drawn)) == drawing.near(edges)
    (band,) = drawing.of("rect", "band")
    left = float(band.attrib["x"])
    bounds = [drawing.value(left), drawing.value(left + float(band.attrib["width"]))]
    assert bounds == drawing.near([-margin, margin])
    (zero,) = drawing.of("path", "zero")
    assert [drawing.value(zero.attrib["d"][1:].split()[0])] == drawing.near([0.0])
    seeds = [drawing.value(each.attrib["cx"]) for each in drawing.of("circle", "seed")]
    effects = doubles.EFFECTS[claim.id]
    assert seeds == drawing.near([of_task[i] for of_task in effects for i in (1, 0, 2)])
    for task, estimate in zip(shown["tasks"], drawing.of("g", "estimate"), strict=True):
        low, high = re.findall(r"[MH]([\d.]+)", estimate.find("path").attrib["d"])[:2]  # type: ignore[union-attr]
        assert [drawing.value(low), drawing.value(high)] == drawing.near(task["interval"])
        mean = estimate.find("circle").attrib["cx"]  # type: ignore[union-attr]
        assert [drawing.value(mean)] == drawing.near([task["effect"]])
    (diamond,) = drawing.of("g", "diamond")
    corners = re.findall(r"[ML]([\d.]+) ", diamond.find("path").attrib["d"])  # type: ignore[union-attr]
    expected = [shown["interval"][0], shown["effect"], shown["interval"][1], shown["effect"]]
    assert list(map(drawing.value, corners)) == drawing.near(expected)
    quantifier = {"every": "every task", "most": "most tasks", "some": "some task"}[claim.holds]
    assert text_of(diamond.find("text")) == f"the claim, on {quantifier}"  # type: ignore[arg-type]
    assert [text_of(each) for each in drawing.root.iter("text") if each.get("x") == "0"] == [
        "fish", "trees", "birds", f"the claim, on {quantifier}",
    ]  # fmt: skip


def test_curves_are_drawn_by_figure_task_and_split(page: ET.Element) -> None:
    (figure,) = (each for each in page.iter("figure") if each.get("class") == "curves")
    assert text_of(next(figure.iter("h3"))) == "The small one: entropy while training"
    assert text_of(next(figure.iter("p"))).startswith("After Figure 7 of the paper, on samples ")
    legend = {text_of(each): each.find("svg").get("class") for each in figure.iter("li")}  # type: ignore[union-attr]
    assert list(legend.items()) == [
        ("Taught", "method other"), ("Plain", "method grey"), ("Smoothed", "method orange"),
    ]  # fmt: skip
    panels = [each for each in figure.iter("div") if each.get("class") == "panel"]
    assert [text_of(next(each.iter("h4"))) for each in panels] == [
        f"{task}, {text}"
        for task in (FISH, "trees", BIRDS)
        for text in ("test text", "training text")
    ]
    # By hand: 0.313 + 0.001 * 26 / 3 - 0.021 looks, and 0.113 + 0.002 * 26 / 3 - 0.011 looks.
    said = [
        [text_of(title) for title in panel.iter("title") if "Plain" in text_of(title)]
        for panel in panels[2:4]
    ]
    assert [titles[1:] for titles in said] == [
        ["Plain, epoch 1: 0.3007 ± 0.0049 nats", "Plain, epoch 2: 0.2797 ± 0.0049 nats"],
        ["Plain, epoch 1: 0.1193 ± 0.0099 nats", "Plain, epoch 2: 0.1083 ± 0.0099 nats"],
    ]
    assert "Plain ends at 0.280" in said[0][0]
    assert "Plain ends at 0.108" in said[1][0]


def test_the_curve_of_an_arm_goes_through_its_means(
    record: dict[str, Any], page: ET.Element
) -> None:
    drawings = [each for each in page.iter("svg") if each.get("class") == "lines"]
    for drawing in drawings[:2]:
        (line,) = (each for each in drawing.iter("g") if each.get("class") == "method orange")
        heights = [float(each.attrib["cy"]) for each in line.iter("circle")]
        assert len(heights) == 3
        assert heights == sorted(heights)  # its entropy falls, and down is up in a drawing
    # Panels of a task share an axis: on training text the same arm is drawn lower.
    firsts = [next(each.iter("circle")).attrib["cy"] for each in drawings[:2]]
    assert float(firsts[0]) < float(firsts[1])


class Panel:
    """A panel of curves whose coordinates are read back as values, by its own ticks."""

    def __init__(self, drawing: ET.Element) -> None:
        self.root = drawing
        axis = next(each for each in drawing.iter("g") if each.get("class") == "axis")
        texts = [each for each in axis.iter("text") if not each.get("transform")]
        self.up = [each for each in texts if each.get("text-anchor") == "end"]
        self.along = [each for each in texts if each.get("text-anchor") == "middle"][:-1]
        self.x = self._scale(self.along, "x", 0.0)
        self.y = self._scale(self.up, "y", 4.0)  # a text stands a little below its line

    @staticmethod
    def _scale(ticks: list[ET.Element], name: str, below: float) -> np.ndarray:
        places = [float(each.attrib[name]) - below for each in ticks]
        values = [float(text_of(each)) for each in ticks]
        scale = np.polyfit(places, values, 1)
        assert np.polyval(scale, places) == pytest.approx(values, abs=0.2 * abs(scale[0]))
        return scale

    def points(self, text: str) -> list[tuple[float, float]]:
        """Epoch and entropy of each place that a path goes through."""
        places = re.findall(r"([\d.]+) ([\d.]+)", text)
        return [(np.polyval(self.x, float(x)), np.polyval(self.y, float(y))) for x, y in places]


def test_lines_and_bands_of_curves_go_through_the_means_and_spreads_of_their_epochs(
    record: dict[str, Any], page: ET.Element
) -> None:
    drawings = iter(each for each in page.iter("svg") if each.get("class") == "lines")
    colours = {arm["key"]: f"method {arm['colour'] or 'other'}" for arm in record["arms"]}
    (figure,) = (each for each in record["figures"] if each["name"] == "Figure 7")
    for task in doubles.TASKS:
        for split in ("test_sample", "train_sample"):
            panel = Panel(next(drawings))
            curves = [
                each
                for each in record["curves"]
                if (each["task"], each["split"]) == (task, split) and each["arm"] in figure["arms"]
            ]
            assert len(curves) == 3
            for curve in curves:
                (line,) = (
                    each
                    for each in panel.root.iter("g")
                    if each.get("class") == colours[curve["arm"]]
                )
                paths = {each.get("class"): each.attrib["d"] for each in line.iter("path")}
                means = [(each["epoch"], each["mean"]) for each in curve["points"]]
                upper = [(each["epoch"], each["mean"] + each["sd"]) for each in curve["points"]]
                lower = [(each["epoch"], each["mean"] - each["sd"]) for each in curve["points"]]
                dots = [f"{each.attrib['cx']} {each.attrib['cy']}" for each in line.iter("circle")]
                for shown, wanted in (
                    (panel.points(" ".join(dots)), means),
                    (panel.points(paths["line"]), means),
                    (panel.points(paths["spread"]), [*upper, *reversed(lower)]),
                ):
                    assert np.array(shown) == pytest.approx(np.array(wanted), abs=0.006)


def test_the_axes_of_curves_have_names_and_a_line_at_each_tick_inside_the_picture(
    page: ET.Element,
) -> None:
    for drawing in (each for each in page.iter("svg") if each.get("class") == "lines"):
        panel = Panel(drawing)
        _, _, width, height = map(float, drawing.attrib["viewBox"].split())
        (axis,) = (each for each in drawing.iter("g") if each.get("class") == "axis")
        lines = [each.attrib["d"] for each in axis.iter("path") if each.get("class") == "grid"]
        starts = [re.fullmatch(r"M(\S+) (\S+)H(\S+)", line).groups() for line in lines]  # type: ignore[union-attr]
        assert [float(y) for _, y, _ in starts] == pytest.approx(
            [float(each.attrib["y"]) - 4 for each in panel.up]
        )
        (frame,) = (each.attrib["d"] for each in axis.iter("path") if each.get("class") == "zero")
        left, base, right = re.fullmatch(r"M(\S+) (\S+)H(\S+)", frame).groups()  # type: ignore[union-attr]
        assert {(x, end) for x, _, end in starts} == {(left, right)}
        assert float(base) == float(starts[0][1]), "entropy starts at 0"
        assert {float(each.attrib["x"]) for each in panel.up} == {float(left) - 6}
        assert {float(each.attrib["y"]) for each in panel.along} == {float(base) + 16}
        across, turned = list(axis.iter("text"))[-2:]
        assert (text_of(across), text_of(turned)) == ("epoch", "entropy, nats")
        assert float(across.attrib["x"]) == (float(left) + float(right)) / 2
        assert float(base) + 16 + 12 < float(across.attrib["y"]) < height
        assert turned.attrib["text-anchor"] == "middle"
        middle = float(re.search(r"translate\(\S+ (\S+)\)", turned.attrib["transform"])[1])  # type: ignore[index]
        assert middle == (12 + float(base)) / 2
        assert 0 < float(left) < float(right) < width


@pytest.mark.parametrize(
    ("metric", "caption", "share"),
    [(ENTROPY, "Test entropy of the smaller model, nats", "{:.4f}"),
     (ACCURACY, "Test accuracy of the smaller model, %", "{:.1f}")],
)  # fmt: skip
def test_a_table_has_means_spreads_and_the_papers_figures_in_their_places(
    record: dict[str, Any], page: ET.Element, metric: str, caption: str, share: str
) -> None:
    def shown(value: float) -> str:
        return share.format(100 * value if metric == ACCURACY else value)

    printed = {
        ENTROPY: {(SMOOTH, "fish"): ".613", (SMOOTH, "birds"): ".884", (PLAIN, "fish"): ".311",
                  (PLAIN, "birds"): ".522", (TAUGHT, "fish"): ".241", (TAUGHT, "birds"): ".402"},
        ACCURACY: {(PLAIN, "fish"): "81.7", (PLAIN, "birds"): "63.6", (TAUGHT, "fish"): "82.9",
                   (TAUGHT, "birds"): "65.5"},
    }[metric]  # fmt: skip
    head, *rows = rows_of(page, caption)
    assert head == ["method", FISH, "paper", "trees", BIRDS, "paper"]
    assert [row[0] for row in rows] == ["Smoothed", "Plain", "Taught"]
    for arm, row in zip((SMOOTH, PLAIN, TAUGHT), rows, strict=True):
        for column, task in ((1, "fish"), (3, "trees"), (4, "birds")):
            final = final_of(record, arm, task, metric)
            # Beside a figure of the paper all marks stand in the cell itself too, that of a subset in any.
            marks = MARKS[task] if (arm, task) in printed else ALONE[task]
            assert row[column] == f"{shown(final['mean'])} ± {shown(final['sd'])}{marks}"
        for column, task in ((2, "fish"), (5, "birds")):
            if (arm, task) not in printed:
                assert row[column] == "–"
                continue
            comparison = final_of(record, arm, task, metric)["paper"]["comparison"]
            low, high = comparison["prediction_interval"]
            assert row[column] == (
                f"{printed[arm, task]}{shown(low)} to {shown(high)}{comparison['word'].lower()}"
            )


def test_tables_keep_sizes_metrics_and_the_papers_own_arms_apart(
    record: dict[str, Any], page: ET.Element
) -> None:
    captions = [text_of(each) for each in page.iter("caption") if text_of(each).startswith("Test ")]
    assert captions == [
        f"Test {metric} of the {size} model{unit}{others}"
        for metric, unit in (("entropy", ", nats"), ("accuracy", ", %"), ("ece", ""))
        for size, others in (
            ("smaller", ""), ("smaller", ": other ways of training"), ("larger", ""),
        )
    ]  # fmt: skip
    larger = rows_of(page, "Test entropy of the larger model, nats")[1]
    assert (larger[0], larger[2][:4], larger[5][:4]) == ("Plain", ".207", ".459")
    others = rows_of(page, "Test accuracy of the smaller model, %: other ways of training")
    assert others[0] == ["method", FISH, "trees", BIRDS]
    assert [row[0] for row in others[1:]] == [
        arm["label"] for arm in record["arms"] if not arm["plain"]
    ]


def test_a_figure_in_a_table_names_its_seeds_and_the_papers_table(
    record: dict[str, Any], page: ET.Element
) -> None:
    titles = {each.get("title"): text_of(each) for each in page.iter("span") if each.get("title")}
    assert (titles["Table 25"], titles["Table 24"]) == ("74.1", ".459")
    values = final_of(record, PLAIN, "birds", ACCURACY)["values"]
    by_seed = "; ".join(f"seed {seed}: {100 * values[str(seed)]:.1f}" for seed in (3, 11, 12))
    assert by_seed in titles


def test_the_masthead_says_what_was_judged_on_what(
    record: dict[str, Any], page: ET.Element
) -> None:
    (masthead,) = (each for each in page.iter("header") if each.get("class") == "masthead")
    assert "“Do Tulips < Teach?”, at pocket scale" in text_of(masthead)
    assert text_of(masthead.find("h1")) == "2 of 6 claims decided"  # type: ignore[arg-type]
    (lead,) = (text_of(each) for each in masthead if each.get("class") == "lead")
    assert lead == (
        "1 SUPPORTED, 1 REFUTED; 1 UNDECIDED, 1 NOT_TESTABLE, 1 INVALID, 1 NOT_RUN; confirmatory "
        "under lock 5eed5eed, attempt 1. Beside them, EXPLORATORY: 2 of 2 claims decided: "
        "1 SUPPORTED, 1 EQUIVALENT."
    )
    bars = {each.get("class"): text_of(each) for each in masthead if each.get("aria-hidden")}
    assert bars == {"proportions confirmatory": "111111", "proportions exploratory": "11"}
    assert pairs_of(masthead) == {
        "tasks": "fish (2 classes, 1,200 rows to train, 40 to test), trees (5 classes, 43 to test) "
        "and birds (3 classes, 345 rows to train, 46 to test)",
        "training rows": "each seed draws its own",
        "seeds": "3, 11 and 12",
        "trainings": "72",
        "time in training": wording.seconds(record["cost"]["seconds"]),
    }
    (runs,) = (each for each in page.iter("section") if each.get("id") == "runs")
    assert pairs_of(runs)["steps"] == f"{record['cost']['steps']:,}"
    assert pairs_of(runs)["tokens trained on"] == f"{record['cost']['train_tokens']:,}"
    assert pairs_of(runs)["device"] == "cpu, cuda"


KNOWN = {
    *("a", "article", "body", "button", "caption", "code", "dd", "details", "div", "dl", "dt"),
    *("figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "head", "header", "html", "input"),
    *("li", "main", "meta", "nav", "ol", "p", "pre", "script", "section", "small", "span"),
    *(
        "strong",
        "style",
        "summary",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "title",
        "tr",
        "ul",
        "wbr",
    ),
    *("svg", "circle", "g", "path", "rect", "text"),
}
NUMBERS = re.compile(r"-?[\d.]+( -?[\d.]+)*")
PATH = re.compile(r"([MHVvLZ] ?(-?[\d.]+ ?)*)+")
VALUES = {
    "role": {"status", "region", "img"},
    "scope": {"col", "row"},
    "text-anchor": {"start", "middle", "end"},
    "type": {"button", "search"},
    "aria-hidden": {"true"},
    "aria-pressed": {"true", "false"},
    "tabindex": {"0"},
    "lang": {"en"},
    "name": {"viewport", "color-scheme"},
    "charset": {"utf-8"},
    "hidden": {""},
    **dict.fromkeys(("cx", "cy", "r", "x", "y", "width", "height", "viewBox"), NUMBERS),
    "d": PATH,
    "transform": re.compile(r"translate\([\d. ]+\) rotate\(-90\)"),
    "style": re.compile(r"flex-grow:\d+|--depth:\d+"),
    "href": re.compile(r"#.+"),
    **dict.fromkeys(
        ("aria-label", "title", "placeholder", "data-text"), re.compile(r"[^_]+|.+[a-z].+")
    ),
    **{key: {"", *Word} for key in ("data-filter", "data-word")},
    **dict.fromkeys(("class", "id", "content", "http-equiv"), re.compile(r".+")),
}
"""What each attribute of the page may say: one of a set, or the whole of a pattern."""


def test_a_page_is_made_of_elements_and_attributes_that_browsers_know(page: ET.Element) -> None:
    assert {each.tag for each in page.iter()} == KNOWN
    for element in page.iter():
        for name, value in element.attrib.items():
            may = VALUES[name]
            assert value in may if isinstance(may, set) else may.fullmatch(value), (name, value)
            assert value not in ("None", "False"), name
    metas = {
        each.get("name") or each.get("http-equiv"): each.get("content")
        for each in page.iter("meta")
    }
    assert metas == {
        None: None,
        "viewport": "width=device-width, initial-scale=1",
        "color-scheme": "light dark",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    }


UNSTYLED = {"confirmatory", "findings", "grid", "masthead", "other", "own", "pairs"}
"""Classes that only name what a part is."""


def test_every_class_of_the_page_has_a_rule_or_a_use(page: ET.Element) -> None:
    used = {name for each in page.iter() for name in (each.get("class") or "").split()}
    files = [Path(report.__file__).parent / name for name in ("style.css", "script.js")]
    named = set(re.findall(r"\.([a-z_-]+)", "".join(map(Path.read_text, files))))
    assert used - named == UNSTYLED


def test_a_page_says_how_its_verdicts_are_to_be_read(page: ET.Element) -> None:
    (how,) = (each for each in page.iter("details") if each.get("class") == "how")
    assert text_of(how.find("p")) == (  # type: ignore[arg-type]
        "The unit of replication is one seed of the whole pipeline, teacher included. The lock registers claims, margins "
        "and looks before the first run; all claims of a family are judged together, so that the chance of any false "
        "SUPPORTED, of any false REFUTED and of any false EQUIVALENT is at most 2.5 % each. Intervals are estimates and "
        "pay no such price. Every verdict holds at pocket scale alone."
    )


def test_other_ways_of_training_are_there_to_unfold(page: ET.Element) -> None:
    (tables,) = (each for each in page.iter("section") if each.get("id") == "tables")
    folded = [text_of(each.find("summary")) for each in tables.iter("details")]  # type: ignore[arg-type]
    assert folded
    assert all(re.fullmatch(r"Other ways of training: [1-9]\d*", told) for told in folded)


@pytest.mark.parametrize("claim", [doubles.SURER, doubles.SIZE], ids=lambda claim: claim.id)
def test_a_card_names_the_digest_of_its_criterion(
    record: dict[str, Any], page: ET.Element, claim: Any
) -> None:
    (entry,) = (each for each in record["claims"] if each["id"] == claim.id)
    assert pairs_of(card_of(page, claim.id))["digest"] == entry["criterion"]["digest"]


def test_a_page_of_exploratory_claims_alone_says_so_at_once() -> None:
    alone = doubles.record(claims=[doubles.WARMTH])
    page = html(alone)
    assert "<title>kdcheck: 1 of 1 claim decided, EXPLORATORY at pocket scale</title>" in page
    (masthead,) = (e for e in tree(page).iter("header") if e.get("class") == "masthead")
    assert "1 SUPPORTED; EXPLORATORY, not as registered." in text_of(masthead)
    assert "Confirmatory" not in text_of(masthead)
    assert "1 of 1 claim decided: 1 SUPPORTED; EXPLORATORY" in markdown(alone).replace("\\", "")


def lines_of(board: ET.Element) -> list[list[str]]:
    """The texts of each row of a board, as a reader meets them."""
    rows = (row for row in board.iter("li") if row.get("data-word"))
    return [[text.strip() for text in row.itertext() if text.strip()] for row in rows]


def test_the_board_opens_with_the_sentences_by_theme_and_keeps_exploratory_claims_apart(
    page: ET.Element,
) -> None:
    yes, no = (each for each in page.iter("div") if "standing " in (each.get("class") or ""))
    assert [text_of(each) for each in yes.iter() if each.tag in ("h3", "h4")] == [
        "Confirmatory under lock 5eed5eed, attempt 1",
        "Smoothing & sureness1 of 2 decided",
        "What teachers do1 of 2 decided",
        "Budgets < sizes0 of 2 decided",
    ]
    assert [text_of(each) for each in no.iter() if each.tag in ("h3", "h4")] == [
        "Exploratory: not as registered",
        "Budgets < sizes1 of 1 decided",
        "What teachers do1 of 1 decided",
    ]
    assert text_of(no.find("ul")) == doubles.OTHER_SEEDS  # type: ignore[arg-type]
    (other, warmth) = lines_of(no)
    assert other[:4] == ["≈", "EQUIVALENT", "EXPLORATORY", "What budget_matters says."]
    assert warmth[3:6] == [
        "What warmth_hardly_matters says.",
        "Rests on: SUPPORTED What smooth_is_less_sure[smaller] says.",
        "Exploratory: The margin is 0.2 nats, not 0.1 nats.",
    ]
    assert doubles.OTHER_SEEDS not in warmth, "said once for all of them"


def test_a_row_of_the_board_says_the_sentence_then_why_then_the_id_then_the_figures(
    page: ET.Element,
) -> None:
    rows = {row[2]: row for part in page.iter("div") if part.get("class") == "standing confirmatory"
            for row in lines_of(part)}  # fmt: skip
    assert rows["What teaching_makes_less_sure says."] == [
        "✕", "REFUTED", "What teaching_makes_less_sure says.",
        *("teaching_", "makes_", "less_", "sure"), "−0.337 nats", "[−0.348, −0.317]",
    ]  # fmt: skip
    handed = rows["What sureness_is_handed_on says."]
    assert handed[3:5] == [
        doubles.UNTESTABLE[doubles.HANDED.id],
        # Its other premise stands above it.
        "Rests on: SUPPORTED What smooth_is_less_sure[smaller] says.",
    ]
    undecided = rows["What as_good_as_plain says."]
    assert "more seeds would decide" in undecided[3]


def test_what_rests_on_a_premise_stands_further_in(page: ET.Element) -> None:
    depths = {
        text_of(row.find("a")): row.get("style")  # type: ignore[arg-type]
        for row in page.iter("li")
        if row.get("data-word")
    }
    inner = [text for text, style in depths.items() if style == "--depth:1"]
    assert [("handed_on" in each, "as_good" in each) for each in inner] == [
        (False, True), (True, False),
    ]  # fmt: skip
    assert sum(style is None for style in depths.values()) == 6


def test_a_card_links_its_premises_and_what_rests_on_it(page: ET.Element) -> None:
    handed = card_of(page, doubles.HANDED.id)
    assert pairs_of(handed)["Rests on"] == (
        "✕ REFUTED What teaching_makes_less_sure says."
        "✓ SUPPORTED What smooth_is_less_sure[smaller] says."
    )
    assert unquote(handed.findall(".//dl/dd/div/a")[1].attrib["href"]) == f"#{doubles.SURER.id}"
    surer = pairs_of(card_of(page, doubles.SURER.id))
    assert "Rests on" not in surer
    assert [each.id for each in (doubles.AS_GOOD, doubles.HANDED, doubles.WARMTH)
            if f"What {each.id} says." in surer["Premise of"]] == [
        doubles.AS_GOOD.id, doubles.HANDED.id, doubles.WARMTH.id,
    ]  # fmt: skip


def test_a_premise_that_is_not_in_the_evidence_is_named_without_a_link() -> None:
    shown = tree(html(doubles.record(claims=[doubles.AS_GOOD])))
    card = card_of(shown, doubles.AS_GOOD.id)
    assert pairs_of(card)["Rests on"] == f"○ NOT RUN {doubles.SURER.id}"
    assert card.findall(".//dl/dd/div/a") == []


def test_a_card_of_an_exploratory_claim_lists_every_reason(page: ET.Element) -> None:
    shown = card_of(page, doubles.WARMTH.id)
    (since,) = (each for each in shown.iter("div") if each.get("class") == "exploratory-since")
    assert [text_of(each) for each in since.iter("li")] == list(
        doubles.EXPLORATORY[doubles.WARMTH.id]
    )
    other = card_of(page, doubles.SURER.id)
    assert "xploratory" not in text_of(other)


def test_rows_and_cards_find_each_other_and_filters_count(
    record: dict[str, Any], page: ET.Element
) -> None:
    ids = [each.get("id") for each in page.iter("article")]
    assert ids == [claim["id"] for claim in record["claims"]]
    rows = [row for board in page.iter("ol") if board.get("class") == "board" for row in board]
    for tile, claim in zip(rows, record["claims"], strict=True):
        link = tile.find("a")
        assert link is not None
        assert unquote(link.attrib["href"]) == f"#{claim['id']}"
        assert tile.get("class") == claim["word"].lower()
        assert tile.get("data-word") == claim["word"]
        shown = (
            f"{wording.effect(claim['effect'], claim['unit'])}{wording.interval(claim['interval'])}"
        )
        assert text_of(link).endswith(shown if claim["interval"] else "no figures")
    buttons = {each.get("data-filter"): text_of(each) for each in page.iter("button")}
    assert (buttons[""], buttons["SUPPORTED"], buttons["NOT_RUN"]) == (
        "All 8", "supported 2", "not run 1",
    )  # fmt: skip
    every = [each.attrib["id"] for each in page.iter() if each.get("id")]
    assert len(every) == len(set(every))
    assert {unquote(each.attrib["href"])[1:] for each in page.iter("a")} <= set(every)


@pytest.mark.parametrize("broken", ["<p><b></p></b>", "<p>", "</p>", f"<p>{EVIL}</p>"])
def test_broken_nesting_and_unescaped_texts_would_be_noticed(broken: str) -> None:
    with pytest.raises(ET.ParseError):
        tree(broken.replace("</script>", ""))


def test_every_inline_picture_is_xml_with_a_title(record: dict[str, Any], page: ET.Element) -> None:
    pictures = [each for each in page.iter("svg") if not each.get("aria-hidden")]
    assert len(pictures) == 7 + 2 * len(record["tasks"])  # the claim that was not run has none
    assert all(text_of(each[0]) for each in pictures)
    assert {each[0].tag for each in pictures} == {"title"}


def test_the_page_needs_nothing_from_anywhere_else(record: dict[str, Any]) -> None:
    assert ANYWHERE_ELSE.findall(html(record)) == []


@pytest.mark.parametrize(
    "planted",
    ["https://cdn.example/x.js", '<img src="x.png">', "url(font.woff)", "//cdn.example/a"],
)
def test_a_reference_to_anywhere_else_would_be_noticed(planted: str) -> None:
    assert ANYWHERE_ELSE.search(planted)


def with_evil_texts(record: dict[str, Any]) -> dict[str, Any]:
    """The record with markup in every place where a user's text may stand."""
    evil = copy.deepcopy(record)
    evil |= {"scale": EVIL, "paper": {"name": EVIL, "title": EVIL}}
    evil |= {"deviations": [EVIL], "notes": [EVIL], "environment": {EVIL: [EVIL]}}
    for claim in evil["claims"]:
        for name in ("says", "where", "reason", "advice", "unit", "because", "at_two_classes"):
            claim[name] = EVIL
        claim["id"] = f"{claim['id']} {EVIL}"
        claim |= {"theme": EVIL, "rests_on": [f"{each} {EVIL}" for each in claim["rests_on"]]}
        claim["exploratory"] = [f"{each} {EVIL}" for each in claim["exploratory"]]
        claim["lock"] = EVIL
        claim["deviations"] = [EVIL, f"{EVIL} own"]
        claim["criterion"]["contrast"] = EVIL
        for task in claim["tasks"]:
            task["name"] = EVIL
        for each in claim["paper"]:
            each |= {"task": EVIL, "tables": [EVIL]}
    for arm in evil["arms"]:
        arm |= {"label": EVIL, "colour": EVIL}
    for figure in evil["figures"]:
        figure |= {"name": EVIL, "title": EVIL}
    for final in evil["finals"]:
        if final["paper"]:
            final["paper"] |= {"printed": EVIL, "table": EVIL}
    return evil


def test_markup_in_a_text_stays_text(record: dict[str, Any]) -> None:
    shown = html(with_evil_texts(record))
    assert "alert('" not in shown
    assert len(re.findall("<script", shown)) == 1
    assert not [each for each in tree(shown).iter() if "onload" in each.attrib]


DECIDES = {
    *(("claims", "*", name) for name in ("word", "direction", "holds")),
    *(("metrics", "*"), ("arms", "*", "key")),
}
"""Words that the page looks up and a record cannot have others of; it shows none of them as it stands."""


def text_places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a record a text stands."""
    if isinstance(value, str):
        yield at
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, inner in pairs:
        yield from text_places(inner, (*at, key))


def test_markup_in_any_text_of_the_record_whatever_it_is_for_stays_text(
    record: dict[str, Any],
) -> None:
    clean = html(record)
    kinds: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for place in text_places(record):
        kinds.setdefault(tuple("*" if isinstance(key, int) else key for key in place), place)
    shown, refused = 0, set()
    for kind, (*way, last) in kinds.items():
        evil = copy.deepcopy(record)
        holder: Any = evil
        for key in way:
            holder = holder[key]
        holder[last] = EVIL
        try:
            page = html(evil)
        except (KeyError, ValueError):
            refused.add(kind)
            continue
        assert "alert('" not in page, kind
        assert len(re.findall("<script", page)) == 1, kind
        shown += page != clean
    assert refused == DECIDES
    assert shown >= 50, "as many kinds of text as the page shows"


def test_a_keyboard_reaches_everything_and_filters_show_only_where_a_script_runs(
    page: ET.Element,
) -> None:
    regions = [each for each in page.iter("div") if each.get("class") == "scroll"]
    assert regions
    assert all(each.get("tabindex") == "0" and each.get("aria-label") for each in regions)
    assert next(page.iter("a")).get("class") == "skip"
    assert all(each.get("aria-label") for each in page.iter("input"))
    (bar,) = (each for each in page.iter("div") if each.get("class") == "filters")
    assert "hidden" in bar.attrib


def test_a_claim_without_evidence_has_a_card_and_no_picture(page: ET.Element) -> None:
    shown = card_of(page, doubles.UNRUN.id)
    assert list(shown.iter("svg")) == []
    assert list(shown.iter("table")) == []


def test_one_seed_gives_a_page_without_intervals() -> None:
    record = doubles.record(claims=[doubles.SURER], seeds=(11,))
    shown = rows_of(tree(html(record)), "Effect by task and seed, nats")
    assert shown[1] == [FISH, "+0.412", "–", "+0.412"]
    entropy = rows_of(tree(html(record)), "Test entropy of the smaller model, nats")
    assert entropy[1][2] == ".613"


@pytest.mark.parametrize(
    ("scale", "ships", "packaged", "command"),
    [
        ("pocket", True, (True, True), "--scale pocket --seeds 3 --model-dir MODELS"),
        (
            "pocket",
            True,
            (True, False),
            "--scale pocket --seeds 3 --data-dir DIR --model-dir MODELS",
        ),
        ("my scale", False, (True, True), "--scale FILE.toml --seeds 3 --model-dir MODELS"),
        (
            "my scale",
            False,
            (False, False),
            "--scale FILE.toml --seeds 3 --data-dir DIR --model-dir MODELS",
        ),
        (
            "rehearsal of pocket",
            True,
            (True, True),
            "--scale pocket --seeds 3 --rehearse --model-dir MODELS",
        ),
    ],
)
def test_the_commands_say_where_the_claims_are_and_name_the_files_that_they_need(
    record: dict[str, Any], scale: str, ships: bool, packaged: tuple[bool, ...], command: str
) -> None:
    tasks = [{"packaged": each, "on_hub": False} for each in packaged]
    changed = record | {"scale": scale, "scale_ships": ships, "tasks": tasks}
    (place, install), (why, train), *rest = commands(changed)
    assert ("checkout of the source" in place) is ships
    assert ("folder that holds claims/" in place) is not ships
    assert record["kdcheck"] in place
    assert "==" not in install  # kdcheck is on no index, and a wheel of it would hold no claims
    assert train == f"pytest claims/ {command}"
    assert [name for name in ("FILE.toml", "DIR") if name in why] == [
        name for name in ("FILE.toml", "DIR") if name in train
    ]
    again = f"kdcheck report --paper tulip --scale {shlex.quote(scale)}"
    assert again in [command for _, command in rest]


def test_the_markdown_has_the_records_figures_in_their_rows(record: dict[str, Any]) -> None:
    text = markdown(record).replace("\\", "")
    lines = text.splitlines()
    for row in (
        (
            "| What smooth_is_less_sure[smaller] says. | ✓ SUPPORTED | +0.316 nats | [+0.303, +0.341] "
            "| 3 | 3 of 3 | smooth_is_less_sure[smaller] |"
        ),
        (
            "| ↳ What as_good_as_plain says. | ? UNDECIDED | +0.333 points | [−3.89, +4.35] | 3 "
            "| 0 of 3 | as_good_as_plain |"
        ),
        (
            "| What warmth_hardly_matters says. | ✓ SUPPORTED EXPLORATORY | +0.014 nats "
            "| [+0.0008, +0.0272] | 3 | 3 of 3 | warmth_hardly_matters |"
        ),
        "| What nobody_ran_this says. | ○ NOT_RUN | – | – | 0 | 0 of 3 | nobody_ran_this |",
        "## Confirmatory under lock 5eed5eed, attempt 1",
        "## Exploratory: not as registered",
        f"- {doubles.HANDED.id}: {doubles.UNTESTABLE[doubles.HANDED.id]}",
        f"- {doubles.WARMTH.id}: EXPLORATORY: The margin is 0.2 nats, not 0.1 nats.",
        "| birds [cut] | +0.316 | [+0.303, +0.33] | +0.311 +0.316 +0.322 |",
        "- fish, subset: A subset was read, 7 of 9.",
        "In the paper: fish +0.104, birds +0.063 nats (Tables 21 and 24).",
        "Must show: effect above −0.5 points on most tasks, because less would not matter.",
        "| test entropy, nats | fish [subset, cut] | trees | birds [cut] |",
        "| test accuracy, % | fish [subset, cut] | trees | birds [cut] |",
        "# Verdicts at pocket scale",
        (
            "Tasks: fish (2 classes, 1,200 rows to train, 40 to test), trees (5 classes, 43 to test) "
            "and birds (3 classes, 345 rows to train, 46 to test); each seed draws its own training rows."
        ),
    ):
        assert lines.count(row) == 1, row
    entropy, accuracy = (
        text[text.index(f"| test {name}") :] for name in ("entropy, nats", "accuracy, %")
    )
    fish, trees, birds = (final_of(record, PLAIN, task, ENTROPY) for task in doubles.TASKS)
    assert next(line for line in entropy.splitlines() if line.startswith("| Plain (smaller)")) == (
        f"| Plain (smaller) | {fish['mean']:.4f} ± {fish['sd']:.4f} [subset, cut] (.311) "
        f"| {trees['mean']:.4f} ± {trees['sd']:.4f} | {birds['mean']:.4f} ± {birds['sd']:.4f} [cut] (.522) |"
    )
    fish = final_of(record, PLAIN, "fish", ACCURACY)
    row = next(line for line in accuracy.splitlines() if line.startswith("| Plain (smaller)"))
    assert f"| {100 * fish['mean']:.1f} ± {100 * fish['sd']:.1f} [subset, cut] (81.7) |" in row


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
    assert texts == [
        "claims, pocket", "1 supported", "1 refuted", "1 undecided", "1 not testable", "1 invalid",
        "1 not run", "EXPLORATORY", "1 supported", "1 equivalent",
    ]  # fmt: skip
    ET.fromstring(badge(with_evil_texts(record)))  # noqa: S314
    rects = [each.attrib for each in drawing.iter() if each.tag.endswith("}rect")][1:]
    left = 0.0
    for rect in rects:
        assert float(rect["x"]) == pytest.approx(left)
        left += float(rect["width"])
    assert float(drawing.attrib["width"]) == pytest.approx(left)
    assert [rect["fill"] for rect in rects[1:3]] == ["#1b7a48", "#b3321f"]


def test_a_badge_is_rounded_at_its_own_edges_and_its_texts_stay_inside_their_segments(
    record: dict[str, Any],
) -> None:
    drawing = ET.fromstring(badge(record))  # noqa: S314 - our own text
    svg = "{http://www.w3.org/2000/svg}"
    size = {name: drawing.attrib[name] for name in ("width", "height")}
    clip, shown = drawing.find(f"{svg}clipPath"), drawing.find(f"{svg}g")
    assert shown.attrib["clip-path"] == f"url(#{clip.attrib['id']})"  # type: ignore[union-attr]
    (edge,) = clip  # type: ignore[misc]
    assert {name: edge.attrib[name] for name in size} == size
    assert edge.attrib["rx"] == "4"
    assert {shown.attrib["font-size"]} == {"11"}  # type: ignore[union-attr]
    assert "sans-serif" in shown.attrib["font-family"]  # type: ignore[union-attr]
    for rect, text in shown:  # type: ignore[union-attr]
        assert rect.attrib["height"] == size["height"]
        left, right = float(text.attrib["x"]), float(text.attrib["x"])
        right += float(text.attrib["textLength"])
        room = float(rect.attrib["x"]), float(rect.attrib["x"]) + float(rect.attrib["width"])
        assert [left - room[0], room[1] - right] == pytest.approx([8, 8])
        assert (right - left) / len(text.text or "") == pytest.approx(6.4, abs=0.1), "of a letter"
        assert 11 < float(text.attrib["y"]) < 20
        assert text.attrib["fill"] == "#fff"
    told = f"claims at pocket scale: {headline(record['claims'])}"
    assert (drawing.attrib["aria-label"], drawing.attrib["role"]) == (told, "img")
    assert drawing[0].text == told


def test_four_files_are_written_beside_each_other(record: dict[str, Any], tmp_path: Path) -> None:
    written = write(record, tmp_path / "new" / "page.html")
    assert [path.name for path in written] == ["page.html", "page.md", "page.json", "page.svg"]
    starts = [path.read_text(encoding="utf-8")[:4] for path in written]
    assert starts == ["<!do", "# Ve", '{\n "', "<svg"]
    assert len(list((tmp_path / "new").iterdir())) == 4


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
    ("value", "unit", "shown"),
    [
        (-0.0512, "nats", "−0.0512 nats"),
        (0.00049, "", "+0.0005"),
        (None, "nats", "–"),
        (0.0, "", "0"),
    ],
)
def test_effects_have_a_sign_and_three_digits(value: float | None, unit: str, shown: str) -> None:
    assert wording.effect(value, unit) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(42.2, "42 s"), (754, "12 min 34 s"), (7384, "2 h 03 min")]
)
def test_times_are_said_as_people_say_them(value: float, shown: str) -> None:
    assert wording.seconds(value) == shown


@pytest.mark.parametrize(
    ("low", "high", "most"),
    [(-0.03, 0.52, 6), (0, 1e-4, 5), (-9e5, 3, 4), (0.9, 1.0, 7), (0, 10, 6)],
)
def test_ticks_are_few_even_and_inside(low: float, high: float, most: int) -> None:
    found = Axis(low, high, 0, 100).ticks(most)
    steps = [b - a for a, b in pairwise(found)]
    assert 2 <= len(found) <= most
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert steps == pytest.approx([steps[0]] * len(steps))


def test_an_axis_keeps_values_inside_the_drawing() -> None:
    axis = over([-1.0, 3.0], 10, 90)
    assert 10 < axis.at(-1.0) < axis.at(3.0) < 90
    assert (axis.at(-99.0), axis.at(99.0)) == (10, 90)
    assert over([1.0, 1.0], 0, 100).at(1.0) == 50.0
