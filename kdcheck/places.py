"""Paths that others chose: names in what was received."""

from __future__ import annotations

from pathlib import PurePosixPath


def stays_inside(name: str) -> bool:
    """Whether a name, joined to a folder, leads to something in that folder on every system.

    Source: none.

    >>> stays_inside("claims/000"), stays_inside("../x"), stays_inside("/x"), stays_inside("..\\\\x")
    (True, False, False, False)
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        return False
    return "\\" not in name and ":" not in name  # on Windows these lead elsewhere too
