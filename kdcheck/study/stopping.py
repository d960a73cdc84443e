"""How a process that trains is asked to end: by SIGTERM, or since whoever started it has ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

LOOK_SECONDS = 0.2
"""Between two looks at who started this process."""
GRACE_SECONDS = 30.0
"""From SIGTERM until a process is ended whatever it does: enough for a step and a checkpoint."""
EXIT_CODE = 128 + signal.SIGTERM
"""As a shell reports a process that SIGTERM ended."""
DIED = 70
"""Exit code of a worker that met an error of no kind of ours: it counts as dead, not as refused."""


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM has come since; a second one ends the process at once, as it would have.

    Python runs handlers in the main thread alone, so in another nothing is caught.
    """
    asked = threading.Event()

    def ask(*_: object) -> None:
        if asked.is_set():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before: Any = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_controller(pipe: TextIO) -> None:
    """Ask this process to end once nobody holds the other end of a pipe, however that one ended.

    The kernel closes the pipes of a process that is killed, on every system; only the one
    that controls this process holds the other end. Read as a bare descriptor, whose reader may be cut off at exit.
    """

    def until_closed() -> None:
        while os.read(pipe.fileno(), 1024):
            pass

    _end_after(until_closed)


def end_with_parent() -> None:
    """Ask this process to end once the one that started it has ended, where its pipes are another's to read.

    The kernel gives an orphan another parent; Windows does not, and nothing is noticed there.
    """
    parent = os.getppid()

    def until_orphaned() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)

    _end_after(until_orphaned)


def _end_after(wait: Callable[[], None]) -> None:
    """Ask this process to end once a wait is over, and end it in the end."""

    def watch() -> None:
        wait()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(EXIT_CODE)

    threading.Thread(target=watch, name="ends with its controller", daemon=True).start()
