"""What a broken store says, turned into one error that names the next step."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kdcheck.errors import EvidenceError
from kdcheck.places import Location, without_credentials


@dataclass(frozen=True)
class _Fault:
    signs: tuple[str, ...]
    """Words of which one stands in the message, in lower case."""
    wanted: str
    next_step: str


ACCESS = _Fault(
    (
        *("error code 401", "error code 403", "unauthorized", "forbidden"),
        *("unauthenticated", "permission_denied"),
    ),
    "a tracking server that lets us in",
    "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
)
SERVER = _Fault(
    ("max retries exceeded", "connection refused", "api request to", "timed out", "unreachable"),
    "a tracking server that answers",
    "Start it (mlflow server), correct its address, or unset MLFLOW_TRACKING_URI to use a "
    "local store. Runs that were finished are safe; run again to go on.",
)
FAULTS = (
    # First, since a refusal reads "API request to ... failed" or "Permission denied" as well.
    ACCESS,
    _Fault(
        ("readonly", "read-only", "permission denied"),
        "a store that this user may write to",
        "Make it writable (chmod -R u+w), copy it to a place of yours, or choose another with "
        "--store. A bundle can be read without writing.",
    ),
    _Fault(
        ("database schema", "can't locate revision", "no such column", "no such table"),
        "the database schema of the installed MLflow",
        "Back the store up, then run 'mlflow db upgrade {uri}', or install the MLflow that wrote "
        "it.",
    ),
    _Fault(
        ("not a database", "malformed", "disk image", "can't decode"),
        "an intact sqlite database",
        "Restore it from a copy, or move it away and run again.",
    ),
    _Fault(
        ("database is locked",),
        "the database within 20 s",
        "Another process holds it; is the folder on a network file system? Put the store on a "
        "local disk or use an MLflow server.",
    ),
    _Fault(
        ("no space left", "disk is full", "file too large", "disk i/o error"),
        "room on the disk",
        "Free some space, lift the limit of a file's size (ulimit -f), or choose another place "
        "with --store.",
    ),
    _Fault(
        ("not a directory", "file exists"),
        "a folder",
        "A file is in the way; choose another place with --store.",
    ),
    SERVER,
)
OTHER = _Fault(
    (),
    "a store that works",
    "Look at the store with 'kdcheck ui'; if it is broken, choose another with --store.",
)
GONE = _Fault(
    (),
    "the database it had at the start",
    "Somebody deleted, moved or replaced the store during the run. Put it back, or run again; "
    "what is missing will be trained anew.",
)


@contextmanager
def explained(location: Location, action: str) -> Iterator[None]:
    """Turn what MLflow, sqlite or the file system raise into one EvidenceError."""
    try:
        yield
    except _raised_by_stores() as error:
        told = explain(error, location, action)
        # A traceback prints the cause too, and MLflow repeats addresses with their passwords.
        raise told from None if without_credentials(str(error)) != str(error) else error


def explain(error: BaseException, location: Location, action: str) -> EvidenceError:
    """The error with its next step, by the words of its message."""
    message = without_credentials(str(error).strip().split("\n")[0])[:300]
    lower = message.lower()
    fault = next((f for f in FAULTS if any(sign in lower for sign in f.signs)), OTHER)
    next_step = fault.next_step.format(uri=location.address)
    return EvidenceError(f"store {location}, {action}", message, fault.wanted, next_step)


def gone(location: Location, action: str, got: str) -> EvidenceError:
    """The error for a store that disappeared while it was in use."""
    return EvidenceError(f"store {location}, {action}", got, GONE.wanted, GONE.next_step)


def no_answer(location: Location, got: str) -> EvidenceError:
    """The error for a tracking server that does not answer, or not as one."""
    return EvidenceError(f"store {location}, connect", got, SERVER.wanted, SERVER.next_step)


def _raised_by_stores() -> tuple[type[BaseException], ...]:
    # Evaluated only once something was raised; before MLflow is loaded it cannot have raised.
    # Of damaged text sqlite tells in that text.
    types: list[type[BaseException]] = [OSError, sqlite3.Error, UnicodeDecodeError]
    for module, name in (
        ("mlflow.exceptions", "MlflowException"),
        ("sqlalchemy.exc", "SQLAlchemyError"),
    ):
        if module in sys.modules:
            types.append(getattr(sys.modules[module], name))
    return tuple(types)
