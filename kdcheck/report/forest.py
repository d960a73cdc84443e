"""The forest plot of a claim: one line per task, its seeds as dots, the margin as a band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kdcheck.claims import WORDINGS
from kdcheck.report import wording
from kdcheck.report.axes import Axis, over, tick_text
from kdcheck.report.markup import Markup, tag

WIDTH, SIDE, TOP, ROW, FOOT = 400, 24, 8, 46, 40
"""Sizes in units of the drawing; text is 12 units high."""


def forest(claim: Mapping[str, Any]) -> Markup | None:
    """Effects of a claim by task, as inline SVG; none where nothing was measured."""
    values = list(_values(claim))
    if not values:
        return None
    axis = over([*values, 0.0, *_bounds(claim)], SIDE, WIDTH - SIDE)
    turning = claim["interval"] is not None and len(claim["tasks"]) > 1
    bottom = TOP + ROW * (len(claim["tasks"]) + turning)
    rows = [_row(axis, task, TOP + ROW * row) for row, task in enumerate(claim["tasks"])]
    if turning:
        rows.append(_claim_row(axis, claim, bottom - ROW))
    return tag(
        "svg",
        tag("title", _title(claim)),
        _margin(axis, claim, bottom),
        _axis(axis, claim["unit"], bottom),
        rows,
        class_="forest",
        viewBox=f"0 0 {WIDTH} {bottom + FOOT}",
        role="img",
    )


def _title(claim: Mapping[str, Any]) -> str:
    parts = [
        f"{task['name']} {wording.effect(task['effect'], claim['unit'])} "
        f"{wording.interval(task['interval'])}"
        for task in claim["tasks"]
    ]
    return f"Effect by task with 95 % intervals: {'; '.join(parts)}"


def _values(claim: Mapping[str, Any]) -> Iterator[float]:
    for task in claim["tasks"]:
        yield from task["interval"] or ()
        yield from (seed["effect"] for seed in task["per_seed"] if seed["effect"] is not None)
    yield from claim["interval"] or ()


def _bounds(claim: Mapping[str, Any]) -> tuple[float, float]:
    return -claim["margin"], claim["margin"]


def _margin(axis: Axis, claim: Mapping[str, Any], bottom: float) -> Markup:
    """The band in which an effect is too small to matter, and the edge that the claim must pass."""
    low, high = _bounds(claim)
    edges = {"above": (high,), "not_below": (low,), "within": (low, high)}[claim["direction"]]
    band = tag(
        "rect",
        tag("title", f"margin: {claim['margin']:g} {claim['unit']} either way"),
        x=axis.at(low),
        y=TOP,
        width=round(axis.at(high) - axis.at(low), 1),
        height=bottom - TOP,
        class_="band",
    )
    return tag("g", band, [_vertical(axis.at(edge), bottom, "edge") for edge in edges])


def _axis(axis: Axis, unit: str, bottom: float) -> Markup:
    marks = [
        (
            _vertical(axis.at(tick), bottom, "zero" if tick == 0 else "grid"),
            _text(axis.at(tick), bottom + 16, tick_text(tick, signed=True), anchor="middle"),
        )
        for tick in axis.ticks(6)
    ]
    label = _text(WIDTH / 2, bottom + 34, f"effect, {unit}" if unit else "effect", anchor="middle")
    return tag("g", marks, label, class_="axis")


def _row(axis: Axis, task: Mapping[str, Any], top: float) -> Markup:
    middle = top + 28
    dots = [
        tag(
            "circle",
            tag("title", f"seed {seed['seed']}: {wording.effect(seed['effect'])}"),
            cx=axis.at(seed["effect"]),
            cy=middle + 10,
            r=3,
            class_="seed",
        )
        for seed in task["per_seed"]
        if seed["effect"] is not None
    ]
    return tag("g", _text(0, top + 15, task["name"]), dots, _estimate(axis, task, middle))


def _estimate(axis: Axis, task: Mapping[str, Any], middle: float) -> Markup | None:
    if task["interval"] is None:
        return None
    low, high = map(axis.at, task["interval"])
    shown = f"{wording.effect(task['effect'])} {wording.interval(task['interval'])}"
    return tag(
        "g",
        tag("title", f"{task['name']}: {shown}"),
        tag("path", d=f"M{low} {middle}H{high}M{low} {middle - 4}v8M{high} {middle - 4}v8"),
        tag("circle", cx=axis.at(task["effect"]), cy=middle, r=4.5),
        class_="estimate",
    )


def _claim_row(axis: Axis, claim: Mapping[str, Any], top: float) -> Markup:
    low, high = map(axis.at, claim["interval"])
    middle, effect = top + 30, axis.at(claim["effect"])
    shown = f"{wording.effect(claim['effect'])} {wording.interval(claim['interval'])}"
    label = f"the claim, {WORDINGS[claim['holds']]}"
    diamond = f"M{low} {middle}L{effect} {middle - 7}L{high} {middle}L{effect} {middle + 7}Z"
    return tag(
        "g",
        tag("title", f"{label}: {shown}"),
        _text(0, top + 15, label),
        tag("path", d=diamond),
        class_="diamond",
    )


def _vertical(x: float, bottom: float, name: str) -> Markup:
    return tag("path", d=f"M{x} {TOP}V{bottom}", class_=name)


def _text(x: float, y: float, shown: str, *, anchor: str | None = None) -> Markup:
    return tag("text", shown, x=x, y=y, text_anchor=anchor)
