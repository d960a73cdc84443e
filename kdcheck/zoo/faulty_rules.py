"""Faulty rules of decision: tests that are wrong more often than they say, or about something else."""

# C claims, T tasks, S seeds

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr

from kdcheck.conform import judge
from kdcheck.conform.judge import RATE, Rule, check_rule
from kdcheck.verdict import Criterion, Measured, TaskEffects, Word, judge_family
from kdcheck.zoo.entry import Control, Fault, alarms_of

Floats = npt.NDArray[np.float64]
FIRST_LOOK = 5
"""Seeds."""
STUDIES = 400
"""Simulated for the check that a fault must not survive: enough for what errs four times too often."""
STUDIES_OF_A_CONTROL = 20
"""Simulated for each check and repetition: our own judge takes milliseconds, the faulty ones far less."""


def _p_CT(effects_CTS: Floats, margin: float, sign: int = 1) -> Floats:
    """One-sided p of each claim on each task: Student's t, above the margin for sign 1, below for -1."""
    seeds = effects_CTS.shape[-1]
    error_CT = effects_CTS.std(axis=-1, ddof=1) / np.sqrt(seeds)
    found: Floats = stdtr(seeds - 1, -sign * (effects_CTS.mean(axis=-1) - margin) / error_CT)
    return found


def one_t_test_each(effects_CTS: Floats, margin: float) -> Any:
    """Judges each claim of a family by itself."""
    return _p_CT(effects_CTS, margin).max(axis=1) <= RATE


def wrong_side(effects_CTS: Floats, margin: float) -> Any:
    """Asks whether the effect is smaller."""
    company = len(effects_CTS)
    return company * _p_CT(effects_CTS, margin, -1).max(axis=1) <= RATE


def looks_after_every_seed(effects_CTS: Floats, margin: float) -> Any:
    """Stops as soon as p is small, and pays for one look."""
    company, _, seeds = effects_CTS.shape
    looks = [
        company * _p_CT(effects_CTS[..., :n], margin).max(axis=1) <= RATE
        for n in range(3, seeds + 1)
    ]
    return np.any(looks, axis=0)


def tasks_as_replicates(effects_CTS: Floats, margin: float) -> Any:
    """Pools seeds of all tasks, and says "on every task"."""
    company = len(effects_CTS)
    pooled_C1N = effects_CTS.reshape(company, 1, -1)
    return company * _p_CT(pooled_C1N, margin)[:, 0] <= RATE


def best_task(effects_CTS: Floats, margin: float) -> Any:
    """Says "on every task" of what the best task shows."""
    return len(effects_CTS) * _p_CT(effects_CTS, margin).min(axis=1) <= RATE


def margin_forgotten(effects_CTS: Floats, margin: float) -> Any:
    """Tests against zero what was to be above the margin."""
    return len(effects_CTS) * _p_CT(effects_CTS, 0.0).max(axis=1) <= RATE


def best_seeds(effects_CTS: Floats, margin: float) -> Any:
    """Keeps the five best seeds of twenty."""
    best_CTS = np.sort(effects_CTS, axis=-1)[..., -FIRST_LOOK:]
    return len(effects_CTS) * _p_CT(best_CTS, margin).max(axis=1) <= RATE


def means_without_spread(effects_CTS: Floats, margin: float) -> Any:
    """Compares means of seeds, as tables without intervals do."""
    return effects_CTS.mean(axis=-1).min(axis=1) > margin


def normal_on_two_seeds(effects_CTS: Floats, margin: float) -> Any:
    """Takes the spread of two seeds for known."""
    few_CTS = effects_CTS[..., :2]
    error_CT = few_CTS.std(axis=-1, ddof=0) / np.sqrt(few_CTS.shape[-1])
    z_CT = (few_CTS.mean(axis=-1) - margin) / error_CT
    return len(effects_CTS) * ndtr(-z_CT).max(axis=1) <= RATE


def kdchecks_own(effects_CTS: Floats, margin: float) -> Any:
    """The judge of this package, at its four looks."""
    claims, tasks, seeds = effects_CTS.shape
    names = tuple(f"task {t}" for t in range(tasks))
    criteria = [
        Criterion(
            claim=f"claim {c}", tasks=names, margin=margin, because="simulated", unit="deviations"
        )
        for c in range(claims)
    ]
    measured = {
        criterion.claim: Measured(
            tasks={
                name: TaskEffects(seeds=tuple(range(seeds)), effects=tuple(effects_S.tolist()))
                for name, effects_S in zip(names, effects_TS, strict=True)
            }
        )
        for criterion, effects_TS in zip(criteria, effects_CTS, strict=True)
    }
    verdicts = judge_family(criteria, measured)
    return np.array([verdicts[each.claim].word is Word.SUPPORTED for each in criteria])


def _fault(rule: Rule, name: str, defect: str, check: judge.Check) -> Fault:
    def alarms(seed: int) -> tuple[str, ...]:
        return alarms_of(check_rule(rule, studies=STUDIES, seed=seed, only=(check,)))

    return Fault(name, "study", defect, check.__name__, alarms)


_NULL, _COMPANY = judge.no_effect_is_rarely_shown, judge.company_is_paid_for
_TASKS = judge.one_task_does_not_speak_for_all
FAULTS: tuple[Fault, ...] = tuple(
    _fault(*row)
    for row in (
        (
            wrong_side,
            "one-sided test the wrong way",
            "sign of the alternative",
            judge.the_opposite_is_not_shown,
        ),
        (looks_after_every_seed, "uncorrected looks", "stopping when p is small", _NULL),
        (tasks_as_replicates, "tasks as replicates", "pooled over what is not alike", _TASKS),
        (best_task, "best task reported", "some, where every was claimed", _TASKS),
        (one_t_test_each, "family not paid for", "twelve claims at the rate of one", _COMPANY),
        (
            margin_forgotten,
            "margin forgotten",
            "tested against zero",
            judge.an_effect_at_the_margin_is_rarely_shown,
        ),
        (best_seeds, "best-seed reporting", "five of twenty seeds", _NULL),
        (means_without_spread, "means without spread", "no interval", _NULL),
        (normal_on_two_seeds, "normal test on two seeds", "too few seeds for it", _NULL),
    )
)
CONTROLS = (
    Control(
        "the judge of kdcheck",
        "study",
        lambda seed: alarms_of(check_rule(kdchecks_own, studies=STUDIES_OF_A_CONTROL, seed=seed)),
    ),
)
