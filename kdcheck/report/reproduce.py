"""The commands that make the same evidence, and that judge it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def commands(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What each command is for, and the command, in the order in which they are run."""
    scale = shlex.quote(record["scale"])
    # A scale of one's own is found by its file, and tasks that are not packaged in a folder.
    by_file = not record["scale_ships"]
    by_folder = not all(task["packaged"] for task in record["tasks"])
    training = f"--scale {'FILE.toml' if by_file else scale} --seeds {len(record['seeds'])}"
    named = ["FILE.toml is the scale's file"] if by_file else []
    named += ["DIR a folder of its tasks"] if by_folder else []
    where = f" ({', '.join(named)})" if named else ""
    paper = shlex.quote(record["paper"]["name"])
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
        ("Write this page again:", f"kdcheck report --paper {paper} --scale {scale}"),
    ]
