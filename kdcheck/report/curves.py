"""The paper's figures of training, drawn from our seeds: entropy as training goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcheck.report import wording
from kdcheck.report.axes import Axis, tick_text
from kdcheck.report.markup import Markup, tag

Record = Mapping[str, Any]
SPLITS = {"test_sample": "test text", "train_sample": "training text"}
WIDTH, HEIGHT = 380, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 40
"""Margins of a panel, in its units; text is 12 units high."""


def figures(record: Record) -> list[Markup]:
    """Per figure two panels a task, on test and on training text, with equal axes."""
    return [shown for figure in record["figures"] if (shown := _figure(figure, record)) is not None]


@dataclass(frozen=True)
class Drawn:
    """What a figure is drawn from."""

    curves: Sequence[Record]
    """Each with its label."""
    arms: Sequence[Record]
    """Those with a curve, in the order of the figure."""

    @property
    def classes(self) -> dict[str, str]:
        """By arm, the class that gives its line its colour."""
        return {arm["key"]: f"method {arm['colour'] or 'other'}" for arm in self.arms}


def drawn(figure: Record, record: Record) -> Drawn:
    """The curves that a figure shows; none, where its runs were looked at in the end alone."""
    by_key = {arm["key"]: arm for arm in record["arms"]}
    curves = [
        curve | {"label": by_key[curve["arm"]]["label"]}
        for curve in record["curves"]
        if curve["arm"] in figure["arms"]
    ]
    followed = {curve["arm"] for curve in curves}
    return Drawn(curves, [by_key[key] for key in figure["arms"] if key in followed])


def _figure(figure: Record, record: Record) -> Markup | None:
    found = drawn(figure, record)
    if not found.curves:
        return None
    arms, classes = found.arms, found.classes
    caption = (
        f"After {figure['name']} of the paper, on samples of test and training text. Lines are "
        "means over seeds, bands one standard deviation; each method trains for its own number of "
        "epochs."
    )
    heading = f"{figure['title']}: entropy while training"
    return tag(
        "figure",
        tag("figcaption", tag("h3", heading), tag("p", caption, class_="quiet")),
        tag("ul", [_key(arm["label"], classes[arm["key"]]) for arm in arms], class_="legend"),
        tag(
            "div",
            [
                tag("div", tag("h4", title), drawing, class_="panel")
                for title, drawing in panels(record, found)
            ],
            class_="panels",
        ),
        class_="curves",
    )


def _key(label: str, name: str) -> Markup:
    sample = tag("svg", tag("path", d="M0 6H28", class_="line"), viewBox="0 0 28 12",
                 class_=name, aria_hidden="true")  # fmt: skip
    return tag("li", sample, label)


def panels(record: Record, found: Drawn) -> Iterator[tuple[str, Markup]]:
    """Title and drawing of each panel: per task one on test and one on training text."""
    for task in record["tasks"]:
        of_task = [curve for curve in found.curves if curve["task"] == task["name"]]
        for split, words in SPLITS.items():
            chosen = [curve for curve in of_task if curve["split"] == split]
            if not chosen:
                continue
            title = f"{wording.marked(record, task['name'])}, {words}"
            said = f"Entropy on {title}: {wording.listed([_end(curve) for curve in chosen])}"
            yield title, _panel(chosen, found.classes, 1.05 * _highest(of_task), said)


def _end(curve: Record) -> str:
    return f"{curve['label']} ends at {curve['points'][-1]['mean']:.3f}"


def _panel(
    curves: Sequence[Record], classes_of: Mapping[str, str], top: float, title: str
) -> Markup:
    """Mean over seeds as a line, one standard deviation as a band; ``title`` says it in words."""
    last = max(point["epoch"] for curve in curves for point in curve["points"])
    x = Axis(0.0, last, LEFT, WIDTH - RIGHT)
    y = Axis(0.0, top, HEIGHT - BOTTOM, TOP)
    return tag(
        "svg",
        tag("title", title),
        _axes(x, y),
        [_line(x, y, curve, classes_of[curve["arm"]]) for curve in curves],
        class_="lines",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )


def _highest(curves: Sequence[Record]) -> float:
    """The top of bands and lines, for panels that share an axis."""
    tops = (point["mean"] + (point["sd"] or 0.0) for curve in curves for point in curve["points"])
    return float(max(tops))


def _axes(x: Axis, y: Axis) -> Markup:
    base = HEIGHT - BOTTOM
    across = [
        (
            tag("path", d=f"M{LEFT} {y.at(tick)}H{WIDTH - RIGHT}", class_="grid"),
            _text(LEFT - 6, y.at(tick) + 4, tick_text(tick), "end"),
        )
        for tick in y.ticks(6)
    ]
    along = [_text(x.at(tick), base + 16, tick_text(tick), "middle") for tick in x.ticks(7)]
    turned = f"translate(12 {(TOP + base) / 2}) rotate(-90)"
    names = (
        _text((LEFT + WIDTH - RIGHT) / 2, base + 34, "epoch", "middle"),
        tag("text", "entropy, nats", text_anchor="middle", transform=turned),
    )
    frame = tag("path", d=f"M{LEFT} {base}H{WIDTH - RIGHT}", class_="zero")
    return tag("g", across, along, frame, names, class_="axis")


def _line(x: Axis, y: Axis, curve: Record, name: str) -> Markup:
    points = curve["points"]
    dots = [
        tag(
            "circle",
            tag("title", _said(curve["label"], point)),
            cx=x.at(point["epoch"]),
            cy=y.at(point["mean"]),
            r=2.6,
        )
        for point in points
    ]
    path = "L".join(f"{x.at(p['epoch'])} {y.at(p['mean'])}" for p in points)
    return tag(
        "g", _band(x, y, points), tag("path", d=f"M{path}", class_="line"), dots, class_=name
    )


def _said(label: str, point: Record) -> str:
    spread = "" if point["sd"] is None else f" ± {point['sd']:.4f}"
    return f"{label}, epoch {point['epoch']:.3g}: {point['mean']:.4f}{spread} nats"


def _band(x: Axis, y: Axis, points: Sequence[Record]) -> Markup | None:
    if points[0]["sd"] is None:
        return None
    upper = [f"{x.at(p['epoch'])} {y.at(p['mean'] + p['sd'])}" for p in points]
    lower = [f"{x.at(p['epoch'])} {y.at(p['mean'] - p['sd'])}" for p in reversed(points)]
    return tag("path", d=f"M{'L'.join([*upper, *lower])}Z", class_="spread")


def _text(x: float, y: float, shown: str, anchor: str) -> Markup:
    return tag("text", shown, x=x, y=y, text_anchor=anchor)
