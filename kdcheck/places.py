"""Paths that others chose: names in what was received, and places to write results to."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from kdcheck.errors import OptionError


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


def check_writable(option: str, place: Path) -> None:
    """Refuse a place that cannot be written; asked before hours of training, not after.

    Args:
        option: that named it.
        place: of a file or folder to be made; the folder it is in is made if need be.

    Raises:
        OptionError: nothing can be written there.

    Source: none.

    >>> check_writable("--output", Path("/dev/null/out"))
    Traceback (most recent call last):
        ...
    kdcheck.errors.OptionError: --output /dev/null/out: got [Errno 17] File exists: '/dev/null'; \
wanted a place that can be written. Name one in a folder that you may write to.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Permissions alone do not tell: the disk may be mounted read-only, or be another machine's.
        tempfile.TemporaryDirectory(dir=place.parent, prefix=".kdcheck-").cleanup()
    except OSError as error:
        next_step = "Name one in a folder that you may write to."
        raise OptionError(
            f"{option} {place}", str(error), "a place that can be written", next_step
        ) from error
