"""Files of the Hugging Face hub: pinned by revision and sha256, fetched into a folder, checked when read.

Pins lie in two places: those that kdcheck ships (``hub_pins.json``, written by ``fetch --pin``), and beside
what was fetched (``pins.json``), which says what the files were then. A file that is neither is said to be
unpinned wherever a result rests on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

from kdcheck.border import MOST_TEXT, json_of, read_file
from kdcheck.errors import FetchError

SHIPPED = Path(__file__).with_name("hub_pins.json")
BESIDE = "pins.json"
"""Name of the file beside what was fetched."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What the files of a name must be."""

    repository: str
    """On the hub, as ``google-bert/bert-base-uncased``."""
    revision: str
    """Commit of the repository."""
    files: Mapping[str, str]
    """Name of each file in its folder here: its sha256."""


def shipped(name: str, pins: Path | None = None) -> Pin | None:
    """The pin that kdcheck ships for an encoder or a task, if it has one."""
    return _read(pins or SHIPPED).get(name)


def check(name: str, folder: Path, *, pins: Path | None = None) -> str:
    """Refuse files in a folder that are not as they are pinned, or not as they were fetched.

    Args:
        name: of the encoder or task.
        folder: where its files are.
        pins: a file of pins instead of the one that kdcheck ships.

    Returns:
        A sentence to stand beside results where kdcheck ships no pin; empty where it does.

    Raises:
        FetchError: a file is missing or has other content; the message names it.

    >>> check("a-task", Path("nowhere"))
    "a-task is unpinned: nothing says whether its files are the hub's."
    """
    own = _read(folder / BESIDE).get(name)
    fixed = shipped(name, pins)
    for pin, whose in ((fixed, "as pinned"), (own, "as it was fetched")):
        for file, digest in pin.files.items() if pin else ():
            _check_file(name, folder / file, digest, whose)
    if fixed is not None:
        return ""
    if own is None:
        return f"{name} is unpinned: nothing says whether its files are the hub's."
    return f"{name} is unpinned: its files are those of {own.repository}, revision {own.revision[:12]}, as fetched."


def _check_file(name: str, path: Path, digest: str, whose: str) -> None:
    who = f"{name}, {path.name}"
    step = f"Fetch it again into {path.parent}, or take {BESIDE} away if the change is meant."
    if not path.is_file():
        raise FetchError(who, f"no file {path}", f"the file {whose}", step)
    if (found := _sha256_of(path)) != digest:
        got, wanted = f"sha256 {found[:16]}", f"{digest[:16]}, {whose}"
        raise FetchError(who, got, wanted, f"It was changed. {step}")


def fetch(
    name: str,
    repository: str,
    kind: str,
    files: Mapping[str, str],
    folder: Path,
    *,
    pins: Path | None = None,
    pin: bool = False,
) -> Pin:
    """Bring files of the hub into a folder, at the pinned revision if there is one, and check them.

    Args:
        name: of the encoder or task.
        repository: on the hub.
        kind: ``model`` or ``dataset``.
        files: name of each file here, and the pattern that exactly one file of the repository has.
        folder: where they go; all are complete and checked before the first takes its place.
        pins: a file of pins instead of the one that kdcheck ships.
        pin: whether to write what was fetched into that file.

    Returns:
        What was fetched; it is also written beside the files.

    Raises:
        FetchError: the hub cannot be reached, lacks a file, or serves other content than is pinned.
    """
    fixed = shipped(name, pins)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as temporary:
            revision = fixed.revision if fixed else None
            revision = _download(repository, kind, files, revision, temporary)
            sums = {file: _sha256_of(Path(temporary) / file) for file in files}
            for file, digest in fixed.files.items() if fixed else ():
                _check_file(name, Path(temporary) / file, digest, "as pinned")
            for file in files:
                (Path(temporary) / file).replace(folder / file)
        found = Pin(repository=repository, revision=revision, files=sums)
        _write(folder / BESIDE, {name: found})
        if pin:
            _write(pins or SHIPPED, {**_read(pins or SHIPPED), name: found})
    except OSError as error:
        step = "Name another folder, or look at the rights and the room of this one."
        raise FetchError(f"fetch {name}", str(error), f"room to write {folder}", step) from error
    return found


def _download(
    repository: str, kind: str, files: Mapping[str, str], revision: str | None, into: str
) -> str:
    """Copy the files under their names here; the commit that they are of."""
    from huggingface_hub import HfApi, hf_hub_download

    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        info = HfApi(endpoint=endpoint).repo_info(repository, repo_type=kind, revision=revision)
        names = [each.rfilename for each in getattr(info, "siblings", None) or ()]
        for file, pattern in files.items():
            remote = _the_one(repository, names, pattern)
            # Not through the client's cache, which would keep a second copy of each.
            got = hf_hub_download(
                repository,
                remote,
                repo_type=kind,
                revision=info.sha,
                endpoint=endpoint,
                local_dir=into,
            )
            Path(got).replace(Path(into) / file)
    except FetchError:
        raise
    except Exception as error:  # the hub client raises a dozen kinds; each means: not to be had
        got = (
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        )
        wanted = f"{', '.join(files.values())}{f' at revision {revision}' if revision else ''}"
        step = "Check the connection, or fetch on a machine that has one and copy the folder."
        raise FetchError(f"hub, {repository}", got, wanted, step) from error
    return str(info.sha)


def _the_one(repository: str, names: list[str], pattern: str) -> str:
    found = [name for name in names if fnmatch(name, pattern)]
    if len(found) != 1:
        got = f"{len(found)} files like {pattern!r}"
        step = "The repository was laid out anew: say so where this came from."
        raise FetchError(f"hub, {repository}", got, "exactly one", step)
    return found[0]


def _read(path: Path) -> dict[str, Pin]:
    try:
        content = json_of(read_file(path, limit=MOST_TEXT))
        return {name: _checked(Pin(**pin)) for name, pin in content.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        step = "Fetch the files again, or take it back from version control."
        raise FetchError(f"pins {path}", str(error), "names with pins, as JSON", step) from error


def _checked(pin: Pin) -> Pin:
    texts = (pin.repository, pin.revision, *pin.files, *pin.files.values())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{asdict(pin)}"[:200])
    return pin


def _write(path: Path, pins: Mapping[str, Pin]) -> None:
    content = {name: asdict(pin) for name, pin in pins.items()}
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
