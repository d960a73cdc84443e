"""Workers that are forked from one process: what they import, most of a start, is paid for once.

That process, :mod:`kdcheck.study.nursery`, imports while a study is planned, so nothing here is slow to
import. Where forks are unsafe, on other systems than Linux and beside CUDA, each is started by itself.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Of every worker: libraries read these before a recipe can set its threads."""
PROGRAM = ("-m", "kdcheck.study.nursery")
LOST = 255
"""In place of an exit code: that of a worker whose nursery has ended before it."""


class Nursery:
    """A process that forks workers once it has imported what they need; it ends with this one."""

    def __init__(self) -> None:
        """Start it."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, on a module of ours
                [sys.executable, *PROGRAM],
                stdin=theirs.fileno(),
                env={**os.environ, **ENVIRONMENT},
            )
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()

    def fork(self, log: Path, name: str) -> Forked:
        """A worker that waits for its job, as soon as there can be one."""
        stdin, ours = os.pipe()
        told, fate = os.pipe()
        with log.open("w", encoding="utf-8") as file:
            ends = [stdin, file.fileno(), fate]
            with suppress(OSError):  # it has ended, and with these ends closed the worker is lost
                socket.send_fds(self._socket, [json.dumps([name]).encode()], ends)
        os.close(stdin)
        os.close(fate)
        return Forked(self._process, ours, told)

    def close(self) -> None:
        """End it; its workers are ended by whoever has them."""
        self._socket.close()
        self._process.terminate()
        self._process.wait()


class Forked:
    """A worker that a nursery forks; it is used as a :class:`subprocess.Popen` is."""

    def __init__(self, nursery: subprocess.Popen[bytes], stdin: int, fate: int) -> None:
        """Who forks it, where its job is written to, and where its fate is told."""
        self.stdin = os.fdopen(stdin, "w", encoding="utf-8")
        self.returncode: int | None = None
        self._nursery, self._fate = nursery, fate
        self._told: dict[str, int] = {}

    @property
    def pid(self) -> int | None:
        """Its process, once there is one."""
        self.poll()
        return self._told.get("pid")

    def poll(self) -> int | None:
        """How it ended, or nothing yet: an exit code, or a signal as a negative one."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, once it has.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._fate], [], [], left)[0]:
                raise subprocess.TimeoutExpired("forked worker", timeout or 0)
            heard = os.read(self._fate, 64).decode()  # whole lines: a pipe takes so few at once
            for line in heard.splitlines():
                what, _, number = line.partition("=")
                self._told[what] = int(number)
            if "code" in self._told or not heard:
                self.returncode = self._told.get("code", LOST)
                os.close(self._fate)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> None:
        """Close its input and wait until it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.wait(timeout)

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is not None:
            return
        if (pid := self.pid) is None:  # it is not born yet, nor is any other
            self._nursery.send_signal(number)
        else:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
