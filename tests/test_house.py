"""The house: sizes of its rooms, names of its files, and whose words may stand where."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "kdcheck"
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60
MACHINERY = ("study", "engine", "evidence", "verdict", "report", "plugin", "claims")
"""What would serve another paper without a changed line."""
WORDS = re.compile(
    r"\bmrpc\b|\bqnli\b|sst-?2|\bmnli\b|distilbert-|(standard|self|reverse|tuned)_kd|tuned_ls"
    r"|\btables? \d|\bfigures? \d|\bsection \d|\bappendix\b|\beqs?\. ?\d|sultan"
    r"|knowledge distillation ≈|fact or fallacy",
    re.IGNORECASE,
)
"""Tasks, methods, places and title of the paper whose claims are kept here."""


def long_parts(package: Path) -> list[str]:
    """Modules and functions that a reader does not take in at once."""
    found = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(package))
        if (lines := text.count("\n")) > LONGEST_MODULE:
            found.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or 0) - node.lineno + 1
                found += [f"{name}, {node.name}: {lines} lines"] * (lines > LONGEST_FUNCTION)
    return found


def test_modules_and_functions_are_short() -> None:
    assert long_parts(PACKAGE) == []


def test_a_long_module_and_a_long_function_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n" + "    x = 1\n" * 400)
    assert long_parts(tmp_path) == ["a.py: 401 lines", "a.py, f: 401 lines"]


def test_no_two_modules_have_one_file_name() -> None:
    names = Counter(path.name for path in PACKAGE.rglob("*.py"))
    assert {name for name, count in names.items() if count > 1} == {"__init__.py"}


def words_of_the_paper(folder: Path) -> list[str]:
    """Lines that name what one paper alone has, docstrings, styles and schemas included."""
    return [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".py", ".json", ".css", ".js", ".toml")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if WORDS.search(line)
    ]


@pytest.mark.parametrize("room", MACHINERY)
def test_the_machinery_names_nothing_of_one_paper(room: str) -> None:
    assert words_of_the_paper(PACKAGE / room) == []


@pytest.mark.parametrize(
    "line",
    [
        "TASKS = ('mrpc',)",
        "SST2 = 1",
        "x = 'standard_kd'",
        "# Table 2",
        "# see section 4",
        "# Eq. 1",
    ],
)
def test_a_word_of_the_paper_would_be_noticed(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.py").write_text(f"{line}\n")
    assert words_of_the_paper(tmp_path) == [f"a.py:1: {line}"]
