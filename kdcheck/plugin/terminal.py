"""The board on a terminal: per claim its word and sentence, then figures and id, then why it is open."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from kdcheck.evidence.board import (
    EXPLAINED,
    HEADS,
    Row,
    Theme,
    board,
    headline,
    mark,
    registration,
    shared,
)
from kdcheck.verdict.words import Word

COLOURS = {Word.SUPPORTED: "green", Word.REFUTED: "red", Word.INVALID: "red"}
"""Every other word is yellow."""
NARROWEST, WIDEST = 80, 120
WORD_COLUMN = 2 + max(map(len, Word))
STEP = 2
"""Columns by which what rests on a premise stands further in."""


def print_board(reporter: Any, rows: Sequence[Row]) -> None:
    """Write the rows with pytest's reporter, in the order of the board, under what was learned."""
    width = min(max(shutil.get_terminal_size((110, 24)).columns, NARROWEST), WIDEST)
    for line in _wrapped(headline(rows), width):
        reporter.write_line(line, bold=True)
    # Each once, whichever claims rest on it: most rest on every task.
    for text in dict.fromkeys(text for row in rows for text in row["data"]):
        for line in _wrapped(text, width - 2, "  "):
            reporter.write_line(line, yellow=True)
    themes = board(rows)
    for standing in dict.fromkeys(theme.standing for theme in themes):
        own = [each for each in rows if each["standing"] == standing]
        reporter.write_line("")
        common = _print_standing(reporter, standing, own, width)
        for theme in themes:
            if theme.standing == standing:
                _print_theme(reporter, theme, common, width)
    reporter.write_line("")


def _print_standing(reporter: Any, standing: str, rows: Sequence[Row], width: int) -> list[str]:
    """Head of one of the two boards; the reasons that all of its claims share."""
    common = shared(rows)
    head = HEADS.get(standing) or registration(rows)
    reporter.write_line(head[0].upper() + head[1:], bold=True, yellow=standing in HEADS)
    for text in common:
        for line in _wrapped(text, width - 2, "  "):
            reporter.write_line(line)
    return common


def _print_theme(reporter: Any, theme: Theme, common: Iterable[str], width: int) -> None:
    reporter.write_line("")
    for line in _wrapped(theme.name or "Without a theme", width):
        reporter.write_line(line, bold=True)
    for each in theme.rows:
        _print_row(reporter, each, common, width)


def _print_row(reporter: Any, row: Row, common: Iterable[str], width: int) -> None:
    inset = " " * (STEP * (1 + row["depth"]))
    margin = inset + " " * WORD_COLUMN
    first, *rest = _wrapped(row["says"] or row["id"], width - len(margin))
    reporter.write(inset)
    reporter.write(f"{row['word']:{WORD_COLUMN}}", **{COLOURS.get(row["word"], "yellow"): True})
    reporter.write_line(first)
    for line in rest:
        reporter.write_line(margin + line)
    reporter.write(f"{inset}")
    reporter.write(f"{mark(row):{WORD_COLUMN}}", yellow=True)
    reporter.write_line(_figures(row))
    for text in _notes(row, set(common)):
        for line in _wrapped(text, width - len(margin), margin):
            reporter.write_line(line)


def _figures(row: Row) -> str:
    shown = ""
    if row["interval"]:
        low, high = row["interval"]
        shown = f"{row['effect']:+.3f} [{low:+.3f}, {high:+.3f}] {row['unit']}".rstrip()
    seeds, tasks = row["seeds"], row["task_count"]
    counts = f"{seeds} {'seed' if seeds == 1 else 'seeds'}  {row['tasks_as_claimed']} of {tasks}"
    return f"{shown:30}  {counts} {'task' if tasks == 1 else 'tasks'}  {row['id']}"


def _notes(row: Row, common: set[str]) -> list[str]:
    """Why it is open, what it rests on beside the claim above it, and why it is exploratory."""
    why = [row["reason"]] if row["word"] in EXPLAINED else []
    beside = [each for each in row["rests_on"] if each != row["under"]]
    if beside:
        why.append(f"Rests on {', '.join(beside)}.")
    return why + [f"Exploratory: {text}" for text in row["exploratory"] if text not in common]


def _wrapped(text: str, width: int, inset: str = "") -> list[str]:
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [inset + line for line in lines] or [inset]
