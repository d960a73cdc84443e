"""Taking up a training: nobody living may train it, and it may not have been recorded as failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdcheck.errors import BusyError, FailedBeforeError
from kdcheck.evidence import owner
from kdcheck.evidence.failure import Failure
from kdcheck.evidence.layout import DEATHS, REASON, seed_of, told
from kdcheck.recipe import Recipe

if TYPE_CHECKING:
    from mlflow.entities import Run

TRIES = 3
"""Processes that may die of one training while their session lives; then it is recorded as failed."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A training that was announced to the store and has not ended."""

    run: Run
    """As it was found or made, without what has been logged since."""
    recipe: Recipe
    params: Mapping[str, str]
    """What its run gets when it ends."""
    attempt: str
    """Changes when another process takes the training up."""

    @property
    def run_id(self) -> str:
        """Its id in MLflow."""
        return str(self.run.info.run_id)


def require_free(earlier: Sequence[Run], is_leased: bool, who: str) -> None:
    """Refuse a recipe by its earlier runs, none of which is finished.

    Raises:
        BusyError: another living process trains it, of this machine or, without a lease, of another.
        FailedBeforeError: it was recorded as failed.
    """
    for run in earlier:
        tags = run.data.tags
        if run.info.status == "FAILED":
            raise failed_before(who, failure_of(run).reason)
        runs = run.info.status == "RUNNING" and not owner.is_this_process(tags)
        if runs and owner.owner_is_alive(tags):
            raise _busy(who, f"process {tags[owner.PID]}")
    if not is_leased:
        raise _busy(who, "another machine")


def deaths_of(run: Run) -> int:
    """How many processes died of a training while the session that they belonged to lived on."""
    died = run.info.status == "RUNNING" and owner.died_under_this_controller(run.data.tags)
    counted = run.data.tags.get(DEATHS, "0")
    return (int(counted) if counted.isdecimal() else 0) + died


def given_up(run: Run) -> str | None:
    """Why a training is not taken up again, if too many processes died of it."""
    if (deaths := deaths_of(run)) < TRIES:
        return None
    last = told(run, owner.PID)
    return f"{deaths} processes died while they trained it, the last of them {last}"


def failure_of(run: Run) -> Failure:
    """What the run of a failed training says of it."""
    reason = run.data.tags.get(REASON, "nobody said why")
    return Failure(arm=told(run, "role"), task=told(run, "task"), seed=seed_of(run), reason=reason)


def failed_before(who: str, reason: str) -> FailedBeforeError:
    """The error for a recipe that was recorded as failed."""
    next_step = "pytest claims/ --retry-failed tries it again."
    return FailedBeforeError(who, f"a recipe that failed: {reason}", "one that did not", next_step)


def _busy(who: str, trainer: str) -> BusyError:
    next_step = "Wait for it, or end that process and run again."
    return BusyError(who, f"a recipe that {trainer} is training", "one that is free", next_step)
