"""What of a machine stands in the way of a study: its libraries, memory, cores, disks and network.

Each check takes a moment, changes nothing, and says what mends it. Nothing heavy is imported at the top:
a torch that cannot be imported is what a check is there to find.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from kdcheck.errors import KdcheckError
from kdcheck.evidence.network import network_kind
from kdcheck.places import Location, check_writable
from kdcheck.study.cores import cores
from kdcheck.study.local import DRIVERS

PYTHON = (3, 11)
WORKER_BYTES = 1.3e9
"""Of memory, of one worker of the embedded scale at its most, as measured."""
HUB = "https://huggingface.co"
HUB_SECONDS = 3.0
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
INSTALL = ".venv/bin/pip install -e ."


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; the default scale runs without it."""
    RED = "RED"
    """It stands in the way of the default scale."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor."""

    what: str
    state: State
    said: str
    mend: str = ""
    """The command that mends it."""


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """The interpreter."""
    shown = ".".join(map(str, version))
    if version[:2] >= PYTHON:
        return Check("Python", State.OK, f"{shown}, {platform.platform()}")
    wanted = ".".join(map(str, PYTHON))
    return Check(
        "Python", State.RED, f"{shown}; {wanted} is needed", f"python{wanted} -m venv .venv"
    )


def check_library(name: str, package: str, mend: str = INSTALL, *, needed: bool = True) -> Check:
    """Whether a library can be imported, and its version."""
    try:
        importlib.import_module(name)
        return Check(package, State.OK, metadata.version(package))
    except (ImportError, OSError, RuntimeError, metadata.PackageNotFoundError) as error:
        said = f"cannot be imported: {type(error).__name__}: {error}"
        return Check(package, State.RED if needed else State.NOTE, said, mend)


def check_accelerator(
    devices: tuple[str, ...],
    build: str,
    drivers: tuple[Path, ...] = DRIVERS,
    version: Path = NVIDIA_DRIVER,
) -> Check:
    """Devices that torch can start on, its build, and the driver.

    Args:
        devices: as torch names them, each tried.
        build: of torch, such as ``CUDA 12.8``, ``ROCm 6.4`` or ``CPU``.
        drivers: files of which one is there where a device can be.
        version: where the driver says its own.
    """
    driver = f"driver {_first_line(version) or 'unknown'}"
    if devices:
        return Check("GPU", State.OK, f"{', '.join(devices)}; {build} build of torch, {driver}")
    if any(map(Path.exists, drivers)):
        said = f"{driver}, and the {build} build of torch can start on no device"
        mend = ".venv/bin/pip install --force-reinstall torch  # a build for that driver, or: nvidia-smi"
        return Check("GPU", State.NOTE, said, mend)
    return Check("GPU", State.OK, f"none, no driver; {build} build of torch: the CPU trains")


def check_cores(root: Path = Path("/")) -> Check:
    """Cores that may be used, of those that there are."""
    here, all_ = cores(root), os.cpu_count() or 1
    less = (
        "" if here == all_ else f" of {all_}: the others are kept from it by affinity or a cgroup"
    )
    return Check("cores", State.OK, f"{here}{less}, so {here} workers of one thread")


def check_memory(workers: int, root: Path = Path("/")) -> Check:
    """Memory for so many workers, by the machine and by the control group."""
    free = min([_available(root), *_limit(root)])
    if free >= WORKER_BYTES * workers:
        return Check("memory", State.OK, f"{free / 1e9:.1f} GB free")
    fit = int(free // WORKER_BYTES)
    said = f"{free / 1e9:.1f} GB free, for {workers} workers of {WORKER_BYTES / 1e9:.1f} GB"
    mend = (
        f"pytest claims/ --workers {fit}" if fit else "free some memory: ps aux --sort=-rss | head"
    )
    return Check("memory", State.RED, said, mend)


def check_store(
    place: Location, need: float, open_it: Callable[[Location], object], free: float | None = None
) -> Check:
    """The store: a local disk with room, or a server that answers.

    Args:
        place: where it is or will be.
        need: bytes that the default scale leaves there.
        open_it: opens a store that exists, or raises.
        free: bytes free there; by default as the system says.
    """
    mend = "pytest claims/ --store ~/kdcheck-store  # a folder on a disk of this machine"
    if place.is_local and (kind := network_kind(place.folder)):
        said = f"{place} is on a network file system ({kind}), where sqlite breaks in silence"
        return Check("store", State.RED, said, mend)
    try:
        if place.is_local:
            check_writable("store", place.folder / "store")
        if not place.is_new:
            open_it(place)
    except KdcheckError as error:
        return Check("store", State.RED, str(error), mend)
    if not place.is_local:
        return Check("store", State.OK, f"{place}, a server that answers")
    room = shutil.disk_usage(_existing(place.folder)).free if free is None else free
    said = f"{place}, {'to be made' if place.is_new else 'there'}, {room / 1e9:.1f} GB free"
    if room < need:
        return Check("store", State.RED, f"{said}, {need / 1e9:.1f} GB needed", mend)
    return Check("store", State.OK, said)


def check_hub(address: str = "", seconds: float = HUB_SECONDS) -> Check:
    """Whether the hub answers; the default scale does not ask it."""
    address = address or os.environ.get("HF_ENDPOINT") or HUB
    mend = "--data-dir DATA --model-dir MODELS  # two folders, filled where there is a network"
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return Check("hub", State.NOTE, "switched off by HF_HUB_OFFLINE", mend)
    if not address.startswith(("http://", "https://")):
        return Check("hub", State.NOTE, f"HF_ENDPOINT is {address!r}, no http(s) address", mend)
    try:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - https, or as the user set it
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
            return Check("hub", State.OK, f"{address} answers")
    except urllib.error.HTTPError as error:
        return Check("hub", State.OK, f"{address} answers ({error.code})")
    except (OSError, ValueError) as error:
        return Check("hub", State.NOTE, f"{address} does not answer: {error}", mend)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _available(root: Path) -> float:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return float("inf")  # another system than Linux


def _limit(root: Path) -> list[float]:
    """What the control group leaves, of version 2 and 1; a limit beyond the machine is none."""
    found = []
    for folder, limit, used in (
        ("sys/fs/cgroup", "memory.max", "memory.current"),
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        texts = [_first_line(root / folder / name) for name in (limit, used)]
        if all(text.isdigit() for text in texts):
            found.append(float(int(texts[0]) - int(texts[1])))
    return found


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
