"""Where a store is: a folder on this machine, or a tracking server."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kdcheck.errors import EvidenceError

DEFAULT = Path(".kdcheck/store")
DATABASE = "mlflow.db"
SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True)
class Location:
    """A store's address.

    Source: none.

    >>> Location.parse("http://127.0.0.1:5000").is_local
    False
    >>> Location.parse("/data/store").uri
    'sqlite:////data/store/mlflow.db'
    """

    uri: str = field(repr=False)
    """What MLflow calls the tracking URI; it may hold a password, so print ``address`` instead."""
    database: Path | None
    """The sqlite file, or none for a server."""
    origin: str = "given"
    """Who chose it: an option, a variable of the environment, or nobody."""

    @classmethod
    def parse(cls, place: Path | str, *, origin: str = "given") -> Location:
        """A folder, an ``sqlite:///`` file, or the http(s) address of a tracking server.

        Raises:
            EvidenceError: another kind of address, or one that names no server.
        """
        text = str(place)
        if text.startswith(SQLITE):
            database = Path(text.removeprefix(SQLITE)).absolute()
        elif text.startswith(("http://", "https://")):
            if not _names_a_server(text):
                # The address is not repeated: what stands for its port may be half a password.
                raise EvidenceError(
                    f"store ({origin})",
                    "an address without a host, or with a port that is no number",
                    "http(s)://HOST:PORT",
                    "Correct it; in a password write / and @ as %2F and %40.",
                )
            return cls(uri=text.rstrip("/"), database=None, origin=origin)
        elif not text or ":" in text.split("/", maxsplit=1)[0]:
            raise EvidenceError(
                f"store ({origin})",
                without_credentials(repr(text)),
                "a folder, sqlite:///FILE, or http(s)://HOST:PORT",
                "For another database start 'mlflow server' on it and give its http address.",
            )
        else:
            database = Path(text).expanduser().absolute() / DATABASE
        return cls(uri=f"{SQLITE}{database}", database=database, origin=origin)

    @property
    def address(self) -> str:
        """The tracking URI as it may be printed, without a password."""
        return without_credentials(self.uri)

    @property
    def is_local(self) -> bool:
        """Whether it is an sqlite file on this machine."""
        return self.database is not None

    @property
    def is_new(self) -> bool:
        """Whether it is to be made on this machine: there is no file yet."""
        return self.database is not None and not self.database.exists()

    @property
    def folder(self) -> Path:
        """The folder of a local store."""
        assert self.database is not None
        return self.database.parent

    @property
    def artifacts(self) -> Path:
        """Where a local store keeps the files of its runs."""
        return self.folder / "artifacts"

    def __str__(self) -> str:
        if self.database is None or self.database.name != DATABASE:
            return self.address
        return str(self.folder)


def without_credentials(text: str) -> str:
    """The text without the user and password of the addresses in it.

    Source: none.

    >>> without_credentials("API request to http://me:secret@tracker:5000/api failed")
    'API request to http://tracker:5000/api failed'
    """
    return re.sub(r"://[^/\s]*@", "://", text)


def _names_a_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0  # reading the port checks it
    except ValueError:
        return False


def choose_location(
    option: Path | str | None = None, environment: Mapping[str, str] = os.environ
) -> Location:
    """The store to use: the option, else KDCHECK_STORE, else MLFLOW_TRACKING_URI, else a folder.

    ``origin`` of the result says which, so that the user can be told.

    Raises:
        EvidenceError: the address cannot be used.

    Source: none.

    >>> choose_location(environment={"MLFLOW_TRACKING_URI": "http://tracker:5000"}).origin
    'MLFLOW_TRACKING_URI'
    >>> choose_location("here", {"KDCHECK_STORE": "there"}).origin
    '--store'
    """
    if option is not None:
        return Location.parse(option, origin="--store")
    if environment.get("KDCHECK_STORE"):
        return Location.parse(environment["KDCHECK_STORE"], origin="KDCHECK_STORE")
    tracking = environment.get("MLFLOW_TRACKING_URI")
    if not tracking:
        return Location.parse(DEFAULT, origin="default")
    if "://" not in tracking:
        raise EvidenceError(
            "store (MLFLOW_TRACKING_URI)",
            repr(tracking),
            "sqlite:///FILE or http(s)://HOST:PORT",
            "MLflow no longer keeps runs in plain folders; unset it, or give --store FOLDER.",
        )
    return Location.parse(tracking, origin="MLFLOW_TRACKING_URI")
