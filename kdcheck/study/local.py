"""The local executor: worker processes on this machine, one device or one core each, and a display."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.errors import TrainingError
from kdcheck.study.cores import cores
from kdcheck.study.forked import ENVIRONMENT, LOST, Forked, Nursery
from kdcheck.study.progress import Display, status_file
from kdcheck.study.stopping import DIED, GRACE_SECONDS

if TYPE_CHECKING:
    from kdcheck.study.work import Job

Meanwhile = Callable[[frozenset[str]], object]
"""What is done while workers train, with the digests that they have trained so far."""
LOOK_SECONDS = 0.5
"""Between two looks at the workers."""

DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""One of them is there where CUDA can be: on Linux, on Linux within Windows, and where ROCm is."""

TRY_DEVICES = """
import torch
from kdcheck.engine.settings import room_on, starts_on
for index in range(torch.cuda.device_count()):
    if starts_on(f"cuda:{index}"):
        print(f"cuda:{index}\\n" * room_on(f"cuda:{index}"), end="", flush=True)
"""
"""Prints each device as soon as it has worked, so that one that ends the process hides none before;
and as often as it has room for a worker."""


class LocalExecutor:
    """Worker processes on this machine; each takes the next runnable recipe.

    They may be started before their job is known: what they import takes seconds. On Linux without
    CUDA it may be imported even before their number is known, by one process for all of them.

    By default there are as many as CUDA devices have room for, or else one per core over the threads
    that a recipe uses. They end with this process, however it ends. One that dies while it trains is
    replaced: the store counts how many died of a recipe, and gives it up in the end.
    """

    def __init__(self, folder: Path, workers: int | None = None) -> None:
        """Where locks, logs and the job are kept, and how many processes there are to be."""
        self._folder, self._workers = folder, workers
        self._nursery: Nursery | None = None
        self._processes: list[subprocess.Popen[str] | Forked] = []
        self._names: list[str] = []
        self._devices: list[list[str]] = []

    def import_ahead(self) -> None:
        """Have what workers import imported once, for them to be forked; :meth:`close` ends this too."""
        if self._nursery is None and sys.platform == "linux" and not _may_have_cuda():
            self._nursery = Nursery()

    def count(self, threads: int) -> int:
        """Number of processes for recipes that use so many threads each."""
        if self._workers is not None:
            return self._workers
        return len(cuda_devices()) or max(1, cores() // threads)

    def start(self, threads: int) -> None:
        """Start the processes, which wait for their job; :meth:`close` ends them."""
        (self._folder / "workers").mkdir(parents=True, exist_ok=True)
        devices, count = cuda_devices(), self.count(threads)
        self._names = [f"w{index}" for index in range(count)]
        self._devices = [[devices[i % len(devices)]] if devices else [] for i in range(count)]
        for name, device in zip(self._names, self._devices, strict=True):
            self._processes.append(self._start(name, device))

    def _start(self, name: str, device: list[str]) -> subprocess.Popen[str] | Forked:
        log = _log(self._folder, name)
        return self._nursery.fork(log, name) if self._nursery else _worker(log, name, device)

    def run(self, job: Job, display: Display, meanwhile: Meanwhile) -> None:
        """Hand the job to the workers and wait; if one cannot work, the others are stopped.

        Meanwhile what is trained so far is told, again and again.

        Raises:
            TrainingError: a worker ended with an error that is no recipe's fault, or died of none.
        """
        if not self._processes:
            self.start(max((order.recipe.threads for order in job.orders), default=1))
        for old in self._folder.glob("workers/*.json"):
            old.unlink()
        path = self._write(job)
        try:
            for process in self._processes:
                _tell(process, path)
            while unfinished := [each for each in self._processes if each.poll() != 0]:
                display.update()
                meanwhile(display.trained)
                self._replace_the_dead(path)
                with suppress(subprocess.TimeoutExpired):
                    unfinished[-1].wait(LOOK_SECONDS)
            display.update()
        finally:
            self.close()

    def _replace_the_dead(self, job: Path) -> None:
        """Put another worker in the place of each that died while it trained."""
        for index, process in enumerate(self._processes):
            code = process.poll()
            if not code:  # still at work, or done
                continue
            name = self._names[index]
            log = _log(self._folder, name)
            if not (_is_death(code) and status_file(self._folder, name).exists()):
                raise _cannot_work(name, code, log)
            print(f"\nkdcheck: worker {name} died while it trained ({_how(code)}, log {log})")
            process.communicate()  # closes its pipe
            base, _, number = name.partition(".")
            self._names[index] = f"{base}.{int(number or 0) + 1}"
            self._processes[index] = self._start(self._names[index], self._devices[index])
            _tell(self._processes[index], job)

    def _write(self, job: Job) -> Path:
        """The job as a file of its own: a session beside this one may share the folder."""
        text = json.dumps(job.to_dict())
        path = self._folder / f"job-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}")
            unfinished.touch(mode=0o600)  # the address of a server may hold a password
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        return path

    def close(self) -> None:
        """Stop whatever still runs; it resumes from its checkpoints another time."""
        for process in self._processes:
            process.terminate()
        for name, process in zip(self._names, self._processes, strict=True):
            try:
                process.communicate(timeout=GRACE_SECONDS)  # closes the pipe too
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            log = _log(self._folder, name)
            if log.exists() and not log.stat().st_size:
                log.unlink()
        self._processes, self._names = [], []
        if self._nursery:
            self._nursery.close()
            self._nursery = None


def _is_death(code: int) -> bool:
    """Whether a process ended in the middle of its work: by a signal, or by an error of no kind of ours."""
    return code < 0 or code == DIED


def _how(code: int) -> str:
    if code == LOST:
        return "no exit code, since the process that forked it ended before it"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _cannot_work(name: str, code: int, log: Path) -> TrainingError:
    last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
    got = f"{_how(code)}: {' '.join(last) or 'no message'}"
    step = f"The whole log is {log}; what is finished is kept, so start again after mending."
    return TrainingError(f"worker {name}", got, "every recipe trained", step)


@cache
def cuda_devices() -> tuple[str, ...]:
    """Devices that torch can start on, as it names them, one for each worker; none without CUDA.

    One worker leaves a device idle while its host prepares launches, so several share it where its
    memory allows. Each is named once before any is named again.

    Tried in a process of its own: CUDA must not be started in one that forks, and a device may end
    it. That costs seconds, so it is done once.
    """
    if not _may_have_cuda():
        return ()
    result = subprocess.run(
        [sys.executable, "-c", TRY_DEVICES], capture_output=True, text=True, check=False
    )
    names = result.stdout.split()
    turns = [names[:place].count(name) for place, name in enumerate(names)]
    return tuple(names[place] for place in sorted(range(len(names)), key=turns.__getitem__))


def _may_have_cuda() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES") != "" and any(map(Path.exists, DRIVERS))


def _log(folder: Path, name: str) -> Path:
    """Log of a worker: not that of a session beside this one, which has such workers too."""
    return folder / "workers" / f"{name}-{os.getpid()}.log"


def _worker(path: Path, name: str, device: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, **ENVIRONMENT}
    if device:
        # It sees its own alone, so that nothing of it, not even a context, lies on another.
        environment["CUDA_VISIBLE_DEVICES"] = _visible(*device)
        device = ["cuda:0"]
    with path.open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kdcheck.study.worker", name, *device],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            env=environment,
        )


def _visible(device: str) -> str:
    """What the variable calls a device that torch names by its place among the visible ones."""
    index = int(device.removeprefix("cuda:"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return str(index) if visible is None else visible.split(",")[index].strip()


def _tell(process: subprocess.Popen[str] | Forked, job: Path) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has died, and its log says why
        process.stdin.write(f"{job}\n")
        process.stdin.flush()
