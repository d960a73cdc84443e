"""What was measured for a claim: per task, one paired difference for each seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from kdcheck.claims.contrast import Contrast
from kdcheck.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TaskEffects:
    """The effects of one task: seeds, their paired differences, and what these were made of.

    Args:
        seeds: seed numbers, in any order.
        effects: one contrast per seed, in the criterion's unit.
        arms: raw values per seed of what was contrasted, by name; of a curve its mean. They serve
            the guards alone: an arm that is the same for all seeds ignores them.
        curves: by name of an arm that is a curve, its values per seed.
        constants: by name, values per seed that no seed can change, such as a closed form.
        limits: by name of an arm, the smallest and the largest value that it can have.
        runs: by name of a way of training, the digest of its run with each seed.
        data: digest of the ids and labels that it was tested on.
        degenerate_runs: names of runs that are no classifiers, and should be.
        failed_runs: names of runs that could not be trained, each with the reason; their seeds are
            not among the others.

    Raises:
        InputError: lengths that differ, or limits of what is no arm.

    Source: decision 0005, one seed, one pipeline.

    >>> TaskEffects(seeds=(0, 1), effects=(0.4, 0.5)).effect_of(1)
    0.5
    """

    seeds: tuple[int, ...]
    effects: tuple[float, ...]
    arms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    curves: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    constants: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    runs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    data: str = ""
    degenerate_runs: tuple[str, ...] = ()
    failed_runs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        by_name = {**self.arms, **self.curves, **self.constants, **self.runs}
        for name, values in {"effects": self.effects, **by_name}.items():
            if len(values) != len(self.seeds):
                raise InputError(
                    "TaskEffects",
                    f"{len(values)} values of {name!r} for {len(self.seeds)} seeds",
                    "one value per seed",
                    "Pair each value with the seed that made it.",
                )
        if unknown := sorted(self.limits.keys() - self.arms.keys()):
            wanted = f"limits of its arms, {', '.join(self.arms) or 'of which it has none'}"
            raise InputError(
                "TaskEffects", f"limits of {unknown}", wanted, "Name them as the arms are named."
            )

    def effect_of(self, seed: int) -> float:
        """The difference measured with a seed."""
        return self.effects[self.seeds.index(seed)]

    def value(self, name: str, at: int) -> Any:
        """What was read under that name with the seed in that place: a number, or a curve."""
        if name in self.curves:
            return np.array(self.curves[name][at])
        return (self.arms if name in self.arms else self.constants)[name][at]

    def to_dict(self) -> dict[str, Any]:
        """JSON scalars, lists and objects; NaN and infinities as strings, for strict readers."""
        return {
            "seeds": list(self.seeds),
            "effects": _to_json(self.effects),
            "arms": {name: _to_json(values) for name, values in self.arms.items()},
            "curves": {name: _to_json(values) for name, values in self.curves.items()},
            "constants": {name: _to_json(values) for name, values in self.constants.items()},
            "limits": {name: _to_json(pair) for name, pair in self.limits.items()},
            "runs": {name: list(digests) for name, digests in self.runs.items()},
            "data": self.data,
            "degenerate_runs": list(self.degenerate_runs),
            **({"failed_runs": list(self.failed_runs)} if self.failed_runs else {}),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The effects that ``to_dict`` wrote."""
        return cls(
            seeds=tuple(stored["seeds"]),
            effects=_numbers(stored["effects"]),
            arms={name: _numbers(xs) for name, xs in stored["arms"].items()},
            curves={name: tuple(map(_numbers, xs)) for name, xs in stored["curves"].items()},
            constants={name: _numbers(xs) for name, xs in stored["constants"].items()},
            limits={
                name: (float(low), float(high)) for name, (low, high) in stored["limits"].items()
            },
            runs={name: tuple(digests) for name, digests in stored["runs"].items()},
            data=stored["data"],
            degenerate_runs=tuple(stored["degenerate_runs"]),
            failed_runs=tuple(stored.get("failed_runs", ())),
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured for one claim.

    Args:
        tasks: effects by task name.
        seeds_expected: how many seeds this execution set out to run; fewer is INVALID.
        contrast: how the effects follow from the arms, if that is to be checked.

    Raises:
        InputError: tasks whose arms have different names.

    >>> one = Measured(tasks={"reviews": TaskEffects(seeds=(0, 1), effects=(0.4, float("nan")))})
    >>> str(Measured.from_dict(one.to_dict())) == str(one)
    True
    """

    tasks: Mapping[str, TaskEffects]
    seeds_expected: int | None = None
    contrast: Contrast | None = None

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
        """Whether no task has a single seed, nor a run that was tried in vain."""
        return not any(task.seeds or task.failed_runs for task in self.tasks.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON scalars, lists and objects only."""
        return {
            "tasks": {name: task.to_dict() for name, task in self.tasks.items()},
            "seeds_expected": self.seeds_expected,
            "contrast": self.contrast and self.contrast.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The measurements that ``to_dict`` wrote."""
        tasks = {name: TaskEffects.from_dict(task) for name, task in stored["tasks"].items()}
        contrast = stored["contrast"] and Contrast.from_dict(stored["contrast"])
        return cls(tasks=tasks, seeds_expected=stored["seeds_expected"], contrast=contrast)


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    return float(value) if math.isfinite(value) else str(float(value))


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
