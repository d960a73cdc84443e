"""A run of claims in which evidence is invented in place of training, and what stands around it is timed.

``python -m kdcheck.plugin.probe BEGAN FILE ARGUMENT...``: when it was started, by the clock on the
wall; where its seconds go, as JSON, once all is judged; and the arguments of pytest.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from kdcheck.planning import clock
from kdcheck.plugin.config import EXECUTOR, SESSION

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store
    from kdcheck.study.local import LocalExecutor, Meanwhile
    from kdcheck.study.progress import Display
    from kdcheck.study.work import Job

READ = 10
"""Runs that are read back."""


class Probe:
    """A plugin of pytest, and the executor of its session: it trains nothing and stores every run."""

    def __init__(self, before: float) -> None:
        """Seconds that this process has lived before its clock is first looked at."""
        self._before, self._started = before, clock.seconds()
        self._executor: LocalExecutor | None = None
        self._store: Store | None = None
        self._calls: list[float] = []
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take the place of the executor, once there is one."""
        stash = session.config.stash
        if EXECUTOR in stash:
            self._executor, self._store = stash[EXECUTOR], stash[SESSION].store
            stash[EXECUTOR] = cast("LocalExecutor", self)

    def run(self, job: Job, display: Display, meanwhile: Meanwhile) -> None:
        """Leave in the store what workers would, who have been started and get no job."""
        del display, meanwhile  # what is read while others train is read when all is trained
        assert self._store is not None
        type(self._store).open(self._store.location)  # as each of them does before it trains
        self._seconds["before"] = self._before + clock.seconds() - self._started
        self.close()
        self._runs = len(job.orders)
        self._seconds["put"] = _put(job, self._store) / self._runs
        self._seconds["get"] = _get(self._store)
        self._trained = clock.seconds()

    def close(self) -> None:
        """End what the executor has started."""
        assert self._executor is not None
        self._executor.close()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None]:
        """Time each claim; with the first all verdicts are made."""
        began = clock.seconds()
        try:
            return (yield)
        finally:
            self._calls.append(clock.seconds() - began)

    @property
    def has_judged(self) -> bool:
        """Whether runs were stored and a claim was called after."""
        return bool(self._seconds and self._calls)

    def finish(self) -> dict[str, float]:
        """What each part took, once pytest has ended; ``kdcheck.planning.overhead`` has the names."""
        whole = clock.seconds() - self._trained
        first, *others = self._calls
        claim = sum(others) / len(others) if others else 0.0
        return self._seconds | {
            "judge_run": max(0.0, first - claim) / self._runs,
            "judge_claim": claim,
            "after": whole - sum(self._calls),
        }


def _put(job: Job, store: Store) -> float:
    """Seconds of storing invented evidence of every order, its making left out."""
    from kdcheck.planning.invented import invented
    from kdcheck.study.resources import Resources

    spent, resources = 0.0, Resources(job.places)
    for order in job.orders:
        whole = order.teaches or order.recipe.teacher is None
        evidence = invented(order.recipe, resources.load_task(order.recipe.task), whole)
        began = clock.seconds()
        begun = store.begin(order.recipe, role=order.role, claims=order.claims, worker="plan")
        assert begun is not None
        store.finish(begun, evidence)
        spent += clock.seconds() - began
    return spent


def _get(store: Store) -> float:
    digests = sorted(store.digests())[:READ]
    began = clock.seconds()
    for digest in digests:
        store.get(digest)
    return (clock.seconds() - began) / len(digests)


def main(began: str, told: str, *arguments: str) -> int:
    """Run pytest, and write the seconds if everything was judged."""
    probe = Probe(time.time() - float(began) - clock.waited())
    # As in kdcheck.plugin.collecting: a project may make it an error that kdcheck is imported already.
    code = pytest.main([*arguments, "-W", "default"], plugins=[probe])
    if probe.has_judged:
        Path(told).write_text(json.dumps(probe.finish()), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
