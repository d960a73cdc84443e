"""Follow a guide as its reader does: its blocks in order, in the folder where this is run.

Blocks of Python run one after the other, as at a prompt; one that begins with the comment ``# NAME.py`` is
saved under that name instead. Commands of ``sh`` blocks go through a shell. The last line that is printed
is JSON: which kdcheck it was, the value of each Python block, and the exit code of each command.

    python tests/tools/follow.py PAGE [COMMAND THAT IS LEFT OUT, OR sh FOR ALL ...]
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SAVED = re.compile(r"# ([\w/]+\.py)\n")
COMMAND = re.compile(r"^.*<<'(\w+)'$(?s:.*?)^\1$|^.+$", re.MULTILINE)
"""A line, or one that reads what follows it up to a word."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """Each block of a page after its language, which is empty for what is printed."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run_python(code: str, names: dict[str, object], where: str) -> object:
    """Run a block among the names of those before it; its value, where it ends in an expression."""
    parsed = ast.parse(code)
    last = parsed.body[-1]
    names["_"] = None
    if isinstance(last, ast.Expr):
        parsed.body[-1] = ast.Assign([ast.Name("_", ast.Store())], last.value)
    made = compile(ast.fix_missing_locations(parsed), where, "exec", dont_inherit=True)
    exec(made, names)  # noqa: S102 - our own pages
    return names["_"]


def run_commands(block: str, left_out: list[str]) -> dict[str, int]:
    """The exit code of each command, under its first line."""
    codes = {}
    for each in COMMAND.finditer(block):
        command = each.group().partition("\n")[0]
        if command not in left_out:
            print(f"$ {command}", flush=True)
            codes[command] = subprocess.run(each.group(), shell=True, check=False).returncode  # noqa: S602
    return codes


def follow(page: Path, left_out: list[str]) -> dict[str, object]:
    """Follow a page; what came of it."""
    names: dict[str, object] = {"__name__": "__main__"}
    values: list[object] = []
    codes: dict[str, int] = {}
    for language, block in blocks(page):
        if saved := SAVED.match(block):
            Path(saved[1]).parent.mkdir(exist_ok=True)
            Path(saved[1]).write_text(block, encoding="utf-8")
        elif language == "python":
            values.append(run_python(block, names, page.name))
        elif language == "sh" and "sh" not in left_out:
            codes |= run_commands(block, left_out)
    return {"values": values, "codes": codes}


if __name__ == "__main__":
    sys.path[0] = ""  # as at a prompt: files that the page saves can be imported
    found = follow(Path(sys.argv[1]), sys.argv[2:])
    import kdcheck

    print(json.dumps({"kdcheck": kdcheck.__file__} | found, default=repr))
