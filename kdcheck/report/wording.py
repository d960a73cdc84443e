"""How figures, arms and verdicts are written, on the page and in Markdown alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdcheck.claims import WORDINGS
from kdcheck.metrics import METRICS
from kdcheck.verdict.words import signed

MINUS = "−"
NEVER_LEFT_OUT = ("rehearsal", "subset")
"""Marks of rows that are not those of any study: each cell repeats them."""
METRIC_NAMES: Mapping[str, str] = {"mean_entropy_nats": "entropy"}
"""How people call a metric, where the table of metrics says it otherwise."""
PERCENT = ("accuracy",)
"""Fractions that papers print in percent."""
SIGNS: Mapping[str, str] = {
    "SUPPORTED": "✓",
    "REFUTED": "✕",
    "EQUIVALENT": "≈",
    "UNDECIDED": "?",
    "NOT_TESTABLE": "⊘",
    "INVALID": "!",
    "NOT_RUN": "○",
}
"""A sign before each word, so that colour is never alone."""
MEANINGS: Mapping[str, str] = {
    "SUPPORTED": "The effect is as claimed, beyond the margin that was registered beforehand.",
    "REFUTED": "The effect is the opposite of what is claimed, beyond the margin.",
    "EQUIVALENT": "The effect is too small to matter: inside the margin, on either side of zero.",
    "UNDECIDED": "Nothing is shown yet; the reason says why, and what would decide.",
    "NOT_TESTABLE": "What the claim rests on is not shown to hold, so it says nothing here.",
    "INVALID": "The evidence cannot be judged; the card says why and what to do.",
    "NOT_RUN": "No run of this claim is in the evidence.",
}


STANDING_MEANINGS: Mapping[str, str] = {
    "CONFIRMATORY": "Claim, margin, settings, data and seeds are those of the lock, which was written "
    "before the first run; the whole registered family was judged, and the error rates hold.",
    "REHEARSAL": "A try of the machinery on a few rows, with the encoders at hand. Whatever its word, it is no "
    "evidence: neither for the claim nor against it.",
    "EXPLORATORY": "Something differs from what was registered, as is said beside the word. It may be "
    "true; the error rates are not promised.",
}


def plain_word(word: str) -> str:
    """A verdict's word inside a sentence."""
    return word.lower().replace("_", " ")


def effect(value: float | None, unit: str = "") -> str:
    """An effect with its sign and three significant digits."""
    if value is None:
        return "–"
    # An exponent says no more to a reader than a zero at the fourth decimal does.
    shown = signed(value) if abs(value) >= 0.001 or not value else f"{value:+.4f}"
    return f"{shown.replace('-', MINUS)} {unit}".strip()


def interval(bounds: Sequence[float] | None) -> str:
    """An interval of effects."""
    return "–" if bounds is None else f"[{effect(bounds[0])}, {effect(bounds[1])}]"


def metric(name: str) -> str:
    """A metric and its unit, as ``entropy, nats``."""
    unit = "%" if name in PERCENT else METRICS[name].unit.replace("fraction", "")
    words = METRIC_NAMES.get(name, name.removesuffix("_nats").replace("_", " "))
    return f"{words}, {unit}" if unit else words


def figure(metric: str, value: float) -> str:
    """A value of a metric as papers print it: one decimal of a percentage, else four."""
    return f"{100 * value:.1f}" if metric in PERCENT else f"{value:.4f}"


def spread(metric: str, mean: float, sd: float | None) -> str:
    """Mean and standard deviation over seeds."""
    shown = figure(metric, mean)
    return shown if sd is None else f"{shown} ± {figure(metric, sd)}"


def seconds(value: float) -> str:
    """A length of time as people say it."""
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def task(found: Mapping[str, Any]) -> str:
    """A task with its classes and how many of its rows are used."""
    parts = [f"{found['classes'] or '?'} classes"]
    if found["train_rows"]:
        parts.append(f"{found['train_rows']:,} rows to train")
    if found["test_rows"]:
        parts.append(f"{found['test_rows']:,} to test")
    return f"{found['name']} ({', '.join(parts)})"


def marks(record: Mapping[str, Any], task: str) -> str:
    """What a figure on a task must not be read without, as ``subset, cut``; empty for whole data."""
    found = (each["marks"] for each in record["tasks"] if each["name"] == task)
    return ", ".join(next(found, ()))


def marks_of_all(record: Mapping[str, Any]) -> str:
    """The same of a figure on all tasks together."""
    return ", ".join(dict.fromkeys(mark for task in record["tasks"] for mark in task["marks"]))


def marks_in_cell(record: Mapping[str, Any], final: Mapping[str, Any]) -> str:
    """What the cell of a finished model says itself, beside the marks above its column.

    All of them where a figure of the paper stands beside it, else those that no figure goes without.
    """
    found = marks(record, final["task"])
    if final["paper"]:
        return found
    return ", ".join(mark for mark in found.split(", ") if mark in NEVER_LEFT_OUT)


def marked(record: Mapping[str, Any], task: str) -> str:
    """A task's name with its marks."""
    found = marks(record, task)
    return f"{task} [{found}]" if found else task


def rows_said(record: Mapping[str, Any]) -> list[str]:
    """What the marks of each task mean, a sentence each."""
    return [
        f"{task['name']}, {mark}: {text}"
        for task in record["tasks"]
        for mark, text in task["marks"].items()
    ]


def rows_are_drawn(record: Mapping[str, Any]) -> bool:
    """Whether a seed decides which training rows are used, and not the order of all of them alone."""
    return any(task["train_rows"] for task in record["tasks"])


def listed(parts: Sequence[str]) -> str:
    """Parts as a list within a sentence."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def criterion(claim: Mapping[str, Any]) -> str:
    """What a claim must show, in a sentence."""
    up, down = (effect(size + 0.0, claim["unit"]) for size in (claim["margin"], -claim["margin"]))
    must = {
        "above": f"above {up}",
        "not_below": f"above {down}",
        "within": f"between {down} and {up}",
    }[claim["direction"]]
    return f"effect {must} {WORDINGS[claim['holds']]}"


def in_paper(claim: Mapping[str, Any]) -> str:
    """What the claim's contrast is on the paper's own tables; empty where it has no figures."""
    if not claim["paper"]:
        return ""
    shown = ", ".join(f"{each['task']} {effect(each['value'])}" for each in claim["paper"])
    tables = list(dict.fromkeys(table for each in claim["paper"] for table in each["tables"]))
    named = f"{'Table' if len(tables) == 1 else 'Tables'} {listed(tables)}"
    return " ".join(filter(None, (shown, claim["unit"], f"({named})")))
