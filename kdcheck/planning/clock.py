"""A clock that stands still while the thread that asks is ready to run and other work has its core."""

from __future__ import annotations

import time
from pathlib import Path

SCHEDSTAT = Path("/proc/thread-self/schedstat")


def waited(schedstat: Path = SCHEDSTAT) -> float:
    """Seconds that a thread was ready to run and got no core; 0 where the system does not count them."""
    try:
        return int(schedstat.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def seconds() -> float:
    """Seconds of this thread, as on a machine that nobody else uses."""
    return time.perf_counter() - waited()
