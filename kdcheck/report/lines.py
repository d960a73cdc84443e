"""Entropy as training goes on: one panel per task and split, one line per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdcheck.report.axes import Axis, tick_text
from kdcheck.report.markup import Markup, tag

WIDTH, HEIGHT = 380, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 40
"""Margins of the drawing, in its units; text is 12 units high."""
Curve = Mapping[str, Any]


def panel(curves: Sequence[Curve], classes_of: Mapping[str, str], top: float, title: str) -> Markup:
    """One panel: mean over seeds as a line, one standard deviation as a band.

    Args:
        curves: of the record, of one task and metric, each with the ``label`` of its arm.
        classes_of: CSS class of each arm's key; it decides colour and dash.
        top: highest value on the vertical axis, in nats.
        title: what the panel shows, for readers who do not see it.

    Returns:
        Inline SVG.

    Source: Figures 1 to 4.

    >>> curve = {"arm": "ls/smaller", "label": "LS", "points": [
    ...     {"epoch": 1.0, "mean": 0.8, "sd": 0.1}, {"epoch": 2.0, "mean": 0.6, "sd": 0.1}]}
    >>> svg = panel([curve], {"ls/smaller": "ls"}, top=1.1, title="Entropy on mrpc, test")
    >>> "LS, epoch 2: 0.6000 ± 0.1000 nats" in svg
    True
    """
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


def highest(curves: Sequence[Curve]) -> float:
    """The top of bands and lines, for panels that share an axis.

    Source: none.

    >>> highest([{"points": [{"mean": 0.5, "sd": 0.1}, {"mean": 0.4, "sd": None}]}])
    0.6
    """
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
    centre = (TOP + base) / 2
    names = (
        _text((LEFT + WIDTH - RIGHT) / 2, base + 34, "epoch", "middle"),
        tag(
            "text",
            "entropy, nats",
            text_anchor="middle",
            transform=f"translate(12 {centre}) rotate(-90)",
        ),
    )
    frame = tag("path", d=f"M{LEFT} {base}H{WIDTH - RIGHT}", class_="zero")
    return tag("g", across, along, frame, names, class_="axis")


def _line(x: Axis, y: Axis, curve: Curve, name: str) -> Markup:
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
    band = _band(x, y, points)
    return tag("g", band, tag("path", d=f"M{path}", class_="line"), dots, class_=name)


def _said(label: str, point: Mapping[str, Any]) -> str:
    spread = "" if point["sd"] is None else f" ± {point['sd']:.4f}"
    return f"{label}, epoch {point['epoch']:.3g}: {point['mean']:.4f}{spread} nats"


def _band(x: Axis, y: Axis, points: Sequence[Mapping[str, Any]]) -> Markup | None:
    if points[0]["sd"] is None:
        return None
    upper = [f"{x.at(p['epoch'])} {y.at(p['mean'] + p['sd'])}" for p in points]
    lower = [f"{x.at(p['epoch'])} {y.at(p['mean'] - p['sd'])}" for p in reversed(points)]
    return tag("path", d=f"M{'L'.join([*upper, *lower])}Z", class_="spread")


def _text(x: float, y: float, shown: str, anchor: str) -> Markup:
    return tag("text", shown, x=x, y=y, text_anchor=anchor)
