"""How far the database of a local store waits for the disk (decision 0125).

Five commits make a run, and MLflow leaves sqlite at a sync for each; a database that is being made has
a thousand. A commit that a power cut takes away is a run that is trained again, and no database is
harmed by it in write-ahead logging; a killed process takes none away.
"""

from __future__ import annotations

import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import Literal

_LEVELS: dict[Path, str] = {}


def wait_for_disk(database: Path, level: Literal["OFF", "NORMAL"]) -> None:
    """Set what SQLAlchemy's later connections of this process to one database wait for."""
    _listen()
    _LEVELS[database.resolve()] = level


def flush(file: Path) -> None:
    """Wait until a file is on the disk as it is."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


@cache
def _listen() -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def set_level(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            ((_, _, path),) = connection.execute("PRAGMA database_list").fetchall()
            if level := _LEVELS.get(Path(path).resolve()):
                connection.execute(f"PRAGMA synchronous = {level}")
