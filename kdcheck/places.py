"""Where everything is: one object for store, data, models, cache and work, and who decides each."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from kdcheck.errors import EvidenceError, OptionError

DATABASE = "mlflow.db"
SQLITE = "sqlite:///"
OWN = Path(".kdcheck")
"""In the root folder: store and work folder, where nobody named others."""
FOLDERS = ("data_dir", "model_dir", "cache_dir")


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a store is: a folder on this machine, or a tracking server."""

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
            database = _database(text, origin)
        elif text.startswith(("http://", "https://")):
            if not _names_a_server(text):
                # The address is not repeated: what stands for its port may be half a password.
                got = "an address without a host, or with a port that is no number"
                next_step = "Correct it; in a password write / and @ as %2F and %40."
                raise EvidenceError(f"store ({origin})", got, "http(s)://HOST:PORT", next_step)
            return cls(uri=text.rstrip("/"), database=None, origin=origin)
        elif not text or ":" in text.split("/", maxsplit=1)[0]:
            got, wanted = (
                without_credentials(repr(text)),
                "a folder, sqlite:///FILE, or http(s)://HOST:PORT",
            )
            next_step = (
                "For another database start 'mlflow server' on it and give its http address."
            )
            raise EvidenceError(f"store ({origin})", got, wanted, next_step)
        else:
            database = _absolute(_expanded(text, origin)) / DATABASE
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


@dataclass(frozen=True, kw_only=True)
class Places:
    """Everything that is read or written, resolved once; it goes to workers as it is."""

    store: Location
    work: Path
    """Locks, checkpoints and progress: shared by all who train for one store on this machine."""
    data_dir: Path | None = None
    """Tasks as files, where they are not packaged."""
    model_dir: Path | None = None
    """Encoders as files, where they come from no hub or package."""
    cache_dir: Path | None = None
    """Where fetched files are kept; none: as $KDCHECK_CACHE says."""

    @classmethod
    def resolve(
        cls,
        *,
        store: Path | str | None = None,
        data_dir: Path | None = None,
        model_dir: Path | None = None,
        cache_dir: Path | None = None,
        work: Path | None = None,
        root: Path = Path(),
        environment: Mapping[str, str] = os.environ,
    ) -> Places:
        """Each place as its option says; the store, else, as the environment does or in the root.

        Raises:
            EvidenceError: the address of the store cannot be used.
        """
        location = _store(store, root, environment)
        folders = {"data_dir": data_dir, "model_dir": model_dir, "cache_dir": cache_dir}
        return cls(store=location, work=work or _work_beside(location, root.absolute()), **folders)

    def to_dict(self) -> dict[str, Any]:
        """JSON values for a worker's job; the address is whole there, password included."""
        folders = {name: path and str(path) for name in FOLDERS for path in [getattr(self, name)]}
        store = {"uri": self.store.uri, "origin": self.store.origin}
        return {"store": store, "work": str(self.work), **folders}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Places:
        """The places that :meth:`to_dict` wrote."""
        return cls(
            store=Location.parse(values["store"]["uri"], origin=values["store"]["origin"]),
            work=Path(values["work"]),
            **{name: values[name] and Path(values[name]) for name in FOLDERS},
        )


def _store(option: Path | str | None, root: Path, environment: Mapping[str, str]) -> Location:
    if option is not None:
        return Location.parse(option, origin="--store")
    if environment.get("KDCHECK_STORE"):
        return Location.parse(environment["KDCHECK_STORE"], origin="KDCHECK_STORE")
    tracking = environment.get("MLFLOW_TRACKING_URI")
    if not tracking:
        return Location.parse(root / OWN / "store", origin="default")
    if "://" not in tracking:
        who, wanted = "store (MLFLOW_TRACKING_URI)", "sqlite:///FILE or http(s)://HOST:PORT"
        next_step = (
            "MLflow no longer keeps runs in plain folders; unset it, or give --store FOLDER."
        )
        raise EvidenceError(who, repr(tracking), wanted, next_step)
    return Location.parse(tracking, origin="MLFLOW_TRACKING_URI")


def _work_beside(store: Location, root: Path) -> Path:
    """Beside a local store, so that whoever trains for it sees the same locks; never inside it."""
    if store.is_local and not root.is_relative_to(store.folder):
        beside = store.folder.with_name("work")
        if beside != store.folder:
            return beside
    return root / OWN / "work"


def without_credentials(text: str) -> str:
    """The text without the user and password of the addresses in it."""
    return re.sub(r"://[^/\s]*@", "://", text)


def _database(text: str, origin: str) -> Path:
    """The file of an address of sqlite."""
    name = text.removeprefix(SQLITE)
    if not name or os.path.isdir(name):  # noqa: PTH112 - pathlib's raises where a name is too long
        wanted = f"{SQLITE}FILE, with the name of a file"
        step = f"As {SQLITE}store/{DATABASE}; or give the folder by its name alone."
        raise EvidenceError(f"store ({origin})", repr(text), wanted, step)
    return _absolute(name)


def _expanded(text: str, origin: str) -> Path:
    """With the home folder for ~, of this user or of another."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        step = "Write the path in full; a folder whose name begins with ~ is ./~NAME."
        who, wanted = f"store ({origin})", "a home folder that this machine knows"
        raise EvidenceError(who, repr(text), wanted, step) from error


def _absolute(path: Path | str) -> Path:
    """Without .. in it: MLflow keeps the text, which must be the same from every folder."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - pathlib's keeps .. or follows links


def _names_a_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0  # reading the port checks it
    except ValueError:
        return False


def stays_inside(name: str) -> bool:
    """Whether a name, joined to a folder, leads to something in that folder on every system."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        return False
    return "\\" not in name and ":" not in name  # on Windows these lead elsewhere too


def check_writable(option: str, place: Path) -> None:
    """Refuse a place that cannot be written; asked before hours of training, not after.

    Raises:
        OptionError: nothing can be written there, not even the folder that it is to be in.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Permissions alone do not tell: the disk may be mounted read-only, or be another machine's.
        tempfile.TemporaryDirectory(dir=place.parent, prefix=".kdcheck-").cleanup()
    except OSError as error:
        wanted, next_step = (
            "a place that can be written",
            "Name one in a folder that you may write to.",
        )
        raise OptionError(f"{option} {place}", str(error), wanted, next_step) from error
