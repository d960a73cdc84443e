"""A verdict: an object that remembers what it was made from, and explains itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

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
from kdcheck.verdict.p_values import sample_of, task_p_values
from kdcheck.verdict.seeds_needed import seeds_to_decide
from kdcheck.verdict.spread import NO_PRIOR, Prior
from kdcheck.verdict.words import DECIDING, REGIONS, REHEARSED, Word, signed

Cause = Literal["seeds", "contradiction", "price", "margin", "noise"]


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
    """The p of each word at the look that was used, beside the spread of like claims, no price paid."""
    own_p: Mapping[Word, float] = field(default_factory=dict)
    """The same from this task's own spread."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A word on a claim, with its inputs; effect, intervals and reason are computed from them.

    Made by ``judge`` and ``judge_family``, not by hand.

    Source: decisions 0040, 0042, and 0100 to 0102.

    >>> from kdcheck.verdict import TaskEffects, judge
    >>> criterion = Criterion(claim="c", tasks=("a",), margin=0.05, because="x", unit="nats")
    >>> effects = TaskEffects(seeds=(0, 1, 2, 3, 4), effects=(0.46, 0.49, 0.48, 0.50, 0.47))
    >>> verdict = judge(criterion, Measured(tasks={"a": effects}))
    >>> verdict.word.value, round(verdict.effect, 3), verdict.more_seeds
    ('SUPPORTED', 0.48, None)
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
    prior: Prior = NO_PRIOR
    """What the spread of like claims said at the look that was used."""
    family_size: int = 1
    """Number of claims that were judged together."""
    rivals: Mapping[Word, int] = field(default_factory=lambda: dict.fromkeys(DECIDING, 1))
    """Per word, among how many claims Holm still divides its error rate."""
    fault: Fault | None = None
    """Why it is INVALID; ``fault.advice`` lists causes and cures."""
    untestable: str = ""
    """Why it is NOT_TESTABLE, a sentence."""
    premise_seeds: int | None = None
    """Of a NOT_TESTABLE claim: about how many more seeds would decide its premises; None: none would."""
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
        """``CONFIRMATORY`` if all was registered before the first run, else ``EXPLORATORY``.

        ``REHEARSAL`` where nothing was to be learned: that is no evidence at all.
        """
        if REHEARSED in self.exploratory:
            return "REHEARSAL"
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
        judged = self.measured is not None and self.word not in (Word.INVALID, Word.NOT_RUN)
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
        if not self.seeds_used or not self.seeds:
            return ()
        effects_TS = self._arrays.effects
        used_TS, size_T = effects_TS[:, : self.seeds_used], self._arrays.size
        # The class of a claim on average holds variances of means over tasks, not of tasks.
        prior = NO_PRIOR if self.criterion.holds == "average" else self.prior
        beside_TW, own_TW = (
            task_p_values(self.criterion, sample_of(used_TS, size_T, each))
            for each in (prior, NO_PRIOR)
        )
        return tuple(
            TaskResult(
                name=name,
                effect=float(effects_TS[t].mean()),
                interval=self.interval(task=name),
                p=dict(zip(DECIDING, beside_TW[t].tolist(), strict=True)),
                own_p=dict(zip(DECIDING, own_TW[t].tolist(), strict=True)),
            )
            for t, name in enumerate(self.criterion.tasks)
        )

    def _shows(self, task: TaskResult, word: Word, rivals: int = 1) -> bool:
        """Whether a task by itself shows a word at this look, among so many claims."""
        plan = self.criterion.plan
        rate = plan.rate(word) * plan.weights[plan.reached(self.seeds_used) - 1]
        return rivals * task.p[word] <= rate and task.own_p[word] <= rate

    @property
    def tasks_as_claimed(self) -> int:
        """On how many tasks the claimed effect is shown, at the price of the looks and of Holm."""
        rivals = max(1, self.rivals[Word.SUPPORTED])
        return sum(self._shows(task, Word.SUPPORTED, rivals) for task in self.tasks)

    @cached_property
    def more_seeds(self) -> int | None:
        """About how many more seeds would decide with power 80 %; None: not reachable, or decided.

        For NOT_TESTABLE: would decide its premises.
        """
        if self.word is not Word.UNDECIDED:
            return self.premise_seeds
        if not self.seeds_used:
            return self.criterion.plan.looks[0] - self.seeds
        needed = seeds_to_decide(self.criterion, self._arrays.effects, self.rivals, self.prior)
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
        if self.criterion.holds == "average":
            return f"on average over {len(tasks)} tasks"
        if needed == len(tasks):
            return f"on every one of {len(tasks)} tasks"
        return f"on at least {needed} of {len(tasks)} tasks"

    @cached_property
    def cause(self) -> Cause | None:
        """What kept a claim UNDECIDED; None for other words.

        ``seeds``: the first look is not reached. ``contradiction``: tasks show opposite things.
        ``price``: clear by itself, not yet among all the claims of its family. ``margin``: less noise
        than margin, and the interval reaches across it. ``noise``: the interval is too wide.
        """
        if self.word is not Word.UNDECIDED:
            return None
        if not self.seeds_used:
            return "seeds"
        if len(self._shown_by_task()) > 1:
            return "contradiction"
        low, high = self.interval()
        margin = self.criterion.margin
        halves = [half for r in REGIONS[self.criterion.direction].values() for half in r.halves]
        if not any(low <= times * margin <= high for _, times in halves):
            return "price"
        return "margin" if (high - low) / 2 < margin else "noise"

    def _shown_by_task(self) -> dict[Word, list[str]]:
        """Per word, the tasks that show it by themselves, where there are any."""
        shown = {
            word: [task.name for task in self.tasks if self._shows(task, word)] for word in DECIDING
        }
        return {word: names for word, names in shown.items() if names}

    def _why_undecided(self) -> str:
        if self.cause == "seeds":
            first = self.criterion.plan.looks[0]
            return f"The first planned look is at {first} seeds; {self.more_seeds} more are needed."
        nearest = min(DECIDING, key=lambda word: self.adjusted_p[word])
        p = self.adjusted_p[nearest]
        near = f"Nearest is {nearest} (adjusted p = {p:.2g})." if p < 1 else "Nothing is near."
        return f"{self._cause_text()} {near} {self._what_would_decide()}"

    def _cause_text(self) -> str:
        low, high = self.interval()
        unit, margin = self.criterion.unit, f"{self.criterion.margin:.3g} {self.criterion.unit}"
        if self.cause == "contradiction":
            shown = (
                f"{word} on {' and '.join(map(repr, names))}"
                for word, names in self._shown_by_task().items()
            )
            return f"Contradiction between tasks: by itself {', '.join(shown)}."
        if self.cause == "price":
            return (
                f"Price: clear by itself, not for a family of {self.family_size} at all its looks."
            )
        if self.cause == "margin":
            reach = f"{signed(low)} to {signed(high)} {unit}"
            return f"Margin: the interval, {reach}, is narrow but reaches across the margin of {margin}."
        half = f"{(high - low) / 2:.2g} {unit}"
        return f"Noise: the interval reaches {half} to either side, the margin is {margin}."

    def _what_would_decide(self) -> str:
        if self.more_seeds is None:
            if self.cause == "contradiction":
                return "More seeds would not; the claim would have to say on which tasks it holds."
            return "At this effect and spread no affordable number of seeds would decide."
        beyond = self.seeds + self.more_seeds > self.criterion.plan.looks[-1]
        rest = ", more than the plan has" if beyond else ""
        return f"About {self.more_seeds} more seeds would decide{rest}."

    def __str__(self) -> str:
        at_scale = f" at {self.criterion.scale} scale" if self.criterion.scale else ""
        mark = " (REHEARSAL)" if self.standing == "REHEARSAL" else ""
        head = f"{self.criterion.claim}: {self.word}{mark}{at_scale}"
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
            "prior": list(self.prior),
            "rivals": {word.value: count for word, count in self.rivals.items()},
            "fault": self.fault and {"kind": self.fault.kind, "detail": self.fault.detail},
            "untestable": self.untestable,
            "premise_seeds": self.premise_seeds,
            "exploratory": list(self.exploratory),
            "derived": self._derived(),
        }

    def _derived(self) -> dict[str, Any]:
        return {
            "effect": self.effect,
            "interval_95": list(self.interval()) if self.seeds >= 2 else None,
            "more_seeds": self.more_seeds,
            "cause": self.cause,
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
            prior=Prior(*stored["prior"]),
            rivals={Word(word): count for word, count in stored["rivals"].items()},
            fault=stored["fault"] and fault_from_dict(stored["fault"]),
            untestable=stored["untestable"],
            premise_seeds=stored["premise_seeds"],
            exploratory=tuple(stored["exploratory"]),
        )

    def to_json(self) -> str:
        """Strict JSON, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=1, allow_nan=False)
