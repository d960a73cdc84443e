"""The board of the page: claims by standing and theme, the sentence first, premises above the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdcheck.evidence.board import (
    EXPLAINED,
    Theme,
    board,
    decided,
    heading,
    shared,
)
from kdcheck.report import wording
from kdcheck.report.cards import breakable, link_to, marks, premises, searchable
from kdcheck.report.markup import Markup, tag

Record = Mapping[str, Any]


def boards(record: Record) -> list[Markup]:
    """One board of what was registered, and one of what was not."""
    themes = board(record["claims"])
    standings = dict.fromkeys(theme.standing for theme in themes)
    return [
        _board(record, standing, [theme for theme in themes if theme.standing == standing])
        for standing in standings
    ]


def _board(record: Record, standing: str, themes: Sequence[Theme]) -> Markup:
    rows = [row for theme in themes for row in theme.rows]
    common = shared(rows)
    reasons = tag("ul", [tag("li", text) for text in common]) if common else None
    shown = [_theme(record, theme, common) for theme in themes]
    return tag(
        "div",
        tag("h3", heading(standing, rows)),
        reasons,
        shown,
        class_=f"standing {standing.lower()}",
    )


def _theme(record: Record, theme: Theme, common: Sequence[str]) -> Markup:
    count = f"{decided(theme.rows)} of {len(theme.rows)} decided"
    heading = tag("h4", theme.name or "Without a theme", tag("span", count, class_="quiet"))
    rows = [_row(record, row, common) for row in theme.rows]
    return tag("div", heading, tag("ol", rows, class_="board"), class_="theme")


def _row(record: Record, claim: Record, common: Sequence[str]) -> Markup:
    inner = (
        tag("span", marks(claim), class_="marks"),
        tag("span", claim["says"], _notes(record, claim, common),
            tag("span", breakable(claim["id"]), class_="id"), class_="said"),
        tag("span", _figures(claim), class_="figures"),
    )  # fmt: skip
    link = tag("a", inner, href=link_to(claim["id"]))
    style = f"--depth:{claim['depth']}" if claim["depth"] else None
    return tag("li", link, class_=claim["word"].lower(), style=style, **searchable(claim))


def _notes(record: Record, claim: Record, common: Sequence[str]) -> list[Markup]:
    """Why it is open, what it rests on beside the claim above it, and why it is exploratory."""
    beside = [
        f"{word} {said}" for key, word, said in premises(record, claim) if key != claim["under"]
    ]
    notes = [claim["reason"]] if claim["word"] in EXPLAINED else []
    notes += [f"Rests on: {wording.listed(beside)}"] if beside else []
    notes += [f"Exploratory: {text}" for text in claim["exploratory"] if text not in common]
    return [tag("span", text, class_="quiet") for text in notes]


def _figures(claim: Record) -> list[Markup]:
    if not claim["interval"]:
        return [tag("span", "no figures", class_="quiet")]
    return [
        tag("span", wording.effect(claim["effect"], claim["unit"]), class_="value"),
        tag("span", wording.interval(claim["interval"]), class_="quiet"),
    ]
