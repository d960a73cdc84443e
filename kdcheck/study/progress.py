"""How far a study is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

SAID = b"kdcheck: "
"""How a line begins that is meant for the user, in the log of a worker."""
LINE_EVERY = 0.1
"""Share of the runs after which a line is printed where there is no terminal."""


class Display:
    """Shows runs done, running, left, and the time to go.

    Workers write into a folder how far they are; the store is not asked, which would cost them. Runs
    are counted by digest, so that one is one, whoever trained it and however often it is named.
    """

    def __init__(
        self,
        wanted: Collection[str],
        before: Collection[str],
        folder: Path,
        *,
        stream: TextIO | None = None,
    ) -> None:
        """Digests of the study's runs, those finished before it began, and the workers' folder."""
        self._wanted, self._before = frozenset(wanted), frozenset(wanted) & frozenset(before)
        self.trained: frozenset[str] = frozenset()
        """Those that were in the store, of this study's workers, when they were last looked at."""
        self._folder = folder
        self._stream = stream or sys.stdout
        self._started, self._last_line = time.monotonic(), -1
        self._bar: Progress | None = None
        self._read: dict[Path, int] = {}

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._bar = _bar(len(self._wanted))
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self) -> None:
        """Show the present state; cheap enough to be called several times a second."""
        self._pass_on()
        statuses = self._statuses()
        trained = self._wanted & {digest for status in statuses for digest in status["trained"]}
        self.trained = trained
        done, total = len(self._before | trained), len(self._wanted)
        if self._bar is not None:
            # By digest: one that was taken up from a worker that died is not counted twice.
            running = {
                status["digest"]: status["step"] / status["total"]
                for status in sorted(statuses, key=lambda each: float(each["step"]))
                if status["step"] < status["total"] and status["digest"] in self._wanted - trained
            }
            part = sum(running.values())
            self._bar.update(self._bar.task_ids[0], completed=done + part, running=len(running))
            return
        step = int(done / max(total, 1) / LINE_EVERY)
        if step > self._last_line:
            self._last_line = step
            elapsed = time.monotonic() - self._started
            text = f"training  {done}/{total}  {clock(elapsed)}{self._to_go(done, elapsed)}"
            print(text, file=self._stream, flush=True)

    def _pass_on(self) -> None:
        """Print what workers say to the user: their output is a log that nobody watches."""
        for log in self._folder.glob(f"workers/*-{os.getpid()}.log"):
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                lines = file.readlines()
            whole = [line for line in lines if line.endswith(b"\n")]
            self._read[log] = self._read.get(log, 0) + sum(map(len, whole))
            for line in whole:
                if line.startswith(SAID):
                    name = log.name.partition("-")[0]
                    text = line.removeprefix(SAID).decode(errors="replace").rstrip()
                    print(f"kdcheck: worker {name}: {text}", file=self._stream, flush=True)

    def _to_go(self, done: int, elapsed: float) -> str:
        here = done - len(self._before)
        if not here or done == len(self._wanted):
            return ""
        return f"  about {clock(elapsed / here * (len(self._wanted) - done))} to go"

    def _statuses(self) -> list[dict[str, Any]]:
        """What each worker last wrote: its recipe, steps taken and in all, and what it trained."""
        statuses = []
        for path in self._folder.glob("workers/*.json"):
            try:
                statuses.append(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError):  # being replaced this moment
                continue
        return statuses


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, as 9:41."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _bar(total: int) -> Progress:
    from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    counts = ("{task.completed:.0f}/{task.total:.0f}", "{task.fields[running]} running")
    progress = Progress(
        "training", BarColumn(), *counts, TimeElapsedColumn(), "to go", TimeRemainingColumn()
    )
    progress.add_task("training", total=total, running=0)
    return progress


def status_file(folder: Path, name: str) -> Path:
    """Where a worker says how far it is; there is none until it has begun to train."""
    return folder / "workers" / f"{name}.json"
