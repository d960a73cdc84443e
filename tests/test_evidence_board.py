"""The board: its order, its counts, and the sentence that says what was learned."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from kdcheck.evidence import board
from kdcheck.evidence.board import counted, headline, shared
from tests.evidence_doubles import sample_judged


def line(name: str, word: str = "SUPPORTED", theme: str = "t", **changes: Any) -> dict[str, Any]:
    row = {"id": name, "word": word, "theme": theme, "standing": "CONFIRMATORY", "rests_on": []}
    return {**row, "exploratory": [], "lock": "5eed5eed5eed", "attempt": 1, **changes}


def outline(*rows: dict[str, Any]) -> list[str]:
    """The board as lines: themes, and ids further in by their depth."""
    found = []
    for theme in board.board(rows):
        found.append(f"{theme.standing} {theme.name}")
        found += [f"{'  ' * row['depth']}{row['id']}" for row in theme.rows]
    return found


def test_decided_claims_come_first_and_words_have_one_order() -> None:
    words = [
        "SUPPORTED",
        "REFUTED",
        "EQUIVALENT",
        "UNDECIDED",
        "NOT_TESTABLE",
        "INVALID",
        "NOT_RUN",
    ]
    rows = [line(f"{9 - place}", word) for place, word in enumerate(words)]
    assert outline(*reversed(rows)) == ["CONFIRMATORY t", *"9876543"]


def test_a_premise_stands_above_what_rests_on_it_whatever_their_words() -> None:
    rows = [
        line("z", "UNDECIDED"),
        line("a", "NOT_TESTABLE", rests_on=["z"]),
        line("b", "SUPPORTED"),
        line("c", "NOT_TESTABLE", rests_on=["a", "b"]),
        line("d", "REFUTED", rests_on=["elsewhere", "b"]),
    ]
    expected = ["CONFIRMATORY t", "b", "  d", "z", "  a", "    c"]
    for order in itertools.permutations(rows):
        assert outline(*order) == expected
    (theme,) = board.board(rows)
    assert [row["under"] for row in theme.rows] == [None, "b", None, "z", "a"]


def test_no_claim_is_lost_where_premises_go_in_a_circle() -> None:
    rows = [line("a", rests_on=["b"]), line("b", rests_on=["a"]), line("c", rests_on=["c"])]
    assert outline(*rows)[1:] == ["a", "  b", "c"]
    (theme,) = board.board(rows)
    assert [row["under"] for row in theme.rows] == [None, "a", None]
    assert outline(line("a"), line("b", rests_on=["a"]), line("a"))[1:] == ["a", "  b", "a"]
    twice = [line("a"), line("a", rests_on=["b"]), *(line(x, rests_on=["a"]) for x in "bc")]
    assert outline(*twice)[1:] == ["a", "  b", "    a", "      c"]


def test_exploratory_claims_have_a_board_of_their_own_below() -> None:
    late = {"standing": "EXPLORATORY", "exploratory": ["It is new."]}
    rows = [line("a", **late), line("b", "NOT_RUN"), line("c", rests_on=["b"], **late)]
    # Its premise is registered: it stands on the other board.
    assert outline(*rows) == ["CONFIRMATORY t", "b", "EXPLORATORY t", "a", "c"]


def test_themes_that_others_rest_on_come_first_and_then_those_with_most_decided() -> None:
    rows = [
        line("a1", theme="a", word="UNDECIDED"),
        line("a2", theme="a"),
        line("b1", theme="b", word="NOT_TESTABLE", rests_on=["c1"]),
        line("c1", theme="c", word="UNDECIDED"),
        line("d1", theme="d", word="EQUIVALENT"),
        line("e1", theme="e"),
        # Two within a theme count nothing for it.
        line("a3", theme="a", word="NOT_TESTABLE", rests_on=["a1"]),
        line("a4", theme="a", word="NOT_TESTABLE", rests_on=["a1"]),
    ]
    for order in (rows, rows[::-1], rows[3:] + rows[:3]):
        assert [theme.name for theme in board.board(order)] == ["c", "d", "e", "a", "b"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("SUPPORTED", "1 of 1 claim decided: 1 SUPPORTED"),
        ("UNDECIDED UNDECIDED", "0 of 2 claims decided; 2 UNDECIDED"),
        (
            "NOT_RUN EQUIVALENT INVALID SUPPORTED NOT_TESTABLE SUPPORTED",
            "3 of 6 claims decided: 2 SUPPORTED, 1 EQUIVALENT; 1 NOT_TESTABLE, 1 INVALID, 1 NOT_RUN",
        ),
    ],
)
def test_claims_are_counted_by_word(words: str, said: str) -> None:
    assert counted([{"word": word} for word in words.split()]) == said


def test_the_headline_names_the_lock_and_never_counts_exploratory_claims_with_the_others() -> None:
    rows = [line("a"), line("b", "UNDECIDED", attempt=2, lock="0123456789")]
    late = line("c", "REFUTED", standing="EXPLORATORY", exploratory=["It is new."])
    assert headline(rows[:1]) == (
        "1 of 1 claim decided: 1 SUPPORTED; confirmatory under lock 5eed5eed, attempt 1."
    )
    assert headline([late, *rows]) == (
        "1 of 2 claims decided: 1 SUPPORTED; 1 UNDECIDED; confirmatory under lock 01234567, "
        "attempt 2 and lock 5eed5eed, attempt 1. Beside them, EXPLORATORY: 1 of 1 claim decided: "
        "1 REFUTED."
    )
    assert headline([late]) == ("1 of 1 claim decided: 1 REFUTED; EXPLORATORY, not as registered.")
    assert headline([]) == "0 of 0 claims decided."
    tried = line("d", "UNDECIDED", standing="REHEARSAL")
    assert headline([tried, late]) == (
        "1 of 1 claim decided: 1 REFUTED; EXPLORATORY, not as registered. 0 of 1 claim decided; "
        "1 UNDECIDED; REHEARSAL, no evidence of any claim."
    )
    assert headline([tried, late, *rows[:1]]) == (
        "1 of 1 claim decided: 1 SUPPORTED; confirmatory under lock 5eed5eed, attempt 1. Beside "
        "them, EXPLORATORY: 1 of 1 claim decided: 1 REFUTED. Beside them, REHEARSAL: 0 of 1 claim "
        "decided; 1 UNDECIDED."
    )


def test_a_heading_says_the_standing_and_for_confirmatory_claims_their_lock() -> None:
    assert board.heading("EXPLORATORY", []) == "Exploratory: not as registered"
    assert board.heading("REHEARSAL", []) == "Rehearsal: no evidence of any claim"
    found = board.heading("CONFIRMATORY", [line("a"), line("b", lock="")])
    assert found == "Confirmatory under lock 5eed5eed, attempt 1"
    assert board.heading("CONFIRMATORY", [line("a", lock="")]) == "Confirmatory"
    standings = ("CONFIRMATORY", "EXPLORATORY", "REHEARSAL")
    marks = [board.mark(line("a", standing=each)) for each in standings]
    assert marks == ["", "EXPLORATORY", "REHEARSAL"]


def test_only_reasons_that_all_have_are_said_once() -> None:
    rows = [line("a", exploratory=["one", "both"]), line("b", exploratory=["both", "two"])]
    assert shared(rows) == ["both"]
    assert shared([*rows, line("c")]) == []


def test_a_row_is_json_and_has_the_claims_own_figures() -> None:
    judged = sample_judged(effect=0.5, theme="Smoothing", rests_on=("x",))
    judged = replace(judged, lock="5eed", verdict=replace(judged.verdict, exploratory=("New.",)))
    shown = board.row(judged)
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["effect"], shown["interval"]) == (
        judged.verdict.effect, list(judged.verdict.interval()),
    )  # fmt: skip
    rest = {name: shown[name] for name in shown if name not in ("effect", "interval", "reason")}
    assert rest == {
        "id": "smoothing_raises_entropy[smaller]",
        "theme": "Smoothing",
        "says": "Smoothing raises entropy.",
        "word": "SUPPORTED",
        "standing": "EXPLORATORY",
        "exploratory": ["New."],
        "rests_on": ["x"],
        "unit": "nats",
        "seeds": 3,
        "tasks_as_claimed": 2,
        "task_count": 2,
        "data": [],
        "lock": "5eed",
        "attempt": 1,
    }
