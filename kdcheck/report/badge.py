"""A badge for a README: how many claims have which verdict, as a small SVG file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdcheck.evidence.board import HEADS, WORDS, headline
from kdcheck.report import wording
from kdcheck.report.markup import Markup, tag

HEIGHT, PAD, LETTER = 20, 8, 6.4
"""Sizes in pixels; text is squeezed or spread to the width that is reckoned here."""
COLOURS: Mapping[str, str] = {
    "SUPPORTED": "#1b7a48",
    "REFUTED": "#b3321f",
    "EQUIVALENT": "#2457a6",
    "UNDECIDED": "#8a5a00",
    "NOT_TESTABLE": "#4f6070",
    "INVALID": "#8a2f86",
    "NOT_RUN": "#5b6470",
}
NAME_COLOUR = "#3a4048"


def badge(record: Mapping[str, Any]) -> str:
    """An SVG document: a segment for the scale and one for each word; confirmatory ones come first."""
    parts = [(f"claims, {record['scale']}", NAME_COLOUR)]
    for standing, counts in record["counts"].items():
        found = [word for word in WORDS if counts[word]]
        if found and standing in HEADS:
            parts.append((standing, NAME_COLOUR))
        parts += [(f"{counts[word]} {wording.plain_word(word)}", COLOURS[word]) for word in found]
    segments, left = [], 0.0
    for text, colour in parts:
        width = round(len(text) * LETTER + 2 * PAD, 1)
        segments.append(_segment(text, colour, left, width))
        left = round(left + width, 1)
    said = f"claims at {record['scale']} scale: {headline(record['claims'])}"
    return tag(
        "svg",
        tag("title", said),
        tag("clipPath", tag("rect", width=left, height=HEIGHT, rx=4), id="round"),
        tag("g", segments, clip_path="url(#round)", font_size=11,
            font_family="Verdana, DejaVu Sans, sans-serif"),
        xmlns="http://www.w3.org/2000/svg",
        width=left,
        height=HEIGHT,
        role="img",
        aria_label=said,
    ) + "\n"  # fmt: skip


def _segment(text: str, colour: str, left: float, width: float) -> Markup:
    shown = tag("text", text, x=round(left + PAD, 1), y=14, fill="#fff",
                textLength=round(width - 2 * PAD, 1))  # fmt: skip
    return tag("g", tag("rect", x=left, width=width, height=HEIGHT, fill=colour), shown)
