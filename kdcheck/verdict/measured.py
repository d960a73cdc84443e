"""What was measured for a claim: per task, one paired difference for each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from kdcheck.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TaskEffects:
    """The effects of one task: seeds, their paired differences, and what these were made of.

    Args:
        seeds: seed numbers, in any order.
        effects: one contrast per seed, in the criterion's unit.
        arms: raw values per seed of what was contrasted, by name. They serve the guards alone: an
            arm that is the same for all seeds ignores them. Leave out what is a constant by nature.
        degenerate_runs: names of runs that predict one class for (almost) every example.

    Raises:
        InputError: lengths that differ.

    Source: decision 0005, one seed, one pipeline.

    >>> TaskEffects(seeds=(0, 1), effects=(0.4, 0.5)).effect_of(1)
    0.5
    """

    seeds: tuple[int, ...]
    effects: tuple[float, ...]
    arms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    degenerate_runs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, values in {"effects": self.effects, **self.arms}.items():
            if len(values) != len(self.seeds):
                raise InputError(
                    "TaskEffects",
                    f"{len(values)} values of {name!r} for {len(self.seeds)} seeds",
                    "one value per seed",
                    "Pair each value with the seed that made it.",
                )

    def effect_of(self, seed: int) -> float:
        """The difference measured with a seed."""
        return self.effects[self.seeds.index(seed)]

    def to_dict(self) -> dict[str, Any]:
        """JSON scalars, lists and objects; NaN and infinities as strings, for strict readers."""
        return {
            "seeds": list(self.seeds),
            "effects": [_to_json(x) for x in self.effects],
            "arms": {name: [_to_json(x) for x in values] for name, values in self.arms.items()},
            "degenerate_runs": list(self.degenerate_runs),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The effects that ``to_dict`` wrote."""
        return cls(
            seeds=tuple(stored["seeds"]),
            effects=tuple(float(x) for x in stored["effects"]),
            arms={name: tuple(float(x) for x in xs) for name, xs in stored["arms"].items()},
            degenerate_runs=tuple(stored["degenerate_runs"]),
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured for one claim.

    Args:
        tasks: effects by task name.
        seeds_expected: how many seeds this execution set out to run; fewer is INVALID.

    Raises:
        InputError: tasks whose arms have different names.

    >>> one = Measured(tasks={"reviews": TaskEffects(seeds=(0, 1), effects=(0.4, float("nan")))})
    >>> str(Measured.from_dict(one.to_dict())) == str(one)
    True
    """

    tasks: Mapping[str, TaskEffects]
    seeds_expected: int | None = None

    def __post_init__(self) -> None:
        names = {tuple(sorted(task.arms)) for task in self.tasks.values()}
        if len(names) > 1:
            raise InputError(
                "Measured",
                f"arms {sorted(names)}",
                "the same arms on every task",
                "Name the two sides of the contrast alike on each task.",
            )

    @property
    def is_empty(self) -> bool:
        """Whether no task has a single seed."""
        return not any(task.seeds for task in self.tasks.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON scalars, lists and objects only."""
        return {
            "tasks": {name: task.to_dict() for name, task in self.tasks.items()},
            "seeds_expected": self.seeds_expected,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The measurements that ``to_dict`` wrote."""
        tasks = {name: TaskEffects.from_dict(task) for name, task in stored["tasks"].items()}
        return cls(tasks=tasks, seeds_expected=stored["seeds_expected"])


def _to_json(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))
