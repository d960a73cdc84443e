"""The README is true: its tree is what is on disk, its commands are what CI calls."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests import tree

README = (tree.ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The commands that the README gives on lines of their own in shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_file_tree_is_what_is_on_disk() -> None:
    _, inside, _ = tree.parts(README)
    assert inside == tree.tree(), "run python -m tests.tree"


def test_a_file_that_the_tree_leaves_out_would_be_noticed(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "new.py").write_text('"""A new thing."""\n')
    assert "new.py  A new thing" in tree.tree(tmp_path)


def test_ci_calls_the_test_command_of_the_readme_and_nothing_else() -> None:
    script = (tree.ROOT / ".ci" / "run").read_text(encoding="utf-8")
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
