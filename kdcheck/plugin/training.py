"""Who trains a job for pytest: processes of this machine, or the workers of pytest-xdist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcheck.study.local import LocalExecutor, cuda_devices
from kdcheck.study.progress import Display
from kdcheck.study.session import Session, Train
from kdcheck.study.work import Job, Worker, work

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store


def announce(session: Session) -> None:
    """Print what is about to be done, before anything is trained.

    Source: none.

    >>> from types import SimpleNamespace
    >>> from kdcheck.study.samples import sample_graph, sample_question, sample_scale
    >>> session = SimpleNamespace(graph=sample_graph(), missing=lambda: 2, counts=(3,),
    ...                           scale=sample_scale(), questions=(sample_question(),),
    ...                           others=[])
    >>> announce(session)
    <BLANKLINE>
    kdcheck: invented scale, 1 tasks, 3 seeds; 1 claims; 6 runs (4 in the store)
    """
    runs, missing = len(session.graph.recipes), session.missing()
    seeds = "until decided" if len(session.counts) > 1 else f"{session.counts[0]} seeds"
    print(
        f"\nkdcheck: {session.scale.name} scale, {len(session.scale.tasks)} tasks, {seeds}; "
        f"{len(session.questions)} claims; {runs} runs ({runs - missing} in the store)"
    )
    if session.others:
        print(
            f"kdcheck: judged together with {len(session.others)} more claims that the store holds"
        )


def in_this_process(job: Job, store: Store) -> None:
    """Train here, without worker processes or display.

    Source: none.

    >>> from pathlib import Path
    >>> from kdcheck.study.samples import SampleStore
    >>> in_this_process(Job(orders=(), store="s", folder=Path("w")), SampleStore())
    """
    work(job, store, Worker("main"))


def with_processes(executor: LocalExecutor) -> Train:
    """Train by worker processes of this machine, with a display.

    Args:
        executor: its processes may have been started before.

    Returns:
        What carries out a job.

    Source: none.

    >>> from pathlib import Path
    >>> callable(with_processes(LocalExecutor(Path("w"), workers=2)))
    True
    """

    def train(job: Job, store: Store) -> None:
        wanted = {order.recipe.digest for order in job.orders}
        with Display(len(wanted), len(wanted & store.digests()), job.folder) as display:
            executor.run(job, display)

    return train


def as_worker(name: str) -> Train:
    """Train as one of several workers that were started by somebody else, such as pytest-xdist.

    Args:
        name: of the worker, as ``gw0``; its number picks a device.

    Returns:
        What carries out a job.

    Source: none.

    >>> callable(as_worker("gw0"))
    True
    """

    def train(job: Job, store: Store) -> None:
        devices = cuda_devices()
        number = int("".join(filter(str.isdigit, name)) or 0)
        device = devices[number % len(devices)] if devices else None
        work(job, store, Worker(name, device))

    return train
