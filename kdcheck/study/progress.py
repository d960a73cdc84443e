"""How far a study is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY = 0.1
"""Share of the runs after which a line is printed where there is no terminal."""


class Display:
    """Shows runs done, running, left, and the time to go.

    Args:
        total: runs of the study.
        before: how many of them were finished before it began.
        folder: where workers write how far they are; the store is not asked, which would cost them.
        stream: where to show it.

    Source: none.

    >>> import io
    >>> stream = io.StringIO()
    >>> with Display(2, 2, Path("none"), stream=stream) as display:
    ...     display.update()
    >>> stream.getvalue().startswith("training  2/2")
    True
    """

    def __init__(
        self, total: int, before: int, folder: Path, *, stream: TextIO | None = None
    ) -> None:
        self._total, self._before, self._folder = total, before, folder
        self._stream = stream or sys.stdout
        self._started = time.monotonic()
        self._last_line = -1
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._bar = _bar(self._total)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self) -> None:
        """Show the present state; cheap enough to be called several times a second."""
        statuses = self._statuses()
        done = self._before + sum(status["trained"] for status in statuses)
        if self._bar is not None:
            running = [s["step"] / s["total"] for s in statuses if s["step"] < s["total"]]
            self._bar.update(
                self._bar.task_ids[0], completed=done + sum(running), running=len(running)
            )
            return
        step = int(done / max(self._total, 1) / LINE_EVERY)
        if step > self._last_line:
            self._last_line = step
            elapsed = time.monotonic() - self._started
            text = f"training  {done}/{self._total}  {clock(elapsed)}{self._to_go(done, elapsed)}"
            print(text, file=self._stream, flush=True)

    def _to_go(self, done: int, elapsed: float) -> str:
        here = done - self._before
        if not here or done == self._total:
            return ""
        return f"  about {clock(elapsed / here * (self._total - done))} to go"

    def _statuses(self) -> list[dict[str, int]]:
        """What each worker last wrote: steps taken and in all, and runs it has trained."""
        statuses = []
        for path in self._folder.glob("workers/*.json"):
            try:
                statuses.append(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError):  # being replaced this moment
                continue
        return statuses


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds.

    Source: none.

    >>> clock(581)
    '9:41'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _bar(total: int) -> Progress:
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[running]} running"),
        TimeElapsedColumn(),
        TextColumn("to go"),
        TimeRemainingColumn(),
    )
    progress.add_task("training", total=total, running=0)
    return progress
