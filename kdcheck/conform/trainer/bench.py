"""The bench on which a trainer is run: one job after the other, each with its own log."""

# M test rows, K classes

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdcheck.conform.trainer.job import Job, Trainer
from kdcheck.conform.trainer.probes import Log, Place, Student, Teacher, digest_of
from kdcheck.conform.trainer.tiny_rows import CLASSES, Collate, Rows, tiny_rows
from kdcheck.errors import ShapeError

CERTAIN = 400.0
"""A logit per word beside which the others have no probability left, in any precision."""
DROPOUT = 0.2


@dataclass(frozen=True)
class Run:
    """What a job came to."""

    job: Job
    posteriors_MK: Tensor
    log: Log
    teacher_before: str
    """Digest of the teacher's parameters and buffers before."""

    @property
    def order(self) -> list[Place]:
        """Rows that the student was trained on, one after the other."""
        return [place for lesson in self.log.lessons for place in lesson.places_N]


class Bench:
    """Runs a trainer on jobs that are alike but for the named changes; equal jobs are run once.

    Args:
        trainer: under check.
        folder: for checkpoints.
        seed: of the data, the teacher and the parameters.
    """

    def __init__(self, trainer: Trainer, folder: Path, seed: int) -> None:
        self._trainer, self._folder, self._runs = trainer, folder, dict[str, Run]()
        self._count = 0
        rng = np.random.default_rng(seed)
        self.splits = tiny_rows(seed)
        self.alpha = round(rng.uniform(0.3, 0.7), 2)
        self.seeds = tuple(int(each) for each in rng.choice(10**6, size=2, replace=False))
        self.new_class = tuple(int(k) for k in np.roll(range(CLASSES), rng.integers(1, CLASSES)))
        knows_KK = torch.eye(CLASSES)
        unsure_KK = torch.from_numpy(rng.normal(0.0, 0.4, (CLASSES, CLASSES))).float()
        self.teachers = {
            "soft": 2.0 * knows_KK + unsure_KK,
            "uniform": 0.0 * knows_KK,
            "one-hot": CERTAIN * knows_KK,
            "another": 2.0 * knows_KK[list(self.new_class)] + unsure_KK,
        }

    def run(
        self, *, teacher: str = "soft", dropout: float = 0.0, permuted: bool = False, **changes: Any
    ) -> Run:
        """The run of a distillation, with these changes to its job."""
        key = repr((teacher, dropout, permuted, sorted(changes.items())))
        if key not in self._runs:
            self._runs[key] = self.run_anew(
                teacher=teacher, dropout=dropout, permuted=permuted, **changes
            )
        return self._runs[key]

    def run_anew(
        self, *, teacher: str = "soft", dropout: float = 0.0, permuted: bool = False, **changes: Any
    ) -> Run:
        """The same, also where that job was run before."""
        self._count += 1
        _strew(self._count)  # who sets no seed finds another state each time
        splits, says_KK = self.splits, self.teachers[teacher]
        if permuted:
            splits = {name: rows.relabelled(self.new_class) for name, rows in splits.items()}
            says_KK = torch.empty_like(says_KK).index_copy_(
                1, torch.tensor(self.new_class), says_KK
            )
        log = Log(splits)
        job = self._job(splits, log, Teacher(log, says_KK), dropout, changes)
        before = digest_of(job.teacher) if job.teacher is not None else ""
        job.folder.mkdir(parents=True, exist_ok=True)
        posteriors_MK = self._trainer(job)
        return Run(job, _checked(posteriors_MK, len(job.test)), log, before)

    def _job(
        self,
        splits: Mapping[str, Rows],
        log: Log,
        teacher: Teacher,
        dropout: float,
        changes: dict[str, Any],
    ) -> Job:
        method = changes.get("method", "kd")
        usual: dict[str, Any] = {
            "method": method,
            "alpha": 0.0 if method == "erm" else self.alpha,
            "temperature": 2.0 if method == "kd" else 1.0,
            "teacher": teacher if method == "kd" else None,
            "seed": self.seeds[0],
            "folder": self._folder / str(self._count),
            "collate": Collate(changes.pop("pad_to", 0)),
        }
        return Job(**splits, make_student=partial(Student, log, dropout), **(usual | changes))


def _strew(number: int) -> None:
    """Put every global generator into a state of its own."""
    torch.manual_seed(10**6 + number)
    np.random.seed(10**6 + number)  # noqa: NPY002 - the global state is what trainers may draw from
    random.seed(10**6 + number)


def _checked(posteriors_MK: Tensor, rows: int) -> Tensor:
    got = torch.as_tensor(posteriors_MK).detach().cpu().double()
    if got.shape != (rows, CLASSES):
        step = "Return softmax(logits) of the test rows, in the order of job.test."
        raise ShapeError(
            "check_trainer", f"posteriors of shape {tuple(got.shape)}", f"({rows}, {CLASSES})", step
        )
    return got


@contextmanager
def bench_of(trainer: Trainer, seed: int) -> Iterator[Bench]:
    """A bench with a temporary folder; threads and global generators are put back afterwards."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors as tiny as these, more threads wait for each other
    try:
        with tempfile.TemporaryDirectory(prefix="kdcheck-") as folder:
            yield Bench(trainer, Path(folder), seed)
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def farthest(first_MK: Tensor, second_MK: Tensor) -> float:
    """The largest difference of two sets of posteriors; infinite where one is not finite."""
    largest = float((first_MK - second_MK).abs().max())
    return largest if math.isfinite(largest) else math.inf
