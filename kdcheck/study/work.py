"""Training what a study needs, by any number of processes on one machine.

Each worker takes the next runnable recipe under a file lock, trains it, stores its evidence, and
takes the next. A lock is held by the operating system for as long as the process lives: when one is
killed, another takes its recipe and resumes from its checkpoint. No two train the same; on a tracking
server a lease keeps other machines away too. A recipe that cannot be trained is recorded as failed,
and whatever does not need it goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from kdcheck import objectives
from kdcheck.engine.stopped import Stopped
from kdcheck.errors import (
    BusyError,
    EvidenceError,
    FailedBeforeError,
    KdcheckError,
    TrainingError,
)
from kdcheck.places import Places
from kdcheck.recipe import Recipe
from kdcheck.study.progress import status_file
from kdcheck.study.resources import Resources
from kdcheck.study.stopping import asked_to_stop

if TYPE_CHECKING:
    import torch

    from kdcheck.evidence.evidence import Evidence, Predictions
    from kdcheck.evidence.store import Store
    from kdcheck.evidence.taking import Begun
    from kdcheck.study.graph import Graph

WAIT_SECONDS = 0.5
"""For a recipe that another trains, before it is asked again whether that one is finished."""
BUSY_SECONDS = 2.0
"""For recipes that are trained on another machine, before the store is asked about them again."""
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
    failed: list[TrainingError] = field(default_factory=list)
    """Why recipes could not be trained that it recorded as failed."""


def work(
    job: Job,
    store: Store,
    worker: Worker,
    *,
    resources: Resources | None = None,
    report: Callable[[], object] = lambda: None,
) -> None:
    """Train until nothing of the job is left that can be trained; locks are the queue (decision 0004).

    Args:
        job: what to train.
        store: opened by this process.
        worker: who trains.
        resources: of the same places, where this process has loaded some already.
        report: called when the progress file has changed, and while others train.

    Raises:
        KdcheckError: the store, the data or the disk cannot be used. A recipe that itself cannot be
            trained raises nothing: it is recorded as failed, and what it teaches is left out.
        TrainingError: the worker's device cannot be used.
        Stopped: SIGTERM came; there is a checkpoint.
    """
    shift = _Shift(job, store, worker, resources or Resources(job.places), report)
    queue = _Queue(job, store)
    with asked_to_stop() as stop:
        try:
            while left := queue.left():
                if stop():
                    raise Stopped("SIGTERM")
                with queue.next_of(left) as order:
                    if order is None:  # others are training all that can be trained now
                        report()
                    else:
                        queue.note(order, shift.train(order, stop))
        finally:
            store.leave()


class Outcome(Enum):
    """What has become of an order, as one process sees it."""

    FINISHED = auto()
    FAILED = auto()
    BUSY = auto()
    """Another process trains it, perhaps on another machine."""


@dataclass(frozen=True)
class _Shift:
    """What one process trains with."""

    job: Job
    store: Store
    worker: Worker
    resources: Resources
    report: Callable[[], object]

    def train(self, order: Order, stop: Callable[[], bool]) -> Outcome:
        """Train one recipe, unless the store has it or its failure by now; the caller holds its lock."""
        from kdcheck.engine.settings import pick_device

        recipe, worker, store = order.recipe, self.worker, self.store
        device = pick_device(worker.device)  # one that is refused is no recipe's fault
        try:
            begun = store.begin(recipe, role=order.role, claims=order.claims, worker=worker.name)
            if begun is None:  # another worker finished it since we looked
                return Outcome.FINISHED
            # Whoever finds this process dead is told what it died of.
            _write_status(self.job.places.work, worker, recipe, 0, 1)
            store.finish(begun, self._evidence(order, begun, device, stop))
        except BusyError:
            return Outcome.BUSY
        except FailedBeforeError:
            return Outcome.FAILED
        except TrainingError as error:
            worker.failed.append(error)
            return Outcome.FAILED
        worker.trained.append(recipe.digest)
        _write_status(self.job.places.work, worker, recipe, 1, 1)
        self.report()
        shutil.rmtree(self._workdir(recipe), ignore_errors=True)
        return Outcome.FINISHED

    def _evidence(
        self, order: Order, begun: Begun, device: torch.device, stop: Callable[[], bool]
    ) -> Evidence:
        """What a recipe leaves; where it leaves nothing, the store is told why."""
        from kdcheck.engine.loop import train

        recipe, work = order.recipe, self.job.places.work
        try:
            return train(
                recipe,
                self.resources.inputs_of(recipe),
                teacher=_teacher_logits(recipe, self.store),
                device=device,
                workdir=self._workdir(recipe),
                checkpoint_seconds=self.job.checkpoint_seconds,
                # Whatever has no teacher may be asked to teach by the claims of a later day.
                predict_train=order.teaches or recipe.teacher is None,
                model_folder=order.model_folder,
                progress=_reporter(work, self.worker, recipe, self.report),
                stop=stop,
            )
        except TrainingError as error:
            self.store.fail(begun, str(error))
            shutil.rmtree(self._workdir(recipe), ignore_errors=True)
            raise
        except KdcheckError as error:  # of the data, the disk or the store: not the recipe's fault
            self._interrupted(begun, str(error))
            raise
        except KeyboardInterrupt as error:
            self._interrupted(begun, f"stopped by {str(error) or 'Ctrl-C'}")
            raise

    def _interrupted(self, begun: Begun, reason: str) -> None:
        with suppress(BusyError):  # another has taken it up: that is no reason to go on here
            self.store.fail(begun, reason, status="KILLED")

    def _workdir(self, recipe: Recipe) -> Path:
        return self.job.places.work / "runs" / recipe.digest


class _Queue:
    """What is left of a job, as far as one process knows; locks are taken from the file system."""

    def __init__(self, job: Job, store: Store) -> None:
        self._orders, self._locks = job.orders, job.places.work / "locks"
        self._locks.mkdir(parents=True, exist_ok=True)
        self._finished, self._failed = store.digests(), set(store.failures())
        self._busy: set[str] = set()
        self._lineages = {
            order.recipe.digest: {each.digest for each in order.recipe.lineage()}
            for order in job.orders
        }

    def left(self) -> list[Order]:
        """Orders that are not finished, and that no failure of theirs or of a teacher's stops."""
        left = [order for order in self._orders if order.recipe.digest not in self._finished]
        return [each for each in left if not self._failed & self._lineages[each.recipe.digest]]

    def note(self, order: Order, outcome: Outcome) -> None:
        """Remember what has become of an order."""
        sets = {Outcome.FINISHED: self._finished, Outcome.FAILED: self._failed}
        sets.get(outcome, self._busy).add(order.recipe.digest)

    @contextmanager
    def next_of(self, left: Sequence[Order]) -> Iterator[Order | None]:
        """The first order whose teacher is finished and that nobody else trains, locked.

        Where others train all of them, it waits a little for one of those: whoever gets its lock sees
        at once whether it was finished or left behind by a process that died.
        """
        runnable = [
            order
            for order in left
            if order.recipe.teacher is None or order.recipe.teacher.digest in self._finished
        ]
        assert runnable, "a job holds every teacher that the store lacks"
        free = [order for order in runnable if order.recipe.digest not in self._busy]
        tries = [(order, 0.0) for order in free]
        for order, timeout in tries if self._busy else [*tries, (runnable[0], WAIT_SECONDS)]:
            lock = FileLock(self._locks / f"{order.recipe.digest}.lock")
            try:
                lock.acquire(timeout=timeout)
            except Timeout:
                continue
            try:
                yield order
            finally:
                lock.release()
            return
        if self._busy:  # with processes that share the store and not these locks: asked again
            time.sleep(BUSY_SECONDS)
            self._busy.clear()
        yield None


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


def _reporter(
    folder: Path, worker: Worker, recipe: Recipe, report: Callable[[], object]
) -> Callable[[int, int], None]:
    """A callback that writes how far this worker is, for whoever shows progress."""
    last = time.monotonic()  # that it begins has just been written, and its end will be

    def progress(step: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS:
            last = now
            _write_status(folder, worker, recipe, step, total)
            report()

    return progress


def _write_status(folder: Path, worker: Worker, recipe: Recipe, step: int, total: int) -> None:
    status = status_file(folder, worker.name)
    status.parent.mkdir(parents=True, exist_ok=True)
    temporary = status.with_name(f"{status.name}.{os.getpid()}")
    body = {"digest": recipe.digest, "step": step, "total": total, "trained": worker.trained}
    temporary.write_text(json.dumps(body), encoding="utf-8")
    temporary.replace(status)
