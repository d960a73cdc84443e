"""Which process owns a run, so that a run left behind by a dead one can be told apart."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

HOST, PID, BOOT, STARTED = "kdcheck.host", "kdcheck.pid", "kdcheck.boot", "kdcheck.started"
CONTROLLER = "kdcheck.controller"
"""Tag with the process that started a worker, and when that one began."""


def this_process() -> dict[str, str]:
    """Tags that name this process and no other, before or after it.

    A process id comes back after a while, and after a restart of the machine at once; the time the
    process started and the boot make it unique. Both are read from ``/proc`` and are empty where
    there is none.
    """
    return {
        HOST: platform.node(),
        PID: str(os.getpid()),
        BOOT: _boot(),
        STARTED: _started(os.getpid()),
    }


def is_this_process(tags: Mapping[str, str]) -> bool:
    """Whether the tags of a run name this process."""
    return this_process().items() <= tags.items()


def controller() -> dict[str, str]:
    """A tag that names the process that started this one."""
    parent = os.getppid()
    return {CONTROLLER: f"{parent} {_started(parent)}"}


def died_under_this_controller(tags: Mapping[str, str]) -> bool:
    """Whether a run's tags name another process of this one's controller, which has outlived it.

    Where a whole session was killed, nothing is known of what it would have come to.
    """
    here = {**controller(), **{name: this_process()[name] for name in (HOST, BOOT)}}
    return here.items() <= tags.items() and owner_is_alive(tags) is False


def owner_is_alive(tags: Mapping[str, str]) -> bool | None:
    """Whether the process that a run's tags name still lives; none if that cannot be known."""
    if tags.get(HOST) != platform.node():
        return None
    if tags.get(BOOT) != _boot():
        return False
    pid = int(tags[PID])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, under another user
    return tags.get(STARTED) == _started(pid)


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _started(pid: int) -> str:
    # Field 22 of stat(5), in clock ticks since the boot. The name in field 2 may hold spaces and
    # brackets, so count from its closing one. A zombie counts as dead.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
