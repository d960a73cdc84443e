"""The board of judged claims: what was learned, and the order in which every list of claims says it.

A row is plain JSON values, so that it can travel from a worker of pytest-xdist to its controller and
stand in the record of a report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcheck.evidence.judged import Judged
from kdcheck.plural import plural
from kdcheck.verdict import Word
from kdcheck.verdict.words import DECIDING

Row = Mapping[str, Any]
WORDS: tuple[str, ...] = tuple(word.value for word in Word)
"""In the order in which a board lists them: decided before undecided."""
CONFIRMATORY, EXPLORATORY, REHEARSAL = STANDINGS = ("CONFIRMATORY", "EXPLORATORY", "REHEARSAL")
HEADS: Mapping[str, str] = {
    EXPLORATORY: "EXPLORATORY, not as registered",
    REHEARSAL: "REHEARSAL, no evidence of any claim",
}
"""What stands above verdicts that are not CONFIRMATORY."""
EXPLAINED = (Word.UNDECIDED, Word.NOT_TESTABLE, Word.INVALID)
"""Words that say nothing on their own: a list gives their reason."""


@dataclass(frozen=True)
class Theme:
    """Claims of one theme and standing, as they follow each other."""

    name: str
    standing: str
    rows: tuple[Row, ...]
    """Each with ``depth``, 0 or how many premises stand above it, and ``under``, the nearest."""


def row(judged: Judged) -> dict[str, Any]:
    """What a list says of a claim, but for its place among the others."""
    claim, verdict = judged.claim, judged.verdict
    return {
        "id": claim.id,
        "theme": claim.theme,
        "says": claim.says,
        "word": verdict.word.value,
        "standing": verdict.standing,
        "exploratory": list(verdict.exploratory),
        "rests_on": list(claim.rests_on),
        "reason": verdict.reason,
        "effect": verdict.effect,
        "interval": list(verdict.interval()) if verdict.seeds >= 2 else None,
        "unit": claim.margin.unit,
        "seeds": verdict.seeds,
        "tasks_as_claimed": verdict.tasks_as_claimed,
        "task_count": len(verdict.criterion.tasks),
        "data": list(judged.data_said),
        "lock": judged.lock,
        "attempt": verdict.criterion.plan.attempt,
    }


def board(rows: Iterable[Row]) -> list[Theme]:
    """By standing, then by theme; within one, premises above what rests on them.

    Themes that others rest on come first, then those of which most is decided.

    >>> a = {"id": "a", "theme": "t", "word": "REFUTED", "standing": "CONFIRMATORY", "rests_on": []}
    >>> b = a | {"id": "b", "word": "SUPPORTED", "rests_on": ["a"]}
    >>> c = a | {"id": "c", "word": "NOT_RUN"}
    >>> [(row["id"], row["depth"]) for theme in board([c, b, a]) for row in theme.rows]
    [('a', 0), ('b', 1), ('c', 0)]
    """
    found = sorted(rows, key=lambda each: (WORDS.index(each["word"]), each["id"]))
    themes = [
        Theme(name, standing, tuple(_tree([each for each in own if each["theme"] == name])))
        for standing in STANDINGS
        if (own := [each for each in found if each["standing"] == standing])
        for name in {each["theme"] for each in own}
    ]
    return sorted(themes, key=lambda theme: _place(theme, found))


def _place(theme: Theme, rows: Sequence[Row]) -> tuple[int, int, float, str]:
    ids = {each["id"] for each in theme.rows}
    elsewhere = [each for each in rows if each["theme"] != theme.name]
    resting = sum(not ids.isdisjoint(each["rests_on"]) for each in elsewhere)
    share = decided(theme.rows) / len(theme.rows)
    return STANDINGS.index(theme.standing), -resting, -share, theme.name


def _tree(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """The rows in their order, but each below the first of its premises that is among them."""
    ids = {each["id"] for each in rows}
    above = [next((p for p in each["rests_on"] if p in ids), None) for each in rows]
    left = list(range(len(rows)))

    def take(place: int, depth: int) -> Iterator[dict[str, Any]]:
        left.remove(place)
        yield {**rows[place], "depth": depth, "under": above[place] if depth else None}
        for other in [each for each in left if above[each] == rows[place]["id"]]:
            yield from take(other, depth + 1) if other in left else ()

    while left:
        # Premises in a circle are refused before anything is judged; of a damaged record a reader
        # sees every claim all the same.
        yield from take(next((each for each in left if above[each] is None), left[0]), 0)


def shared(rows: Sequence[Row]) -> list[str]:
    """Reasons for being exploratory that all of the rows have; they are said once."""
    first, *others = rows
    return [
        text
        for text in first["exploratory"]
        if all(text in other["exploratory"] for other in others)
    ]


def decided(rows: Iterable[Row]) -> int:
    """How many of them say something: SUPPORTED, REFUTED or EQUIVALENT."""
    return sum(each["word"] in DECIDING for each in rows)


def counted(rows: Sequence[Row]) -> str:
    """How many are decided and how, and what became of the rest.

    >>> counted([{"word": "SUPPORTED"}, {"word": "NOT_TESTABLE"}, {"word": "REFUTED"}])
    '2 of 3 claims decided: 1 SUPPORTED, 1 REFUTED; 1 NOT_TESTABLE'
    """
    counts = Counter(each["word"] for each in rows)
    shown = {word: f"{counts[word]} {word}" for word in WORDS if counts[word]}
    yes = ", ".join(text for word, text in shown.items() if word in DECIDING)
    no = ", ".join(text for word, text in shown.items() if word not in DECIDING)
    start = f"{decided(rows)} of {plural(len(rows), 'claim')} decided" + (f": {yes}" if yes else "")
    return "; ".join(filter(None, (start, no)))


def headline(rows: Iterable[Row]) -> str:
    """What was learned, in a sentence; claims of another standing are never counted together."""
    found = list(rows)
    by = {name: [each for each in found if each["standing"] == name] for name in STANDINGS}
    registered = by[CONFIRMATORY]
    if not registered:
        others = [f"{counted(by[name])}; {HEADS[name]}." for name in HEADS if by[name]]
        return " ".join(others) or f"{counted([])}."
    said = f"{counted(registered)}; {registration(registered)}."
    beside = (f" Beside them, {name}: {counted(by[name])}." for name in HEADS if by[name])
    return said + "".join(beside)


def mark(row: Row) -> str:
    """The standing of a verdict that must not be read without it; empty for confirmatory ones."""
    return "" if row["standing"] == CONFIRMATORY else str(row["standing"])


def heading(standing: str, rows: Iterable[Row]) -> str:
    """What a page writes above the verdicts of one standing."""
    if standing in HEADS:
        return HEADS[standing].capitalize().replace(",", ":")
    return registration(rows).capitalize()


def registration(rows: Iterable[Row]) -> str:
    """Under which lock confirmatory claims were judged, and the how manieth attempt it is."""
    locks = sorted({(each["lock"], each["attempt"]) for each in rows if each["lock"]})
    named = " and ".join(f"lock {digest[:8]}, attempt {attempt}" for digest, attempt in locks)
    return f"confirmatory under {named}" if named else "confirmatory"
