"""The commands that make the same evidence, and that judge it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

REHEARSAL_OF = "rehearsal of "
"""How the name of a rehearsal's scale begins."""


def commands(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What each command is for, and the command, in the order in which they are run."""
    scale = shlex.quote(record["scale"])
    # A scale of one's own is found by its file, and tasks that are not packaged in a folder.
    by_file = not record["scale_ships"]
    by_folder = not all(task["packaged"] for task in record["tasks"])
    by_models = not all(encoder["packaged"] for encoder in record["encoders"])
    rehearsed = record["scale"].removeprefix(REHEARSAL_OF)
    is_rehearsal = rehearsed != record["scale"]
    of = "FILE.toml" if by_file else shlex.quote(rehearsed)
    training = f"--scale {of} --seeds {len(record['seeds'])}{' --rehearse' if is_rehearsal else ''}"
    named = ["FILE.toml is the scale's file"] if by_file else []
    named += ["DIR a folder of its tasks"] if by_folder else []
    named += ["MODELS a folder of its encoders"] if by_models else []
    where = f" ({', '.join(named)})" if named else ""
    paper = shlex.quote(record["paper"]["name"])
    folders = (
        f"{' --data-dir DIR' if by_folder else ''}{' --model-dir MODELS' if by_models else ''}"
    )
    return [
        _begin(record["kdcheck"], is_own=by_file),
        *_fetched(record),
        (
            f"Train what is not yet in the store, and judge every claim{where}:",
            f"pytest claims/ {training}{folders}",
        ),
        ("Recompute every verdict from stored posteriors, without training:", "kdcheck verify"),
        ("Look at runs, curves and files in the MLflow UI:", "kdcheck ui"),
        ("Write this page again:", f"kdcheck report --paper {paper} --scale {scale}"),
    ]


def _begin(version: str, *, is_own: bool) -> tuple[str, str]:
    """Where the claims are, which are no part of a wheel: in the source, or where someone keeps their own."""
    if is_own:
        where = "In the folder that holds claims/, with the kdcheck that wrote this page"
        return f"{where} ({version}); yours is:", "kdcheck --version"
    return (
        f"In a checkout of the source, at the version that wrote this page ({version}):",
        "pip install -e .",
    )


def _fetched(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is fetched from the hub beforehand, which can be done on another machine."""
    found = []
    for what, kind, folder in (
        ("tasks", "data", "--data-dir DIR"),
        ("encoders", "encoders", "--model-dir MODELS"),
    ):
        names = [shlex.quote(each["name"]) for each in record[what] if each["on_hub"]]
        if names:
            why = f"Where there is a network, fetch {what} into a folder that can be copied:"
            found.append((why, f"kdcheck {kind} fetch {' '.join(names)} {folder}"))
    return found
