"""The board on a terminal: what each line says, where it is cut, and what is coloured."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from kdcheck.evidence.board import row
from kdcheck.plugin.terminal import print_board
from tests import report_doubles as doubles


class Terminal:
    """What pytest's reporter was told to write, and in which colour."""

    def __init__(self) -> None:
        self.text = ""
        self.coloured: list[tuple[str, str]] = []

    def write(self, text: str, **markup: bool) -> None:
        self.text += text
        on = [name for name, value in markup.items() if value]
        self.coloured += [(text.strip(), name) for name in on if text.strip()]

    def write_line(self, text: str, **markup: bool) -> None:
        self.write(f"{text}\n", **markup)


def printed(monkeypatch: pytest.MonkeyPatch, columns: int = 100, **changes: Any) -> Terminal:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    print_board(terminal, [{**row(each), **changes} for each in doubles.study()])
    return terminal


def test_the_board_says_what_was_learned_then_sentence_figures_and_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = printed(monkeypatch).text.splitlines()
    teachers = lines.index("What teachers do")
    assert lines[: teachers + 8] == [
        "2 of 6 claims decided: 1 SUPPORTED, 1 REFUTED; 1 UNDECIDED, 1 NOT_TESTABLE, 1 INVALID, 1 NOT_RUN;",
        "confirmatory under lock 5eed5eed, attempt 1. Beside them, EXPLORATORY: 2 of 2 claims decided: 1",
        "SUPPORTED, 1 EQUIVALENT.",
        "  fish, subset: A subset was read, 7 of 9.",
        "  fish, cut: Each run trains on 1,200.",
        "  birds, cut: Each run trains on 345.",
        "",
        "Confirmatory under lock 5eed5eed, attempt 1",
        "",
        "Smoothing & sureness",
        "  SUPPORTED     What smooth_is_less_sure[smaller] says.",
        "                +0.316 [+0.303, +0.341] nats    3 seeds  3 of 3 tasks  smooth_is_less_sure[smaller]",
        "    UNDECIDED     What as_good_as_plain says.",
        "                  +0.333 [-3.888, +4.355] points  3 seeds  0 of 3 tasks  as_good_as_plain",
        *lines[14 : teachers - 1],
        "",
        "What teachers do",
        "  REFUTED       What teaching_makes_less_sure says.",
        "                -0.337 [-0.348, -0.317] nats    3 seeds  0 of 3 tasks  teaching_makes_less_sure",
        "    NOT_TESTABLE  What sureness_is_handed_on says.",
        "                  +0.027 [+0.011, +0.056] nats    3 seeds  0 of 3 tasks  sureness_is_handed_on",
        "                  It rests on teaching_makes_less_sure, which is REFUTED.",
        "                  Rests on smooth_is_less_sure[smaller].",
        "",
    ]  # fmt: skip
    reason = " ".join(line.strip() for line in lines[14 : teachers - 1])
    (undecided,) = (e.verdict for e in doubles.study() if e.claim is doubles.AS_GOOD)
    assert reason == undecided.reason


def test_exploratory_claims_have_a_board_of_their_own_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = printed(monkeypatch)
    lines = terminal.text.splitlines()
    start = lines.index("EXPLORATORY, not as registered")
    assert lines[start:] == [
        "EXPLORATORY, not as registered",
        f"  {doubles.OTHER_SEEDS}",
        "",
        "Budgets < sizes",
        "  EQUIVALENT    What budget_matters says.",
        "  EXPLORATORY   +0.005 [+0.001, +0.010]         3 seeds  0 of 3 tasks  budget_matters",
        "",
        "What teachers do",
        "  SUPPORTED     What warmth_hardly_matters says.",
        "  EXPLORATORY   +0.014 [+0.001, +0.027] nats    3 seeds  3 of 3 tasks  warmth_hardly_matters",
        "                Rests on smooth_is_less_sure[smaller].",
        "                Exploratory: The margin is 0.2 nats, not 0.1 nats.",
        "",
    ]
    assert "EXPLORATORY " not in "\n".join(lines[4:start])


def test_words_are_coloured_and_exploratory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = dict(printed(monkeypatch).coloured)
    assert {word: colours[word] for word in colours if re.fullmatch("[A-Z_]+", word)} == {
        "SUPPORTED": "green",
        "REFUTED": "red",
        "INVALID": "red",
        **dict.fromkeys(("EQUIVALENT", "UNDECIDED", "NOT_TESTABLE", "NOT_RUN"), "yellow"),
        "EXPLORATORY": "yellow",
    }


@pytest.mark.parametrize(("columns", "width"), [(20, 80), (100, 100), (119, 119), (300, 120)])
def test_sentences_and_reasons_are_wrapped_and_keep_their_place(
    monkeypatch: pytest.MonkeyPatch, columns: int, width: int
) -> None:
    says = "word " * 60
    terminal = printed(monkeypatch, columns, says=says, reason=says, theme=says, id="c")
    lines = terminal.text.splitlines()
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > width - len("word ") - 1
    sentences = [line for line in lines if line.strip().startswith("word")]
    assert {len(line) - len(line.lstrip()) for line in sentences} <= {0, 16, 18}
    assert "word" in terminal.text


def test_a_claim_without_a_sentence_or_a_theme_is_known_by_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    (judged,) = doubles.study([replace(doubles.SURER, says="", theme="")])
    print_board(terminal, [row(judged)])
    assert "Without a theme\n  SUPPORTED     smooth_is_less_sure[smaller]\n" in terminal.text
