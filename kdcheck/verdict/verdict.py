"""A verdict: an object that remembers what it was made from, and explains itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from kdcheck.errors import InputError
from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.guards import Arrays, Fault, as_arrays, fault_from_dict
from kdcheck.verdict.intervals import (
    Interval,
    quantified_effect,
    quantified_interval,
    t_bounds,
)
from kdcheck.verdict.measured import Measured
from kdcheck.verdict.p_values import task_p_values
from kdcheck.verdict.power import seeds_to_decide
from kdcheck.verdict.words import DECIDING, REGIONS, Word, signed


@dataclass(frozen=True)
class TaskResult:
    """What one task says, taken alone.

    Source: decision 0042, what a verdict counts and shows.

    >>> TaskResult("reviews", 0.48, Interval(0.46, 0.5), {Word.SUPPORTED: 0.0001}).interval.low
    0.46
    """

    name: str
    effect: float
    """Mean paired difference over all seeds, in the claim's unit."""
    interval: Interval
    """95 % t interval over all seeds, no price for tasks, looks or family."""
    p: Mapping[Word, float]
    """The p of each word at the look that was used, no price paid."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A word on a claim, with its inputs; effect, intervals and reason are computed from them.

    Made by ``judge`` and ``judge_family``, not by hand.

    Source: decisions 0040 to 0042.

    >>> from kdcheck.verdict import TaskEffects, judge
    >>> criterion = Criterion(claim="c", tasks=("a",), margin=0.05, because="x", unit="nats")
    >>> effects = TaskEffects(seeds=(0, 1, 2), effects=(0.46, 0.49, 0.48))
    >>> verdict = judge(criterion, Measured(tasks={"a": effects}))
    >>> verdict.word.value, round(verdict.effect, 3), verdict.more_seeds
    ('SUPPORTED', 0.477, None)
    >>> Verdict.from_dict(verdict.to_dict()) == verdict
    True
    """

    criterion: Criterion
    measured: Measured | None
    word: Word
    seeds_used: int = 0
    """Number of seeds of the look that decided, or of the last look reached; 0 before the first."""
    adjusted_p: Mapping[Word, float] = field(default_factory=lambda: dict.fromkeys(DECIDING, 1.0))
    """The p of each word, the price of looks, tasks and family paid: compare it with the plan's rate."""
    family_size: int = 1
    """Number of claims that were judged together."""
    rivals: Mapping[Word, int] = field(default_factory=lambda: dict.fromkeys(DECIDING, 1))
    """Per word, among how many claims Holm still divides its error rate."""
    fault: Fault | None = None
    """Why it is INVALID; ``fault.advice`` lists causes and cures."""
    untestable: str = ""
    """Why it is NOT_TESTABLE, a sentence."""
    exploratory: tuple[str, ...] = ()
    """What differs from the registered study, a sentence each; none: the verdict is confirmatory."""

    @cached_property
    def _arrays(self) -> Arrays:
        if self.measured is None or self.word in (Word.INVALID, Word.NOT_RUN):
            raise InputError(
                f"verdict on {self.criterion.claim!r}",
                f"{self.word}",
                "evidence that could be judged",
                "Look at .reason first.",
            )
        return as_arrays(self.criterion, self.measured)

    @property
    def standing(self) -> str:
        """``CONFIRMATORY`` if all was registered before the first run, else ``EXPLORATORY``."""
        return "EXPLORATORY" if self.exploratory else "CONFIRMATORY"

    @property
    def p_supported(self) -> float:
        """The p of SUPPORTED, all prices paid."""
        return self.adjusted_p[Word.SUPPORTED]

    @property
    def p_refuted(self) -> float:
        """The p of REFUTED, all prices paid."""
        return self.adjusted_p[Word.REFUTED]

    @property
    def p_equivalent(self) -> float:
        """The p of EQUIVALENT, all prices paid."""
        return self.adjusted_p[Word.EQUIVALENT]

    @property
    def seeds(self) -> int:
        """Number of seeds measured, on each task; 0 for INVALID and NOT_RUN."""
        judged = self.word not in (Word.INVALID, Word.NOT_RUN)
        return self._arrays.effects.shape[-1] if judged else 0

    @property
    def effect(self) -> float | None:
        """Mean effect, over all seeds, of the task on which the claim turns; None without seeds."""
        return quantified_effect(self.criterion, self._arrays.effects) if self.seeds else None

    def interval(self, level: float = 0.95, task: str | None = None) -> Interval:
        """The t interval from all stored seeds: of one task, or of the effect the claim turns on.

        It estimates, the word tests: it pays no price for looks and family, and it uses seeds that
        came after the look that decided.

        Args:
            level: between 0 and 1.
            task: a task of the criterion.

        Raises:
            InputError: fewer than two seeds, a level outside 0..1, or an unknown task.
        """
        who = "Verdict.interval"
        if not 0 < level < 1:
            raise InputError(who, f"level {level}", "0 < level < 1", "Try 0.95.")
        known = self.criterion.tasks
        if task is not None and task not in known:
            raise InputError(who, f"task {task!r}", f"one of {known}", "Name a registered task.")
        effects_TS = self._arrays.effects
        if effects_TS.shape[-1] < 2:
            raise InputError(who, "1 seed", "at least 2", "Run more seeds.")
        if task is None:
            return quantified_interval(self.criterion, effects_TS, level)
        low_T, high_T = t_bounds(effects_TS, (1 - level) / 2)
        row = known.index(task)
        return Interval(float(low_T[row]), float(high_T[row]))

    @cached_property
    def tasks(self) -> tuple[TaskResult, ...]:
        """What each task says by itself; empty before the first look."""
        if not self.seeds_used:
            return ()
        effects_TS = self._arrays.effects
        p_TW = task_p_values(self.criterion, effects_TS[:, : self.seeds_used], self._arrays.size)
        return tuple(
            TaskResult(
                name=name,
                effect=float(effects_S.mean()),
                interval=self.interval(task=name),
                p=dict(zip(DECIDING, p_W.tolist(), strict=True)),
            )
            for name, effects_S, p_W in zip(self.criterion.tasks, effects_TS, p_TW, strict=True)
        )

    @property
    def tasks_as_claimed(self) -> int:
        """On how many tasks the claimed effect is shown, at the price of the looks and of Holm."""
        prices = len(self.criterion.plan.looks) * max(1, self.rivals[Word.SUPPORTED])
        rate = self.criterion.plan.rate(Word.SUPPORTED)
        return sum(prices * task.p[Word.SUPPORTED] <= rate for task in self.tasks)

    @cached_property
    def more_seeds(self) -> int | None:
        """About how many more seeds would decide with power 80 %; None: not reachable, or decided."""
        if self.word is not Word.UNDECIDED:
            return None
        if not self.seeds_used:
            return self.criterion.plan.looks[0] - self.seeds
        needed = seeds_to_decide(self.criterion, self._arrays.effects, self.rivals)
        return None if needed is None else needed - self.seeds

    @property
    def reason(self) -> str:
        """Why this word, in a sentence."""
        if self.word is Word.NOT_RUN:
            return "No run of this claim is in the evidence."
        if self.untestable:
            return self.untestable
        if self.fault is not None:
            return f"{self.fault.detail[0].upper()}{self.fault.detail[1:]}."
        if self.word is Word.UNDECIDED:
            return self._why_undecided()
        region = REGIONS[self.criterion.direction][self.word]
        where = region.text(self.criterion.margin, self.criterion.unit)
        return (
            f"The effect is {where} {self._where(self.word)} (adjusted p = "
            f"{self.adjusted_p[self.word]:.2g} at the look of {self.seeds_used} seeds)."
        )

    def _where(self, word: Word) -> str:
        """On which tasks a word is shown: the claim's quantifier, or what breaks it."""
        tasks, needed = self.criterion.tasks, self.criterion.needed_for(word)
        if len(tasks) == 1:
            return f"on {tasks[0]!r}"
        if needed == len(tasks):
            return f"on every one of {len(tasks)} tasks"
        return f"on at least {needed} of {len(tasks)} tasks"

    def _why_undecided(self) -> str:
        if not self.seeds_used:
            first = self.criterion.plan.looks[0]
            return f"The first planned look is at {first} seeds; {self.more_seeds} more are needed."
        nearest = min(DECIDING, key=lambda word: self.adjusted_p[word])
        start = (
            f"Nothing is shown; nearest is {nearest} (adjusted p = {self.adjusted_p[nearest]:.2g})."
        )
        if self.more_seeds is None:
            return f"{start} At this effect and spread no affordable number of seeds would decide."
        beyond = self.seeds + self.more_seeds > self.criterion.plan.looks[-1]
        rest = ", more than the plan has; register a new plan" if beyond else ""
        return f"{start} About {self.more_seeds} more seeds would decide{rest}."

    def __str__(self) -> str:
        at_scale = f" at {self.criterion.scale} scale" if self.criterion.scale else ""
        head = f"{self.criterion.claim}: {self.word}{at_scale}"
        if self.seeds < 2:
            return f"{head}. {self.reason}"
        low, high = self.interval()
        figures = (
            f"{signed(self.effect or 0.0)} [{signed(low)}, {signed(high)}] {self.criterion.unit}"
        )
        return f"{head}, {figures}. {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """JSON: the inputs, from which ``from_dict`` rebuilds, and derived figures for readers."""
        return {
            "criterion": self.criterion.to_dict(),
            "criterion_digest": self.criterion.digest,
            "measured": None if self.measured is None else self.measured.to_dict(),
            "word": self.word.value,
            "seeds_used": self.seeds_used,
            "adjusted_p": {word.value: p for word, p in self.adjusted_p.items()},
            "family_size": self.family_size,
            "rivals": {word.value: count for word, count in self.rivals.items()},
            "fault": self.fault and {"kind": self.fault.kind, "detail": self.fault.detail},
            "untestable": self.untestable,
            "exploratory": list(self.exploratory),
            "derived": self._derived(),
        }

    def _derived(self) -> dict[str, Any]:
        return {
            "effect": self.effect,
            "interval_95": list(self.interval()) if self.seeds >= 2 else None,
            "more_seeds": self.more_seeds,
            "reason": self.reason,
            "tasks": {
                task.name: {
                    "effect": task.effect,
                    "interval_95": list(task.interval),
                    "p": {word.value: p for word, p in task.p.items()},
                }
                for task in self.tasks
            },
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The verdict that ``to_dict`` wrote; derived figures are computed anew."""
        measured = stored["measured"]
        return cls(
            criterion=Criterion.from_dict(stored["criterion"]),
            measured=None if measured is None else Measured.from_dict(measured),
            word=Word(stored["word"]),
            seeds_used=stored["seeds_used"],
            adjusted_p={Word(word): p for word, p in stored["adjusted_p"].items()},
            family_size=stored["family_size"],
            rivals={Word(word): count for word, count in stored["rivals"].items()},
            fault=stored["fault"] and fault_from_dict(stored["fault"]),
            untestable=stored["untestable"],
            exploratory=tuple(stored["exploratory"]),
        )

    def to_json(self) -> str:
        """Strict JSON, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=1, allow_nan=False)
