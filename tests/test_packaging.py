"""What is packed, what is pinned, and what the pages tell one to type, read without running any of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdcheck import plugin
from kdcheck.cli import build_parser
from kdcheck.tasks.corpora import PACKAGED
from tests.tools import follow

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OF_PYTEST = {"-m", "-k", "-n", "-q"}
"""Options of pytest itself, and of pytest-xdist, that the pages use."""


def test_what_an_installation_registers_can_be_loaded() -> None:
    found = {("console_scripts", name): value for name, value in PROJECT["scripts"].items()}
    for group, points in PROJECT["entry-points"].items():
        found |= {(group, name): value for name, value in points.items()}
    loaded = {key: EntryPoint(key[1], value, key[0]).load() for key, value in found.items()}
    assert callable(loaded["console_scripts", "kdcheck"])
    assert loaded["pytest11", "kdcheck"] is plugin


def ignored(folder: str) -> list[str]:
    """Files of a folder that git would not take, were they new; what Python writes by itself left out."""
    files = "\n".join(map(str, (ROOT / folder).rglob("*.*")))
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    said = subprocess.run(
        command, cwd=ROOT, input=files, capture_output=True, text=True, check=False
    )
    assert said.returncode in (0, 1), said.stderr
    return [each for each in said.stdout.splitlines() if "__pycache__" not in each]


def test_git_takes_every_file_of_the_package() -> None:
    assert ignored("kdcheck") == []
    command = ["git", "check-ignore", "--no-index", "kdcheck/build/data.tsv"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "one would be noticed"


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The arguments of each command of a page that is told to a program, on a line of a block."""
    for language, block in follow.blocks(page):
        for line in block.replace("\\\n", " ").splitlines() if language in ("", "sh") else ():
            if line.startswith(f"{program} "):
                # A table gives the meaning of a command beside it.
                yield shlex.split(re.split(r" {2,}", line)[0], comments=True)[1:]


def is_taken(arguments: list[str]) -> bool:
    try:
        build_parser().parse_args(arguments)
    except SystemExit as ended:
        return not ended.code  # as after --help
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_command_line_takes_every_command_of_the_pages(page: Path) -> None:
    assert [each for each in commands(page, "kdcheck") if not is_taken(each)] == []


def test_a_command_that_is_not_taken_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nkdcheck no\n```\n```sh\nkdcheck lock --check   # is taken\n"
        "kdcheck lock --chec-k\n```\nkdcheck no\n```\nkdcheck locks  x\n```"
    )
    told = list(commands(page, "kdcheck"))
    assert told == [["lock", "--check"], ["lock", "--chec-k"], ["locks"]]
    assert list(map(is_taken, told)) == [True, False, False]
    assert sum(len(list(commands(page, "kdcheck"))) for page in PAGES) > 30


def test_pytest_takes_every_option_that_the_pages_give_it() -> None:
    ours: set[str] = set()
    group = SimpleNamespace(addoption=lambda name, **_: ours.add(name))
    plugin.pytest_addoption(SimpleNamespace(getgroup=lambda *_: group))
    told = [each for page in PAGES for each in commands(page, "pytest")]
    named = {word.partition("=")[0] for each in told for word in each if word.startswith("-")}
    assert {"--scale", "--rehearse", "--data-dir"} <= named
    assert named <= ours | OF_PYTEST


def test_packaged_tasks_are_those_that_claims_were_registered_on() -> None:
    lock = json.loads((ROOT / "claims" / "claims.lock").read_text(encoding="utf-8"))
    tasks = [task for family in lock["families"].values() for task in family["tasks"]]
    registered = {task["name"]: task for task in tasks if task["name"] in PACKAGED}
    assert len(registered) == 3
    for name, task in registered.items():
        spec = PACKAGED[name]
        assert (spec.digest, len(spec.layout.classes)) == (task["digest"], task["classes"])


def test_splits_that_are_cut_have_the_size_that_is_told_of_them() -> None:
    cuts = {(name, split): n for name, spec in PACKAGED.items() for split, n in spec.cuts.items()}
    assert {each: PACKAGED[each[0]].sizes[each[1]] for each in cuts} == cuts
    assert len(cuts) == 4
