"""The local executor: worker processes on this machine, one device or one core each, and a display."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from kdcheck.errors import TrainingError
from kdcheck.study.progress import Display
from kdcheck.study.work import Job

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

    They may be started before their job is known: what they import takes seconds. By default there
    are as many as CUDA devices have room for, or else one per core over the threads that a recipe uses.
    """

    def __init__(self, folder: Path, workers: int | None = None) -> None:
        """Where locks, logs and the job are kept, and how many processes there are to be."""
        self._folder, self._workers = folder, workers
        self._processes: list[subprocess.Popen[str]] = []

    def count(self, threads: int) -> int:
        """Number of processes for recipes that use so many threads each."""
        if self._workers is not None:
            return self._workers
        return len(cuda_devices()) or max(1, (os.cpu_count() or 1) // threads)

    def start(self, threads: int) -> None:
        """Start the processes, which wait for their job; :meth:`close` ends them."""
        (self._folder / "workers").mkdir(parents=True, exist_ok=True)
        devices = cuda_devices()
        for index in range(self.count(threads)):
            device = [devices[index % len(devices)]] if devices else []
            self._processes.append(_worker(_log(self._folder, index), f"w{index}", device))

    def run(self, job: Job, display: Display) -> None:
        """Hand the job to the workers and wait; if one fails, the others are stopped."""
        if not self._processes:
            self.start(max((order.recipe.threads for order in job.orders), default=1))
        for old in self._folder.glob("workers/*.json"):
            old.unlink()
        path = self._write(job)
        try:
            for process in self._processes:
                _tell(process, path)
            while alive := [process for process in self._processes if process.poll() is None]:
                display.update()
                self._raise_if_failed()
                with suppress(subprocess.TimeoutExpired):
                    alive[-1].wait(LOOK_SECONDS)
            self._raise_if_failed()
            display.update()
        finally:
            self.close()

    def _raise_if_failed(self) -> None:
        for index, process in enumerate(self._processes):
            if process.poll() not in (None, 0):
                log = _log(self._folder, index)
                last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
                got = f"exit code {process.returncode}: {' '.join(last) or 'no message'}"
                step = f"The whole log is {log}; what is finished is kept, so start again after "
                step += "mending."
                raise TrainingError(f"worker w{index}", got, "every recipe trained", step)

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
        for index, process in enumerate(self._processes):
            process.communicate()  # closes the pipe too
            log = _log(self._folder, index)
            if log.exists() and not log.stat().st_size:
                log.unlink()
        self._processes = []


@cache
def cuda_devices() -> tuple[str, ...]:
    """Devices that torch can start on, as it names them, one for each worker; none without CUDA.

    One worker leaves a device idle while its host prepares launches, so several share it where its
    memory allows. Each is named once before any is named again.

    Tried in a process of its own: CUDA must not be started in one that forks, and a device may end
    it. That costs seconds, so it is done once.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not any(map(Path.exists, DRIVERS)):
        return ()
    result = subprocess.run(
        [sys.executable, "-c", TRY_DEVICES], capture_output=True, text=True, check=False
    )
    names = result.stdout.split()
    turns = [names[:place].count(name) for place, name in enumerate(names)]
    return tuple(names[place] for place in sorted(range(len(names)), key=turns.__getitem__))


def _log(folder: Path, index: int) -> Path:
    """Log of a worker: not that of a session beside this one, which has such workers too."""
    return folder / "workers" / f"w{index}-{os.getpid()}.log"


def _worker(path: Path, name: str, device: list[str]) -> subprocess.Popen[str]:
    # Libraries read these before a recipe can set its threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
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


def _tell(process: subprocess.Popen[str], job: Path) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has died, and its log says why
        process.stdin.write(f"{job}\n")
        process.stdin.flush()
