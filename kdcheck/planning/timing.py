"""Hours on the device at hand, from a few timed steps of each kind of run and a study in small.

What is timed is timed by a clock that stands still while other work has the core, where the system
tells: seconds of a machine that nobody else uses. How much longer they were on the wall is kept beside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

from kdcheck import objectives
from kdcheck.errors import TrainingError
from kdcheck.places import Places
from kdcheck.planning.counts import Amount
from kdcheck.planning.overhead import Overhead
from kdcheck.study.cores import cores

Kind = tuple[str, str, str, int]
"""Encoder, task, precision, batch."""


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """What the parts of a run of one kind take, with as many workers side by side as will train."""

    prepare: float
    """To load and tokenise its task, once a worker."""
    cut: float
    """To cut its rows, once a worker and seed."""
    begin: float
    """Until its first step."""
    step: float
    look: float
    """Of a look at one split, however short it is."""
    look_token: float
    """Of a token that is looked at, with its share of the metrics."""
    digest: float
    """Of the digest of its weights, at a look."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What was measured on this machine."""

    device: str
    workers: int
    cores: int
    kinds: Mapping[Kind, Seconds]
    overhead: Overhead
    stretch: float = 1.0
    """How many times as long it all takes where other work has the cores, as it had meanwhile."""

    def run(self, amount: Amount) -> float:
        """Seconds of one run, from its begin to its place in the store."""
        of = self.kinds[amount.kind]
        read = self.overhead.get if amount.recipe.teacher is not None else 0.0
        return (
            of.begin
            + amount.steps * of.step
            + amount.looked_splits * of.look
            + amount.looked_tokens * of.look_token
            + amount.looks * of.digest
            + read
            + self.overhead.put
        )

    def seconds(self, parts: Iterable[Amount], claims: int) -> float:
        """Seconds of a whole study of these runs and claims on this machine, were it idle.

        Longest first, workers end together but for one run, so their work is shared evenly; of those
        without a core of their own some wait.
        """
        found = list(parts)
        tasks = {each.kind[:2]: self.kinds[each.kind] for each in found}
        cuts = {(*each.kind[:2], each.recipe.rows): self.kinds[each.kind].cut for each in found}
        own = sum(each.prepare for each in tasks.values()) + sum(cuts.values())
        around = self.overhead
        judging = around.judge_run * len(found) + around.judge_claim * claims
        training = sum(map(self.run, found)) / min(self.workers, self.cores)
        return around.before + own + training + judging + around.after

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        names = ("encoder", "task", "precision", "batch")
        kinds = [dict(zip(names, k, strict=True)) | asdict(v) for k, v in self.kinds.items()]
        return asdict(self) | {"kinds": kinds}


def measure(
    parts: Sequence[Amount],
    places: Places,
    overhead: Overhead,
    devices: Sequence[str],
    workers: int,
) -> Timing:
    """Time one recipe of each kind in so many processes at once.

    Args:
        parts: the runs of a graph whose recipes name the content that is at hand.
        places: where tasks and encoders are.
        overhead: measured before, without company.
        devices: names of the CUDA devices that the processes share; none: the CPU.
        workers: how many processes.

    Raises:
        TrainingError: a process ends without its times; the message has its last line.
    """
    recipes = list({each.kind: each.recipe for each in parts}.items())
    job = {
        "recipes": [recipe.to_dict() for _, recipe in recipes],
        "places": places.to_dict(),
        "modules": objectives.modules_of(recipe.objective for _, recipe in recipes),
    }
    processes = [_start() for _ in range(workers)]
    try:
        # Together, so that none times its steps while another still imports.
        assert [_read(process) for process in processes] == ["ready"] * workers
        for index, process in enumerate(processes):
            device = devices[index % len(devices)] if devices else "cpu"
            _write(process, job | {"device": device})
        rounds = [[_read(process) for process in processes] for _ in recipes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    names = [field.name for field in fields(Seconds)]
    kinds = {
        kind: Seconds(**{name: fmean(each[name] for each in taken) for name in names})
        for (kind, _), taken in zip(recipes, rounds, strict=True)
    }
    wall, waited = (
        sum(each[name] for taken in rounds for each in taken) for name in ("wall", "waited")
    )
    here = cores()
    return Timing(
        device=", ".join(devices) or "CPU",
        workers=workers,
        cores=here,
        kinds=kinds,
        overhead=overhead,
        # Where they are more than the cores they wait for each other, which is no other work.
        stretch=max(1.0, wall / (wall - waited) / max(1.0, workers / here)),
    )


def _start() -> subprocess.Popen[str]:
    # As workers are started: libraries read these before a recipe can set its threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(
        [sys.executable, "-m", "kdcheck.planning.timing_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _write(process: subprocess.Popen[str], job: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    if line := process.stdout.readline():
        return json.loads(line)
    _, said = process.communicate()
    last = " ".join(said.strip().splitlines()[-1:]) or "no message"
    got = f"exit code {process.returncode}: {last}"
    step = "Run one recipe by kdcheck train to see the whole error, or plan without --measure."
    raise TrainingError("plan --measure", got, "the times of every kind of run", step)
