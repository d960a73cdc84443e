"""Training what a study needs, by any number of processes on one machine.

Each worker takes the next runnable recipe under a file lock, trains it, stores its evidence, and
takes the next. A lock is held by the operating system for as long as the process lives: when one is
killed, another takes its recipe and resumes from its checkpoint. No two train the same.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdcheck.errors import EvidenceError, KdcheckError
from kdcheck.recipe import Recipe
from kdcheck.study.resources import Resources

if TYPE_CHECKING:
    from kdcheck.evidence.evidence import Predictions
    from kdcheck.evidence.store import Store
    from kdcheck.study.graph import Graph

WAIT_SECONDS = 0.5
"""For a recipe that another trains, before it is asked again whether to stop."""
REPORT_SECONDS = 2.0
"""Between writes of a progress file; each costs milliseconds, and a bar needs no more."""


@dataclass(frozen=True)
class Order:
    """One recipe to train, with what the store should say of it.

    Source: none.

    >>> Order.__dataclass_fields__["teaches"].default
    False
    """

    recipe: Recipe
    role: str
    claims: tuple[str, ...]
    teaches: bool = False
    """Whether others learn from it; what has no teacher leaves its training logits anyway."""


@dataclass(frozen=True)
class Job:
    """All orders of a study, and where everything is; it can be written to a file for a worker.

    Source: none.

    >>> job = Job(orders=(), store="s", folder=Path("w"))
    >>> Job.from_dict(job.to_dict()) == job
    True
    """

    orders: tuple[Order, ...]
    """Every teacher before its students."""
    store: str
    """Folder or address of the evidence store."""
    folder: Path
    """Where locks, checkpoints and progress are kept."""
    data_dir: Path | None = None
    model_dir: Path | None = None
    cache_dir: Path | None = None
    checkpoint_seconds: float = 30.0

    @classmethod
    def of(cls, graph: Graph, **where: Any) -> Job:
        """The job that a graph of recipes makes."""
        orders = tuple(
            Order(
                recipe=graph.recipes[digest],
                role=graph.roles[digest],
                claims=tuple(sorted(graph.claims[digest])),
                teaches=digest in graph.teachers,
            )
            for digest in graph.students_first_needed()
        )
        return cls(orders=orders, **where)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        paths = ("folder", "data_dir", "model_dir", "cache_dir")
        return {
            "orders": [
                {
                    "recipe": order.recipe.to_dict(),
                    "role": order.role,
                    "claims": list(order.claims),
                    "teaches": order.teaches,
                }
                for order in self.orders
            ],
            "store": self.store,
            "checkpoint_seconds": self.checkpoint_seconds,
            **{name: path and str(path) for name in paths for path in [getattr(self, name)]},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """The job that ``to_dict`` wrote."""
        paths = ("folder", "data_dir", "model_dir", "cache_dir")
        orders = tuple(
            Order(
                Recipe.from_dict(order["recipe"]),
                order["role"],
                tuple(order["claims"]),
                order["teaches"],
            )
            for order in values["orders"]
        )
        return cls(
            orders=orders,
            store=values["store"],
            checkpoint_seconds=values["checkpoint_seconds"],
            **{name: values[name] and Path(values[name]) for name in paths},
        )

    def resources(self) -> Resources:
        """Tasks and encoders from where the job says."""
        return Resources(data_dir=self.data_dir, model_dir=self.model_dir, cache_dir=self.cache_dir)


@dataclass
class Worker:
    """One process that trains: its name, its device, its progress file.

    Source: none.

    >>> Worker("w0").device is None
    True
    """

    name: str
    device: str | None = None
    trained: list[str] = field(default_factory=list)
    """Digests that this worker trained."""


def work(
    job: Job, store: Store, worker: Worker, *, stop: Callable[[], bool] = lambda: False
) -> None:
    """Train until nothing of the job is left to do.

    Args:
        job: what to train.
        store: opened by this process.
        worker: who trains.
        stop: asked before each recipe.

    Raises:
        KdcheckError: a recipe cannot be trained; it is marked as failed in the store first.

    Source: decision 0004, locks are the queue.

    >>> from kdcheck.study.samples import SampleStore, sample_graph
    >>> job, worker = Job.of(sample_graph(), store="s", folder=Path("w")), Worker("w0")
    >>> work(job, SampleStore(), worker)
    >>> worker.trained  # the store has them all
    []
    """
    resources = job.resources()
    finished = store.digests()
    while not stop():
        left = [order for order in job.orders if order.recipe.digest not in finished]
        if not left:
            return
        with _next_runnable(left, finished, job.folder) as order:
            if order is None:  # others are training all that can be trained now
                continue
            _train_one(order, job, store, resources, worker)
            finished.add(order.recipe.digest)


def _train_one(order: Order, job: Job, store: Store, resources: Resources, worker: Worker) -> None:
    """Train one recipe, unless the store has it by now; the caller holds its lock.

    Raises:
        KdcheckError: it cannot be trained; it is marked as failed in the store first.

    Source: none.
    """
    from kdcheck.engine.loop import train
    from kdcheck.engine.settings import pick_device

    recipe = order.recipe
    workdir = job.folder / "runs" / recipe.digest
    begun = store.begin(recipe, role=order.role, claims=order.claims, worker=worker.name)
    if begun is None:  # another worker finished it since we looked
        return
    try:
        evidence = train(
            recipe,
            resources.inputs_of(recipe),
            teacher=_teacher_logits(recipe, store),
            device=pick_device(worker.device),
            workdir=workdir,
            checkpoint_seconds=job.checkpoint_seconds,
            # Whatever has no teacher may be asked to teach by the claims of a later day.
            predict_train=order.teaches or recipe.teacher is None,
            progress=_reporter(job.folder, worker, recipe),
        )
    except KdcheckError as error:
        store.fail(begun, str(error))
        raise
    store.finish(begun, evidence)
    worker.trained.append(recipe.digest)
    _write_status(job.folder, worker, recipe, 1, 1)
    shutil.rmtree(workdir, ignore_errors=True)


def _teacher_logits(recipe: Recipe, store: Store) -> Predictions | None:
    if recipe.teacher is None:
        return None
    predictions = store.get(recipe.teacher.digest).final.predictions
    if "train" not in predictions:
        raise EvidenceError(
            f"teacher {recipe.teacher.short}",
            "evidence without logits on the training split",
            "a run that was trained as a teacher",
            "Delete that run in the store; it is trained again, with them.",
        )
    return predictions["train"]


@contextmanager
def _next_runnable(left: list[Order], finished: set[str], folder: Path) -> Iterator[Order | None]:
    """The first order whose teacher is finished and that nobody else trains, locked.

    Where others train all of them, it waits a little for one of those: whoever gets its lock sees
    at once whether it was finished or left behind by a process that died.
    """
    locks = folder / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    runnable = [order for order in left if _is_runnable(order, finished)]
    assert runnable, "a job holds every teacher that the store lacks"
    for order, timeout in [*((order, 0.0) for order in runnable), (runnable[0], WAIT_SECONDS)]:
        lock = FileLock(locks / f"{order.recipe.digest}.lock")
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            continue
        try:
            yield order
        finally:
            lock.release()
        return
    yield None


def _is_runnable(order: Order, finished: set[str]) -> bool:
    teacher = order.recipe.teacher
    return teacher is None or teacher.digest in finished


def _reporter(folder: Path, worker: Worker, recipe: Recipe) -> Callable[[int, int], None]:
    """A callback that writes how far this worker is, for whoever shows progress."""
    last = 0.0

    def report(step: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS or step == total:
            last = now
            _write_status(folder, worker, recipe, step, total)

    return report


def _write_status(folder: Path, worker: Worker, recipe: Recipe, step: int, total: int) -> None:
    status = folder / "workers" / f"{worker.name}.json"
    status.parent.mkdir(parents=True, exist_ok=True)
    temporary = status.with_suffix(f".{os.getpid()}")
    body = {
        "digest": recipe.digest,
        "step": step,
        "total": total,
        "trained": len(worker.trained),
    }
    temporary.write_text(json.dumps(body), encoding="utf-8")
    temporary.replace(status)
