"""The map of files, one clause a file, from the first line of each file itself.

``python -m tests.tree`` writes it to docs/map.md; a test compares it with what is on disk.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAP = ROOT / "docs" / "map.md"
CLAUSES = {
    ".ci/run": "what CI calls: the test command",
    ".gitignore": "what is not kept",
    "CHANGELOG.md": "what a release gives its users",
    "CONTRIBUTING.md": "where things live, and how to add one",
    "LICENSE": "Apache 2.0",
    "README.md": "the page that people meet first",
    "docs/map.md": "this page",
    "constraints-cpu.txt": "the CPU wheel of torch that is tested",
    "constraints-lowest.txt": "the lowest version of each requirement, for tox",
    "pyproject.toml": "packaging, and the settings of every tool",
    "tox.ini": "the same commands through tox",
}
LEAVES = (
    "changelog.d",
    "docs/decisions",
    "docs/pictures",
    "evidence",
    "tests",
    "benchmarks",
    "kdcheck/cli/starter",
)
"""Folders that are told as one line: their files say the rest."""
FOLDERS = {
    "changelog.d": "news fragments since the last release",
    "docs/decisions": "what was decided, why, and what would change our mind; README.md lists them",
    "docs/pictures": "what the page and the MLflow UI look like",
    "evidence": "bundles of evidence, for kdcheck verify",
    "tests": "one file per module, properties/, integration/; tests/README.md says where",
    "kdcheck/cli/starter": "what kdcheck init writes: a claim, a scale, a task, and what pytest is told",
    "benchmarks": "side-by-side timings, with their baselines",
}


def tracked(root: Path = ROOT) -> list[str]:
    """Files that git knows or would add, sorted."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return sorted({name for name in listing.stdout.splitlines() if (root / name).exists()})


def clause(path: Path, name: str) -> str:
    """What a file is, in a clause: from the list above, its docstring, heading or first comment."""
    if name in CLAUSES:
        return CLAUSES[name]
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        docstring = ast.get_docstring(ast.parse(text)) or ""
        first = " ".join(docstring.split("\n\n")[0].split())
    elif path.suffix == ".md":
        first = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("#")), "")
    elif path.suffix == ".toml":
        first = text.splitlines()[0].lstrip("# ") if text.startswith("#") else ""
        tomllib.loads(text)
    else:
        first = ""
    first = re.split(r"(?<! al)\. |: one", first)[0].rstrip(".")
    return first[:1].lower() + first[1:] if first[1:2].islower() else first


def tree(root: Path = ROOT) -> str:
    """The tree as text."""
    lines: list[str] = []
    told: set[str] = set()
    for name in tracked(root):
        parts = name.split("/")
        leaf = next((folder for folder in LEAVES if name.startswith(f"{folder}/")), None)
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in told and not (leaf and folder.startswith(f"{leaf}/")):
                told.add(folder)
                told_as = f"  {FOLDERS[folder]}" if folder in FOLDERS else ""
                lines.append(f"{'  ' * (depth - 1)}{parts[depth - 1]}/{told_as}")
        if leaf is None and name.rsplit("/")[-1] != "py.typed":
            said = clause(root / name, name)
            lines.append(f"{'  ' * (len(parts) - 1)}{parts[-1]}{f'  {said}' if said else ''}")
    return "```\n" + "\n".join(lines) + "\n```\n"


def page() -> str:
    """The map as it stands in docs/map.md."""
    return f"# The map of files\n\nWritten by `python -m tests.tree`.\n\n{tree()}"


if __name__ == "__main__":
    MAP.touch()  # so that the first map lists itself
    MAP.write_text(page(), encoding="utf-8")
