"""The commands that make the same evidence, and that judge it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def commands(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What each command is for, and the command.

    Args:
        record: of the report.

    Returns:
        Sentences and command lines, in the order in which they are run.

    Source: none.

    >>> commands({"kdcheck": "1.0", "scale": "mini", "seeds": [0, 1, 2]})[1][1]
    'pytest claims/ --scale mini --seeds 3'
    """
    scale, seeds = shlex.quote(record["scale"]), len(record["seeds"])
    return [
        ("Install the version that wrote this page:", f"pip install kdcheck=={record['kdcheck']}"),
        (
            "Train what is not yet in the store, and judge every claim:",
            f"pytest claims/ --scale {scale} --seeds {seeds}",
        ),
        ("Recompute every verdict from stored posteriors, without training:", "kdcheck verify"),
        ("Look at runs, curves and files in the MLflow UI:", "kdcheck ui"),
        ("Write this page again:", f"kdcheck report --scale {scale}"),
    ]
