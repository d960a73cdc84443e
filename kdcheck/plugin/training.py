"""Who trains a job for pytest: this process, others of this machine, or workers of pytest-xdist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdcheck.evidence.network import network_kind
from kdcheck.plugin.config import EXECUTOR, SESSION, or_usage_error, xdist_worker
from kdcheck.plural import plural
from kdcheck.study.local import LocalExecutor, Meanwhile, cuda_devices
from kdcheck.study.progress import Display
from kdcheck.study.session import Session, Train
from kdcheck.study.stopping import end_with_parent
from kdcheck.study.work import Job, Worker, work

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store


SHOWN = 5
"""Failed runs that are named one by one where many are."""


def train(config: pytest.Config) -> None:
    """Train what the session of this run lacks; pytest-xdist's workers say nothing of it.

    Raises:
        pytest.UsageError: a recipe cannot be trained, or the store cannot be used.
    """
    session = config.stash[SESSION]
    worker = xdist_worker(config)
    if worker:
        or_usage_error(session.train, as_worker(worker))
        return
    or_usage_error(announce, session)
    executor = config.stash.get(EXECUTOR, None)
    trainer = with_processes(executor, session.read_ahead) if executor else in_this_process
    or_usage_error(session.train, trainer)
    say_what_failed(session)


def announce(session: Session) -> None:
    """Print what is about to be done, before anything is trained."""
    runs, lost = len(session.graph.recipes), len(session.graph.recipes.keys() & session.lost)
    stored = runs - session.missing() - lost
    failed = f", {lost} that failed before" if lost else ""
    seeds = "until decided" if len(session.counts) > 1 else plural(session.counts[0], "seed")
    print(
        f"\nkdcheck: {session.scale.name} scale, {plural(len(session.scale.tasks), 'task')}, {seeds}; "
        f"{plural(len(session.claims), 'claim')}; {plural(runs, 'run')} ({stored} in the store{failed})"
    )
    print(f"kdcheck: {session.registration}")
    if (kind := network_kind(session.places.work)) is not None:
        print(
            f"kdcheck: locks and checkpoints in {session.places.work} are on a network file system "
            f"({kind}), where locks may hold nobody back; run pytest in a folder of a local disk"
        )


def say_what_failed(session: Session) -> None:
    """Print which runs could not be trained, and how they are tried again."""
    told = session.failures()
    for text in told[:SHOWN]:
        print(f"kdcheck: failed: {text}")
    if told:
        more = f"{len(told) - SHOWN} more; " if len(told) > SHOWN else ""
        print(f"kdcheck: {more}claims that need them are INVALID; --retry-failed tries them again")


def in_this_process(job: Job, store: Store) -> None:
    """Train here, without worker processes or display."""
    work(job, store, Worker("main"))


def with_processes(executor: LocalExecutor, meanwhile: Meanwhile) -> Train:
    """Train by worker processes, which may have been started before, with a display."""

    def train(job: Job, store: Store) -> None:
        wanted = {order.recipe.digest for order in job.orders}
        with Display(wanted, store.digests(), job.places.work) as display:
            executor.run(job, display, meanwhile)

    return train


def as_worker(name: str) -> Train:
    """Train as one of several workers that somebody else started; the number in its name picks a device.

    It ends with whoever started it: a worker of pytest-xdist that is left alone has seconds to go on,
    and is then interrupted without a checkpoint.
    """
    end_with_parent()

    def train(job: Job, store: Store) -> None:
        devices = cuda_devices()
        number = int("".join(filter(str.isdigit, name)) or 0)
        device = devices[number % len(devices)] if devices else None
        work(job, store, Worker(name, device))

    return train
