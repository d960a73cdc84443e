"""Leases: who trains what, where several machines train for one tracking server.

MLflow has no compare-and-swap, but it never changes a parameter: of all who log another value under one
name, one succeeds. So the n-th lease on a recipe is a parameter of one run that everybody knows, with
whoever took it as its value. Its tags say who lives: each process counts up a heartbeat there. One whose
count has stood still for as long as a lease is dead to whoever watched it, by the watcher's own clock,
and the next lease on its recipes may be taken. Decision 0120.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kdcheck.errors import EvidenceError
from kdcheck.evidence import owner

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LEASES = "kdcheck/leases"
"""Experiment with the one run that holds all leases."""
LEASE_SECONDS = 60.0
"""After so long without a heartbeat a process is dead, and what it trained is taken up elsewhere."""
BEATS_PER_LEASE = 4
PROCESS = "process."
"""Prefix of the tag of each living process; it is deleted as the process ends."""
NOBODY = "nobody"
"""Holder of a lease that was given back: no process is called that, so it is free."""


class Leases:
    """The leases of one process on recipes, and what it knows of other processes."""

    def __init__(self, client: MlflowClient, lease_seconds: float = LEASE_SECONDS) -> None:
        self._client, self._seconds = client, lease_seconds
        self._me = uuid.uuid4().hex[:12]
        self._table_id = ""
        self._taken: set[str] = set()
        """Recipes that this process has had a lease on, or was refused one."""
        self._seen: dict[str, tuple[str, float]] = {}
        """By process, its tag and when it was first seen to be so."""
        self._beats, self._stop = 0, threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, digest: str) -> bool:
        """Take the lease on a recipe, unless a living process has it."""
        self._live()
        first = digest not in self._taken
        self._taken.add(digest)
        if first and self._log(digest, 0):
            return True
        while True:
            params, living = self._look()
            number, holder = _last(params, digest)
            if holder == self._me:
                return True
            if self._is_alive(holder, living.get(holder)):
                return False
            self._bury(holder, living)
            if self._log(digest, number + 1):
                return True

    def give_back(self, digest: str) -> None:
        """Let others take a recipe that this process tried in vain, while it goes on with the rest."""
        number, holder = _last(self._look()[0], digest)
        if holder == self._me:
            self._log(digest, number + 1, NOBODY)

    def leave(self) -> None:
        """Say that this process trains no more: whatever it holds is free at once."""
        if self._heart is not None:
            self._stop.set()
            self._heart.join()
            self._heart, self._stop = None, threading.Event()
            self._take_off(self._me)

    # The table

    @property
    def _table(self) -> str:
        """Id of the run that holds all leases, made if there is none."""
        if not self._table_id:
            found = self._find()
            self._table_id = found if found is not None else self._make()
        return self._table_id

    def _find(self) -> str | None:
        experiment = self._client.get_experiment_by_name(LEASES)
        if experiment is None:
            return None
        found = self._client.search_runs([experiment.experiment_id], max_results=1)
        if not found:
            raise EvidenceError(
                f"store, experiment {LEASES!r}",
                "it or its run deleted in the UI",
                "it alive: it says who trains what",
                f"Run 'mlflow experiments restore -x {experiment.experiment_id}', and "
                "'mlflow runs restore' for its run.",
            )
        return str(found[0].info.run_id)

    def _make(self) -> str:
        """Make experiment and run under another name, then rename: names are unique, so one wins."""
        from mlflow.exceptions import MlflowException

        experiment = self._client.create_experiment(f"{LEASES} {uuid.uuid4().hex}")
        run_id = str(self._client.create_run(experiment, run_name="leases").info.run_id)
        try:
            self._client.rename_experiment(experiment, LEASES)
        except MlflowException:
            self._client.delete_experiment(experiment)
            found = self._find()
            if found is None:
                raise
            return found
        return run_id

    def _log(self, digest: str, number: int, holder: str = "") -> bool:
        """Write down who has the n-th lease on a recipe; false if somebody has it already."""
        from mlflow.exceptions import MlflowException

        key, holder = f"{digest}.{number}", holder or self._me
        try:
            self._client.log_param(self._table, key, holder)
        except MlflowException:
            if key not in self._client.get_run(self._table).data.params:
                raise  # that was another kind of error
            return False  # perhaps it is this one, and the answer was lost: the table will tell
        return True

    def _look(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Holders by recipe and number of the lease, and the tags of processes."""
        data = self._client.get_run(self._table).data
        living = {k.removeprefix(PROCESS): v for k, v in data.tags.items() if k.startswith(PROCESS)}
        return data.params, living

    # Who lives

    def _live(self) -> None:
        """Begin to say, now and then, that this process lives."""
        if self._heart is None:
            self._beat()
            self._heart = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
            self._heart.start()

    def _go_on(self) -> None:
        from mlflow.exceptions import MlflowException

        while not self._stop.wait(self._seconds / BEATS_PER_LEASE):
            with suppress(MlflowException):  # the server is away; who trains will say so
                self._beat()

    def _beat(self) -> None:
        self._beats += 1
        tag: dict[str, Any] = {**owner.this_process(), "beat": self._beats}
        self._client.set_tag(self._table, PROCESS + self._me, json.dumps(tag))

    def _is_alive(self, holder: str, tag: str | None) -> bool:
        """Whether a process lives: one of this machine is asked for, another is watched."""
        if tag is None:
            return False
        known = owner.owner_is_alive(json.loads(tag))
        if known is not None:
            return known
        now = time.monotonic()
        seen, since = self._seen.get(holder, (tag, now))
        self._seen[holder] = (tag, since if seen == tag else now)
        return now - self._seen[holder][1] < self._seconds

    def _bury(self, holder: str, living: Mapping[str, str]) -> None:
        """Take a dead process off the list: nobody has to watch it for as long again."""
        if holder in living:
            self._take_off(holder)

    def _take_off(self, holder: str) -> None:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # another was faster, or the server is away
            self._client.delete_tag(self._table, PROCESS + holder)


def _last(params: Mapping[str, str], digest: str) -> tuple[int, str]:
    """Number and holder of the last lease on a recipe; -1 and nobody where there is none."""
    numbers = [int(key.rpartition(".")[2]) for key in params if key.startswith(f"{digest}.")]
    last = max(numbers, default=-1)
    return last, params.get(f"{digest}.{last}", NOBODY)
