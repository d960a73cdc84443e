"""Begin a study of your own: write a claim, a scale and a task to start from.

The files lie in kdcheck itself; nothing that exists is overwritten. Afterwards `pytest` in that folder
trains what the claim needs, judges it, and writes a page and the evidence, in about a minute.

Example:
  kdcheck init
  kdcheck init my-study
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from kdcheck.errors import OptionError

HELP = "write a claim, a scale and a task to start from, in an empty folder"
WRITTEN = {
    "claims/test_smoothing.py": "a claim: its sentence, its margin, and the contrast that decides it",
    "small.toml": "the scale: encoders, tasks, seeds, and how each method trains",
    "data/notes/": "the task: invented sentences in three classes and three splits",
    "pytest.ini": "tells pytest and kdcheck which claims, scale and data are meant",
}
NEXT = (
    (
        "kdcheck lock",
        "registers the claim before its first run, so that its verdict is CONFIRMATORY",
    ),
    ("pytest", "trains ten models, judges the claim, writes kdcheck-report.html; a minute"),
    ("kdcheck ui", "shows the evidence in MLflow"),
)
SETTINGS = ("pytest.toml", ".pytest.toml", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""Where pytest may have settings, which our pytest.ini would hide."""
WIDTH = 2 + max(map(len, WRITTEN))
TEMPLATE = ".template"
"""Ends the names of files that are no part of kdcheck's own code."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folder."""
    text = "where to begin; made if it is not there (default: this folder)"
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help=text)


def run(args: argparse.Namespace) -> int:
    """Write the files and say what they are and what comes next.

    Raises:
        OptionError: something of theirs is there already, or the folder cannot be written.
    """
    folder: Path = args.folder
    try:
        _write(folder)
    except OSError as error:
        step = "Nothing was written. Name a folder that you may write to."
        raise OptionError(f"init {folder}", str(error), "a folder", step) from error
    print("written")
    for name, what in WRITTEN.items():
        print(f"  {name:<{WIDTH}}{what}")
    print("\nnext")
    if folder != Path():
        print(f"  cd {shlex.quote(str(folder))}")
    for command, what in NEXT:
        print(f"  {command:<{WIDTH}}{what}")
    return 0


def _write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        as_file(files("kdcheck.cli") / "starter") as starter,
        tempfile.TemporaryDirectory(dir=folder, prefix=".kdcheck-") as made,
    ):
        shutil.copytree(starter, made, copy_function=shutil.copyfile, dirs_exist_ok=True)
        for path in Path(made).rglob(f"*{TEMPLATE}"):
            path.rename(path.with_suffix(""))
        new, there = sorted(Path(made).iterdir()), {path.name for path in folder.iterdir()}
        if taken := there & {*SETTINGS, *(path.name for path in new)}:
            wanted = (
                f"a folder without {', '.join(path.name for path in new)} and settings of pytest"
            )
            step = "Nothing was written. Name a new folder, as kdcheck init my-study."
            raise OptionError(f"init {folder}", ", ".join(sorted(taken)), wanted, step)
        for path in new:
            path.rename(folder / path.name)
