"""The local executor: worker processes on this machine, one device or one core each, and a display."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from kdcheck.errors import TrainingError
from kdcheck.study.progress import Display
from kdcheck.study.work import Job

LOOK_SECONDS = 0.5
"""Between two looks at the workers."""


class Executor(Protocol):
    """Whatever can carry out a job: worker processes here, or a cluster elsewhere.

    Source: none.

    >>> issubclass(LocalExecutor, object)
    True
    """

    def run(self, job: Job, display: Display) -> None:
        """Return when every recipe of the job is in the store.

        Raises:
            TrainingError: a recipe could not be trained.
        """
        ...


class LocalExecutor:
    """Worker processes on this machine; each takes the next runnable recipe.

    Args:
        workers: how many; by default one per CUDA device, or else one per core over the threads
            that a recipe uses.

    Source: none.

    >>> LocalExecutor(workers=2).workers_for(Job(orders=(), store="s", folder=Path("w")))
    2
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    def workers_for(self, job: Job) -> int:
        """Number of processes that a job gets."""
        if self._workers is not None:
            return self._workers
        devices = cuda_devices()
        threads = max((order.recipe.threads for order in job.orders), default=1)
        return len(devices) or max(1, (os.cpu_count() or 1) // threads)

    def run(self, job: Job, display: Display) -> None:
        """Start the workers and wait; if one fails, the others are stopped."""
        job.folder.mkdir(parents=True, exist_ok=True)
        for old in job.folder.glob("workers/*.json"):
            old.unlink()
        path = job.folder / "job.json"
        path.write_text(json.dumps(job.to_dict()), encoding="utf-8")
        devices = cuda_devices()
        with _workers(path, self.workers_for(job), devices) as processes:
            while alive := [process for process in processes if process.poll() is None]:
                display.update()
                _raise_if_failed(processes, job.folder)
                with suppress(subprocess.TimeoutExpired):
                    alive[-1].wait(LOOK_SECONDS)
            _raise_if_failed(processes, job.folder)
            display.update()


def cuda_devices() -> list[str]:
    """Devices that may be used, as torch names them; none without CUDA.

    Source: none. Counted in a process of its own: CUDA must not be started in one that forks.

    >>> all(name.startswith("cuda:") for name in cuda_devices())
    True
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not Path("/dev/nvidiactl").exists():
        return []
    code = "import torch; print(torch.cuda.device_count())"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    count = int(result.stdout) if result.returncode == 0 else 0
    return [f"cuda:{index}" for index in range(count)]


@contextmanager
def _workers(job: Path, count: int, devices: list[str]) -> Iterator[list[subprocess.Popen[str]]]:
    logs = job.parent / "workers"
    logs.mkdir(exist_ok=True)
    # Libraries read these before a recipe can set its threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    processes = []
    try:
        for index in range(count):
            device = [devices[index % len(devices)]] if devices else []
            name = f"w{index}"
            with (logs / f"{name}.log").open("w", encoding="utf-8") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "kdcheck.study.worker", str(job), name, *device],
                        stdout=log,
                        stderr=log,
                        text=True,
                        env=environment,
                    )
                )
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _raise_if_failed(processes: list[subprocess.Popen[str]], folder: Path) -> None:
    for index, process in enumerate(processes):
        if process.poll() not in (None, 0):
            log = folder / "workers" / f"w{index}.log"
            last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
            raise TrainingError(
                f"worker w{index}",
                f"exit code {process.returncode}: {' '.join(last) or 'no message'}",
                "every recipe trained",
                f"The whole log is {log}; what is finished is kept, so start again after mending.",
            )
