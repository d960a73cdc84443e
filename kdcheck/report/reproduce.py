"""The commands that make the same evidence, and that judge it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from kdcheck.study.scale import shipped_names
from kdcheck.tasks.corpora import PACKAGED


def commands(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What each command is for, and the command.

    Args:
        record: of the report.

    Returns:
        Sentences and command lines, in the order in which they are run.

    Source: none.

    >>> record = {"kdcheck": "1.0", "scale": "mini", "seeds": [0, 1, 2], "tasks": [{"name": "mrpc"}]}
    >>> commands(record)[1][1]
    'pytest claims/ --scale mini --seeds 3 --data-dir DIR'
    """
    name, seeds = record["scale"], len(record["seeds"])
    scale = shlex.quote(name)
    # A scale of one's own is found by its file, and tasks that are not packaged in a folder.
    by_file = name not in shipped_names()
    by_folder = any(task["name"] not in PACKAGED for task in record["tasks"])
    training = f"--scale {'FILE.toml' if by_file else scale} --seeds {seeds}"
    named = ["FILE.toml is the scale's file"] if by_file else []
    named += ["DIR a folder of its tasks"] if by_folder else []
    where = f" ({', '.join(named)})" if named else ""
    return [
        (
            # The claims are no part of a wheel.
            f"In a checkout of the source, at the version that wrote this page ({record['kdcheck']}):",
            "pip install -e .",
        ),
        (
            f"Train what is not yet in the store, and judge every claim{where}:",
            f"pytest claims/ {training}{' --data-dir DIR' if by_folder else ''}",
        ),
        ("Recompute every verdict from stored posteriors, without training:", "kdcheck verify"),
        ("Look at runs, curves and files in the MLflow UI:", "kdcheck ui"),
        ("Write this page again:", f"kdcheck report --scale {scale}"),
    ]
