"""The pages are true: files, commands, links, words and decisions are those that there are."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from pathlib import Path

import pytest

from tests import tree

ROOT, DOCS = tree.ROOT, tree.ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("tests/*.md")]
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")
PATH = re.compile(r"`((?:kdcheck|tests|docs|claims|evidence|benchmarks)/[\w./-]*)`")
NUMBER = re.compile(r"\d+\.\d+")
GATES = {
    "`KDCHECK_SLOW=1`": "KDCHECK_SLOW",
    "Chromium": "needs_browser",
    "CUDA": "pytest.mark.gpu",
    "PyPI": "pytest.mark.network",
}
"""What a test may wait for, and the word of its source that says so."""


def commands() -> list[str]:
    """The commands that the README gives on lines of their own in shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def broken_links(page: Path) -> list[str]:
    """Links of a page, and paths from the root that it names, where there is no file."""
    text = page.read_text(encoding="utf-8")
    places = {link: page.parent / link for link in LINK.findall(text)}
    places |= {path: ROOT / path for path in PATH.findall(text)}
    return [name for name, place in places.items() if not place.exists()]


def waits_for(source: str) -> set[str]:
    """What some tests of a file wait for."""
    return {gate for gate, word in GATES.items() if word in source}


def glossary() -> list[tuple[str, str]]:
    """Each word of the glossary with the module that it lives in."""
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    return re.findall(r"^\| ([^|]+) \|[^|]+\| `([^`]+)` \|$", text, flags=re.MULTILINE)


def test_the_map_is_what_is_on_disk() -> None:
    assert tree.MAP.read_text(encoding="utf-8") == tree.page(), "run python -m tests.tree"


def test_a_file_that_the_map_leaves_out_would_be_noticed(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "new.py").write_text('"""A new thing."""\n')
    assert "new.py  A new thing" in tree.tree(tmp_path)


def test_ci_calls_the_test_command_of_the_readme_and_nothing_else() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    setup = {"set -euo pipefail", 'cd "$(dirname "$0")/.."'}
    called = [
        line
        for line in script.splitlines()
        if line and not line.startswith("#") and line not in setup
    ]
    assert called == [line for line in commands() if "tests.check" in line]


@pytest.mark.parametrize("word", ["embedded", "mini", "paper"])
def test_every_scale_is_named(word: str) -> None:
    assert f"`{word}`" in README


def test_the_readme_is_read_in_one_sitting() -> None:
    assert README.count("\n") < 150


def test_the_program_of_the_readme_prints_what_stands_below_it() -> None:
    program, shown = re.search(r"```python\n(.*?)```\n```\n(.*?)```", README, re.DOTALL).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "README.md", "exec"), {})  # noqa: S102 - our own page
    assert NUMBER.sub("#", printed.getvalue()) == NUMBER.sub("#", shown)
    # Other processors round the last bits of a step otherwise, and training carries that on.
    expected = [float(number) for number in NUMBER.findall(shown)]
    found = [float(number) for number in NUMBER.findall(printed.getvalue())]
    assert found == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_link_that_leads_nowhere_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("[here](a.md#top) [gone](b.md) [far](https://example.org/c.md) `tests/c.py`")
    assert broken_links(page) == ["b.md", "tests/c.py"]


def test_every_file_of_tests_that_wait_is_listed_with_what_it_waits_for() -> None:
    listed = re.findall(
        r"^\| `(tests/[\w/]+\.py)` \| ([^|]+) \|",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    waiting = {
        str(path.relative_to(ROOT)): gates
        for path in ROOT.glob("tests/**/test_*.py")
        if path != Path(__file__) and (gates := waits_for(path.read_text(encoding="utf-8")))
    }
    assert {name: set(gates.split(" and ")) for name, gates in listed} == waiting


def test_a_test_that_waits_would_be_noticed() -> None:
    assert waits_for('@pytest.mark.skipif("KDCHECK_SLOW" not in os.environ)') == {
        "`KDCHECK_SLOW=1`"
    }
    assert waits_for("pytestmark = [pytest.mark.gpu, needs_browser]") == {"Chromium", "CUDA"}
    assert waits_for("def test_of_a_gpu(): ...") == set()


def test_the_glossary_has_at_most_twenty_words_and_each_lives_somewhere() -> None:
    words = glossary()
    assert 0 < len(words) <= 20
    assert [word for word, module in words if not (ROOT / module).is_file()] == []


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", index)
    assert linked == sorted(path.name for path in DOCS.glob("decisions/[0-9]*.md"))


def test_every_test_that_a_planted_fault_was_noticed_by_is_there():
    text = (DOCS / "mutation-testing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+\.py)::(\w+)`", text))
    sources = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")}
    assert len(named) > 100
    assert [
        each for each in sorted(named) if f"def {each[1]}(" not in sources.get(each[0], "")
    ] == []


def test_the_planted_faults_are_as_many_as_their_tables_say():
    text = (DOCS / "mutation-testing.md").read_text(encoding="utf-8")
    by_hand = text[text.index("## Following a number") : text.index("## By machine")]
    tables = [each.split("\n### ")[0] for each in by_hand.split("\n### ")[1:]]
    counts = [int(re.match(r".*: (\d+)\n", table)[1]) for table in tables]
    assert [table.count("\n| ") - 2 for table in tables] == counts
    assert f"taken back: {sum(counts)} in all" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_nothing_is_left_to_be_filled_in(page: Path) -> None:
    left = re.findall(
        r"PLACEHOLDER|TODO|FIXME|TBD|still run as this is written", page.read_text("utf-8")
    )
    assert left == []
