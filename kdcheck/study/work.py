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

from kdcheck import objectives
from kdcheck.errors import EvidenceError, KdcheckError
from kdcheck.places import Places
from kdcheck.recipe import Recipe
from kdcheck.study.resources import Resources

if TYPE_CHECKING:
    from kdcheck.evidence.evidence import Predictions
    from kdcheck.evidence.store import Store
    from kdcheck.study.graph import Graph

WAIT_SECONDS = 0.5
"""For a recipe that another trains, before it is asked again whether that one is finished."""
REPORT_SECONDS = 2.0
"""Between writes of a progress file; each costs milliseconds, and a bar needs no more."""


@dataclass(frozen=True)
class Order:
    """One recipe to train, with what the store should say of it."""

    recipe: Recipe
    role: str
    claims: tuple[str, ...] = ()
    teaches: bool = False
    """Whether others learn from it; what has no teacher leaves its training logits anyway."""
    model_folder: Path | None = None
    """Where to leave the trained classifier, if anywhere; a new folder."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        folder = self.model_folder and str(self.model_folder)
        return vars(self) | {"recipe": self.recipe.to_dict(), "model_folder": folder}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Order:
        """The order that ``to_dict`` wrote; the class of its objective must have been loaded."""
        recipe, claims = Recipe.from_dict(values["recipe"]), tuple(values["claims"])
        folder = values["model_folder"] and Path(values["model_folder"])
        return cls(**{**values, "recipe": recipe, "claims": claims, "model_folder": folder})


@dataclass(frozen=True)
class Job:
    """All orders of a study, and where everything is; it can be written to a file for a worker."""

    orders: tuple[Order, ...]
    """Every teacher before its students."""
    places: Places
    modules: tuple[str, ...] = ()
    """Names or files of the modules that define objectives of the user's own."""
    checkpoint_seconds: float = 30.0

    @classmethod
    def of(cls, graph: Graph, places: Places, modules: tuple[str, ...] = ()) -> Job:
        """The job that a graph of recipes makes, in the order in which it is best done."""
        orders = tuple(
            Order(
                recipe=graph.recipes[digest],
                role=graph.roles[digest].key,
                claims=tuple(sorted(graph.claims[digest])),
                teaches=digest in graph.teachers,
            )
            for digest in graph.longest_first()
        )
        own = objectives.modules_of(order.recipe.objective for order in orders)
        return cls(orders, places, tuple(dict.fromkeys((*modules, *own))))

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the address of the store is whole there, password included."""
        orders = [order.to_dict() for order in self.orders]
        return vars(self) | {"orders": orders, "places": self.places.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """The job that ``to_dict`` wrote, once the objectives of its recipes are loaded."""
        objectives.load_modules(values["modules"])
        orders = tuple(map(Order.from_dict, values["orders"]))
        places, modules = Places.from_dict(values["places"]), tuple(values["modules"])
        return cls(orders, places, modules, values["checkpoint_seconds"])


@dataclass
class Worker:
    """One process that trains: its name, its device, its progress file."""

    name: str
    device: str | None = None
    trained: list[str] = field(default_factory=list)
    """Digests that this worker trained."""


def work(
    job: Job,
    store: Store,
    worker: Worker,
    *,
    resources: Resources | None = None,
    report: Callable[[], object] = lambda: None,
) -> None:
    """Train until nothing of the job is left to do; locks are the queue (decision 0004).

    Args:
        job: what to train.
        store: opened by this process.
        worker: who trains.
        resources: of the same places, where this process has loaded some already.
        report: called when the progress file has changed, and while others train.

    Raises:
        KdcheckError: a recipe cannot be trained; it is marked as failed in the store first.
    """
    resources = resources or Resources(job.places)
    finished = store.digests()
    while left := [order for order in job.orders if order.recipe.digest not in finished]:
        with _next_runnable(left, finished, job.places.work) as order:
            if order is None:  # others are training all that can be trained now
                report()
                continue
            _train_one(order, job, store, resources, worker, report)
            finished.add(order.recipe.digest)


def _train_one(
    order: Order,
    job: Job,
    store: Store,
    resources: Resources,
    worker: Worker,
    report: Callable[[], object],
) -> None:
    """Train one recipe, unless the store has it by now; the caller holds its lock."""
    from kdcheck.engine.loop import train
    from kdcheck.engine.settings import pick_device

    recipe = order.recipe
    workdir = job.places.work / "runs" / recipe.digest
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
            model_folder=order.model_folder,
            progress=_reporter(job.places.work, worker, recipe, report),
        )
    except KdcheckError as error:
        store.fail(begun, str(error))
        raise
    except KeyboardInterrupt:
        store.fail(begun, "stopped by Ctrl-C", status="KILLED")
        raise
    store.finish(begun, evidence)
    worker.trained.append(recipe.digest)
    _write_status(job.places.work, worker, recipe, 1, 1)
    report()
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
    runnable = [
        order
        for order in left
        if order.recipe.teacher is None or order.recipe.teacher.digest in finished
    ]
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


def _reporter(
    folder: Path, worker: Worker, recipe: Recipe, report: Callable[[], object]
) -> Callable[[int, int], None]:
    """A callback that writes how far this worker is, for whoever shows progress."""
    last = 0.0

    def progress(step: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS or step == total:
            last = now
            _write_status(folder, worker, recipe, step, total)
            report()

    return progress


def _write_status(folder: Path, worker: Worker, recipe: Recipe, step: int, total: int) -> None:
    status = folder / "workers" / f"{worker.name}.json"
    status.parent.mkdir(parents=True, exist_ok=True)
    temporary = status.with_suffix(f".{os.getpid()}")
    body = {"digest": recipe.digest, "step": step, "total": total, "trained": worker.trained}
    temporary.write_text(json.dumps(body), encoding="utf-8")
    temporary.replace(status)
