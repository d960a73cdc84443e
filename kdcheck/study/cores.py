"""How many cores this process may use: those it is bound to, and no more than its container is given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def cores(root: Path = Path("/")) -> int:
    """Cores by CPU affinity and by the quotas of the control groups around this process; at least 1.

    ``os.cpu_count()`` counts those of the machine: a container of two cores on a machine of 64 would
    start 64 workers. Half a core that is left over counts for nothing.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([bound or 1, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Cores that each group allows, of version 1 and 2; none where there are no control groups."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, group = line.split(":", 2)
        if number == "0":
            for folder in _upwards(root / "sys/fs/cgroup", group):
                yield from _cores_of(*_read(folder / "cpu.max").split())
        elif "cpu" in controllers.split(","):
            for name in ("cpu", "cpu,cpuacct"):
                for folder in _upwards(root / "sys/fs/cgroup" / name, group):
                    quota = _read(folder / "cpu.cfs_quota_us")
                    yield from _cores_of(quota, _read(folder / "cpu.cfs_period_us"))


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """The folder of a group and those around it, whose limits hold as well.

    Inside a container its own group is the top, whatever the name that the host gives it.
    """
    folder = mount / group.strip("/")
    yield from (folder, *(each for each in folder.parents if each.is_relative_to(mount)))


def _cores_of(quota: str = "", period: str = "") -> Iterator[float]:
    """A quota over its period, both in microseconds; ``max`` and -1 are none."""
    if quota.strip().isdigit() and period.strip().isdigit():
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
