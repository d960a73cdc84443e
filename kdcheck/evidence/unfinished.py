"""Where the files of a run are written until it ends: in a local store beside the place they are moved to."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdcheck.places import Location

PREFIX = "kdcheck-unfinished-"
OLD_SECONDS = 24 * 3600
"""Nobody writes the files of a run for so long."""


@contextmanager
def new_folder(location: Location) -> Iterator[Path]:
    """A folder, yet to be made, that is gone afterwards."""
    beside = location.folder if location.is_local else None
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=beside) as temporary:
        yield Path(temporary) / "artifacts"


def remove_old(location: Location) -> None:
    """Remove what processes left in a local store that were killed while they wrote."""
    for folder in location.folder.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another session was faster
            if time.time() - folder.stat().st_mtime > OLD_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
