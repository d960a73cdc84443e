"""Is a study's rule of decision as rarely wrong as it says? Simulated studies of which the truth is known."""

# C claims, T tasks, S seeds

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from kdcheck.conform.results import CheckResult, Report, Status

Floats = npt.NDArray[np.float64]
Rule = Callable[[Floats, float], npt.ArrayLike]
"""``rule(effects_CTS, margin)``: which of the claims "above the margin on every task" are shown, shape (C,).

Differences are paired, seeds in the order in which they come; a rule may look at them as often as it likes.
"""

RATE = 0.025
"""Bound on the chance of any false claim in a study."""
SEEDS = 20
TASKS = 3
COMPANY = 12
"""Claims of a family."""
MARGIN = 0.5
CLEAR = 5.0
"""An effect that no rule may miss, in standard deviations of one seed."""
BY_CHANCE = 1e-6
"""More false claims than this chance explains, at the bound, are an alarm."""


class Simulated:
    """Studies whose true effects are known.

    Args:
        rule: under check.
        studies: how many.
        seed: of the simulation.
    """

    def __init__(self, rule: Rule, studies: int, seed: int) -> None:
        self._rule, self.studies = rule, studies
        self._rng = np.random.default_rng(seed)

    def any_shown(self, effects_CT: npt.ArrayLike, margin: float = MARGIN) -> int:
        """In how many studies at least one claim is shown."""
        effects_CT1 = np.asarray(effects_CT, dtype=float)[..., None]
        shape = (*effects_CT1.shape[:2], SEEDS)
        return sum(
            bool(np.any(self._rule(effects_CT1 + self._rng.standard_normal(shape), margin)))
            for _ in range(self.studies)
        )

    def too_often(self, shown: int, rate: float = RATE) -> str | None:
        """What is wrong, if chance at that rate does not explain so many."""
        from scipy.stats import binom

        if binom.sf(shown - 1, self.studies, rate) >= BY_CHANCE:
            return None
        return f"a false claim in {shown} of {self.studies} studies, where {rate:.1%} are allowed"


def no_effect_is_rarely_shown(sim: Simulated) -> str | None:
    """Without an effect a claim is shown in one study of forty, however often it is looked at."""
    return sim.too_often(sim.any_shown([[0.0]], margin=0.0))


def an_effect_at_the_margin_is_rarely_shown(sim: Simulated) -> str | None:
    """An effect of just the margin is not above it."""
    return sim.too_often(sim.any_shown([[MARGIN]]))


def one_task_does_not_speak_for_all(sim: Simulated) -> str | None:
    """A clear effect on one task and none on two is no effect on every task: tasks are no replicates."""
    return sim.too_often(sim.any_shown([[CLEAR] + [MARGIN] * (TASKS - 1)]))


def company_is_paid_for(sim: Simulated) -> str | None:
    """Of twelve claims without an effect, any is shown in one study of forty."""
    return sim.too_often(sim.any_shown(np.zeros((COMPANY, 1)), margin=0.0))


def the_opposite_is_not_shown(sim: Simulated) -> str | None:
    """A clear effect the other way is never shown as the one that was claimed."""
    return sim.too_often(sim.any_shown([[-CLEAR]]))


def a_clear_effect_is_shown(sim: Simulated) -> str | None:
    """A clear effect on every task is shown in nearly every study."""
    shown = sim.any_shown([[CLEAR] * TASKS])
    missed = sim.studies - shown
    often = missed * 20 > sim.studies
    return f"it is missed in {missed} of {sim.studies} studies" if often else None


Check = Callable[[Simulated], str | None]
CHECKS: tuple[Check, ...] = (
    no_effect_is_rarely_shown,
    an_effect_at_the_margin_is_rarely_shown,
    one_task_does_not_speak_for_all,
    company_is_paid_for,
    the_opposite_is_not_shown,
    a_clear_effect_is_shown,
)


def check_rule(
    rule: Rule, *, studies: int = 400, seed: int = 0, only: Sequence[Check] = CHECKS
) -> Report:
    """Whether a rule of decision is wrong in no more than 2.5 % of studies, and finds what is clear.

    Args:
        rule: ``rule(effects_CTS, margin)`` says of each claim whether it is shown to lie above the margin
            on every task; differences are paired by seed, shape (claims, tasks, seeds).
        studies: how many are simulated for each check.
        seed: of the simulation.
        only: the checks to run; left out, all of them.

    Returns:
        A report; its exit code is 1 if a check failed.

    Source: docs/verdicts.md; Holm 1979 for the family, Berger 1982 for "on every task".

    >>> def means_alone(effects_CTS, margin):
    ...     return effects_CTS.mean(axis=(1, 2)) > margin
    >>> check_rule(means_alone, studies=40).exit_code
    1
    """
    results = tuple(_result(check, Simulated(rule, studies, seed)) for check in only)
    failed = [each.name for each in results if each.status is Status.FAILED]
    verdict = f"wrong too often: {', '.join(failed)}" if failed else "keeps its error rate"
    return Report(subject=getattr(rule, "__name__", "rule"), verdict=verdict, results=results)


def _result(check: Check, sim: Simulated) -> CheckResult:
    wrong = check(sim)
    status = Status.FAILED if wrong else Status.PASSED
    return CheckResult(
        name=check.__name__, says=check.__doc__ or "", status=status, detail=wrong or ""
    )
