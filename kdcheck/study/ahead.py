"""What claims read of runs, known before they are trained, and taken as they finish."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from kdcheck.claims import Contrast, Reading
from kdcheck.evidence.judged import RunTable
from kdcheck.study.readings import Readings

MOST_SECONDS = 0.5
"""After which no other run is begun to be read."""


class Asked:
    """By digest of a run, what claims read of it."""

    def __init__(self) -> None:
        self._readings: dict[str, set[Reading]] = {}
        self._taken: set[str] = set()

    def add(self, contrast: Contrast, table: RunTable) -> None:
        """Note what a contrast reads of its runs."""
        for reading in contrast.readings():
            for digest in table.of(reading.arm):
                self._readings.setdefault(digest, set()).add(reading)

    def has_curve(self, digest: str) -> bool:
        """Whether earlier points of a run are read."""
        return any(reading.point != "last" for reading in self._readings.get(digest, ()))

    def take(self, finished: Iterable[str], readings: Readings) -> None:
        """Take the readings of runs that are finished; whoever judges them finds them taken.

        For a moment, and then the rest another time: whoever looks after workers does it in between,
        and a store may be slow to answer.
        """
        end = time.monotonic() + MOST_SECONDS
        for digest in set(finished) - self._taken:
            if time.monotonic() > end:
                return
            self._taken.add(digest)
            # Whatever is wrong with a run is said when it is judged: a reading that fails is not kept.
            with suppress(Exception):
                for reading in self._readings.get(digest, ()):
                    readings.value(reading, digest)
