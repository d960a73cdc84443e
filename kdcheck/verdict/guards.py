"""Guards: what makes evidence unfit to be judged. Each is a class that lists causes and cures."""

# X = any leading axes, T = tasks, S = seeds

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kdcheck.claims.contrast import Reading
from kdcheck.verdict.criterion import Criterion
from kdcheck.verdict.measured import Measured, TaskEffects
from kdcheck.verdict.p_values import Bools, spread_is_rounding
from kdcheck.verdict.spread import Floats

BLIND = 1e-6
"""Seeds that change an arm by less than this share of its size do not change it."""
SHOWN = 3
"""Failed runs that are named one by one where many are."""
IN_RANGE = 1e-9
"""A reading may leave its range by so much: rounding of a mean over some thousand examples."""
AGREES = 1e-9
"""Between an effect and the contrast of its arms: the same arithmetic, perhaps in another order."""


@dataclass(frozen=True)
class Fault:
    """Why evidence is INVALID; the class says likely causes and cures, ``detail`` what was met.

    Source: docs/verdicts.md, "What is INVALID".

    >>> fault = FewerRuns("no runs on ['reviews']")
    >>> fault.kind, fault.advice.splitlines()[0]
    ('FewerRuns', 'Runs that were registered are missing.')
    """

    detail: str

    @property
    def kind(self) -> str:
        """Name of the fault, as stored."""
        return type(self).__name__

    @property
    def advice(self) -> str:
        """Likely causes and cures."""
        return inspect.getdoc(type(self)) or ""


class UnregisteredRuns(Fault):
    """Evidence comes from tasks or seeds that the criterion does not register.

    Likely causes: 1. runs of another scale in the same store: filter by scale. 2. Extra seeds were
    tried and picked: judge the registered ones.
    """


class FailedRun(Fault):
    """A run that the claim needs could not be trained.

    Likely causes: 1. its loss is not finite: lower the rate in the scale file. 2. Too little memory for
    one example: shorten max_length, or use a larger device. 3. Its process died each time: look at the
    worker's log, and at the kernel's for want of memory. What failed is not tried again by itself:
    pytest claims/ --retry-failed does.
    """


class FewerRuns(Fault):
    """Runs that were registered are missing.

    Likely causes: 1. a run failed or was killed: run again, finished runs come from the store.
    2. Seeds were left out by hand: a look at n uses the first n registered seeds, all of them.
    """


class DuplicateSeeds(Fault):
    """A seed counts twice, which would make the evidence look stronger than it is.

    Likely causes: 1. one run was exported twice, or two stores were merged: keep one. 2. Two recipes
    differ in something that the seed list does not show: split the claim.
    """


class UnequalSeeds(Fault):
    """Tasks were measured with different seeds.

    Likely causes: 1. a run is missing on one task: run again. 2. Stores of unequal size were merged.
    """


class NotFinite(Fault):
    """A value is NaN or infinite.

    Likely causes: 1. training diverged: lower the rate, or look at the first non-finite loss. 2. Half
    precision overflowed. 3. A metric divided by zero, such as a correlation of a constant.
    """


class DegenerateRun(Fault):
    """A run predicts one class for almost every example, or worse than chance: it is no classifier.

    Likely causes: 1. the rate is too high or the epochs too few for this encoder: see the scale
    file. 2. The label map of the head is wrong. 3. The encoder's weights were not loaded. 4. The arm
    is made bad on purpose: name its method in the scale's ``may_collapse`` and register that.
    """


class OutOfRange(Fault):
    """A reading lies where none can: entropy below 0 or above log K, accuracy outside 0 to 1.

    Likely causes: 1. a metric of your own, or its row in the table, is wrong. 2. Readings were
    altered after training. 3. Logits and classes of two tasks were mixed up.
    """


class RunTwice(Fault):
    """One run counts for two seeds or tasks, so the evidence looks stronger than it is.

    Likely causes: 1. the seed is not part of the recipe. 2. A run was copied under another seed:
    delete the copy and run again.
    """


class SameData(Fault):
    """Two tasks are tested on the same examples, so they are one.

    Likely causes: 1. one data set was added under two names: leave one out. 2. A file was read for
    both tasks.
    """


class NotTheDifference(Fault):
    """The effects are not the claim's contrast of its arms.

    Likely causes: 1. effects or arms were altered after training: judge again from the posteriors.
    2. The contrast was changed after it was measured.
    """


class SeedIgnored(Fault):
    """All seeds gave one value in an arm, up to a millionth: the metric, or the run, ignores its seed.

    Likely causes: 1. every run read the same cached posteriors: check the recipe's digest. 2. Order
    and dropout do not draw from the seed's streams. 3. The test split is too small to tell seeds
    apart: use more examples, or a metric that is not a count.
    """


class IdenticalDifferences(Fault):
    """All paired differences are equal, so a t test would claim certainty (p = 0).

    Likely causes: 1. both arms are one recipe under two names: all differences are 0. 2. One arm is
    computed from the other. 3. The metric is too coarse: use more examples.
    """


FAULTS: dict[str, type[Fault]] = {cls.__name__: cls for cls in Fault.__subclasses__()}


def fault_from_dict(stored: Mapping[str, Any]) -> Fault:
    """The fault stored as ``{"kind": ..., "detail": ...}``."""
    return FAULTS[stored["kind"]](stored["detail"])


@dataclass(frozen=True)
class Arrays:
    """One claim's measurements as arrays, seeds in registered order."""

    effects: Floats
    """Shape (..., T, S)."""
    arms: tuple[Floats, ...] = ()
    """Raw values of both sides of the contrast, each (..., T, S); may be empty."""

    @property
    def size(self) -> Floats:
        """Magnitude of the figures behind the effects, shape (..., T): it scales rounding."""
        parts = [np.abs(part).max(axis=-1) for part in (self.effects, *self.arms)]
        return np.asarray(np.max(parts, axis=0))


def _not_finite(arrays: Arrays) -> Bools:
    """Tasks with a NaN or infinite effect or raw value, shape (..., T)."""
    parts = (arrays.effects, *arrays.arms)
    return np.asarray(np.any([~np.isfinite(part).all(axis=-1) for part in parts], axis=0))


def _seed_ignored(arrays: Arrays) -> Bools:
    """Tasks with an arm that has one value for all seeds, up to ``BLIND``, shape (..., T)."""
    same = [
        np.ptp(arm_XTS, axis=-1) <= BLIND * np.abs(arm_XTS).max(axis=-1) for arm_XTS in arrays.arms
    ]
    return np.asarray(np.any(same, axis=0) & np.ones(arrays.size.shape, dtype=bool))


def _identical_differences(arrays: Arrays) -> Bools:
    """Tasks whose paired differences are all equal, shape (..., T)."""
    return spread_is_rounding(arrays.effects, arrays.size)


_ARRAY_GUARDS: tuple[tuple[type[Fault], Callable[[Arrays], Bools], str], ...] = (
    (NotFinite, _not_finite, "a value is not finite"),
    (SeedIgnored, _seed_ignored, "all seeds gave one value in an arm"),
    (IdenticalDifferences, _identical_differences, "all paired differences are equal"),
)


def unfit(arrays: Arrays) -> Bools:
    """Claims that an array guard turns INVALID: shape X, without the axes of tasks and seeds."""
    with np.errstate(invalid="ignore"):  # inf - inf is one of the things looked for
        return np.asarray(np.any([guard(arrays) for _, guard, _ in _ARRAY_GUARDS], axis=(0, -1)))


def find_fault(criterion: Criterion, measured: Measured) -> Fault | None:
    """Missing or surplus runs first, then what the values show."""
    return next(_structural_faults(criterion, measured), None) or _array_fault(criterion, measured)


def _structural_faults(criterion: Criterion, measured: Measured) -> Iterator[Fault]:
    tasks = measured.tasks
    if failed := list(dict.fromkeys(run for task in tasks.values() for run in task.failed_runs)):
        more = f"; {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        yield FailedRun(f"not trained is {'; '.join(failed[:SHOWN])}{more}")
    if extra := sorted(set(tasks) - set(criterion.tasks)):
        yield UnregisteredRuns(f"tasks {extra} are not registered")
    missing = [name for name in criterion.tasks if name not in tasks or not tasks[name].seeds]
    if missing:
        yield FewerRuns(f"no runs on {missing}, registered are {list(criterion.tasks)}")
    for name, task in tasks.items():
        if twice := sorted({seed for seed in task.seeds if task.seeds.count(seed) > 1}):
            yield DuplicateSeeds(f"seeds {twice} count more than once on {name!r}")
        if extra_seeds := sorted(set(task.seeds) - set(criterion.seeds)):
            yield UnregisteredRuns(f"seeds {extra_seeds} on {name!r} are not registered")
        if task.degenerate_runs:
            yield DegenerateRun(f"one class only on {name!r}: {', '.join(task.degenerate_runs)}")
    if len({frozenset(task.seeds) for task in tasks.values()}) > 1:
        counts = {name: sorted(task.seeds) for name, task in tasks.items()}
        yield UnequalSeeds(f"tasks were run with different seeds: {counts}")
    yield from _missing_seeds(criterion, measured)
    yield from _counted_twice(measured)
    yield from _altered(criterion, measured)


def _missing_seeds(criterion: Criterion, measured: Measured) -> Iterator[Fault]:
    found = set(next(iter(measured.tasks.values())).seeds)
    expected = max(len(found), measured.seeds_expected or 0)
    if missing := [seed for seed in criterion.seeds[:expected] if seed not in found]:
        yield FewerRuns(f"seeds {missing} of the first {expected} registered are missing")


def _counted_twice(measured: Measured) -> Iterator[Fault]:
    """Runs that count for two seeds or tasks, and tasks that are one."""
    places: dict[tuple[str, str], str] = {}
    for name, task in measured.tasks.items():
        for arm, digests in task.runs.items():
            for seed, digest in zip(task.seeds, digests, strict=True):
                place = f"seed {seed} on {name!r}"
                if other := places.get((arm, digest)):
                    yield RunTwice(f"run {digest[:12]} of {arm} counts as {other} and as {place}")
                places[arm, digest] = place
    data: dict[str, str] = {}
    for name, task in measured.tasks.items():
        if task.data and task.data in data:
            yield SameData(f"{data[task.data]!r} and {name!r} are tested on the same examples")
        data[task.data] = name


def _altered(criterion: Criterion, measured: Measured) -> Iterator[Fault]:
    """Values that no metric gives, and effects that do not follow from the arms."""
    for name, task in measured.tasks.items():
        for arm, (low, high) in task.limits.items():
            for seed, value in zip(task.seeds, task.arms[arm], strict=True):
                reach = IN_RANGE * max(1.0, abs(value))
                if value < low - reach or value > high + reach:
                    yield OutOfRange(
                        f"{arm} is {value:.6g} with seed {seed} on {name!r}, outside "
                        f"{low:.6g} to {high:.6g}"
                    )
        yield from _unlike_the_arms(criterion, measured, name)


def _read(task: TaskEffects, at: int, reading: Reading) -> Any:
    return task.value(reading.text, at)


def _unlike_the_arms(criterion: Criterion, measured: Measured, name: str) -> Iterator[Fault]:
    contrast, task = measured.contrast, measured.tasks[name]
    if contrast is None:
        return
    if contrast.text != criterion.contrast:
        yield NotTheDifference(f"measured is {contrast.text}, registered {criterion.contrast}")
    for at, (seed, effect) in enumerate(zip(task.seeds, task.effects, strict=True)):
        try:
            again = float(contrast.value(partial(_read, task, at)))
        except KeyError as missing:
            yield NotTheDifference(f"there are no values of {missing} on {name!r}")
            return
        same = math.isclose(again, effect, rel_tol=AGREES, abs_tol=AGREES)
        # What is not finite has a fault of its own.
        if math.isfinite(again) and math.isfinite(effect) and not same:
            yield NotTheDifference(
                f"the effect {effect:+.6g} with seed {seed} on {name!r} is not the contrast of its "
                f"arms, {again:+.6g}"
            )


def _array_fault(criterion: Criterion, measured: Measured) -> Fault | None:
    arrays = as_arrays(criterion, measured)
    seeds = arrays.effects.shape[-1]
    enough = seeds >= criterion.plan.looks[0]  # two equal differences may well be chance
    # The first guard leaves the others no value that is not finite.
    for kind, guard, what in _ARRAY_GUARDS if enough else _ARRAY_GUARDS[:1]:
        bad_T = guard(arrays)
        if bad_T.any():
            names = ", ".join(repr(criterion.tasks[t]) for t in np.flatnonzero(bad_T))
            return kind(f"{what} on {names} ({seeds} seeds)")
    return None


def as_arrays(criterion: Criterion, measured: Measured) -> Arrays:
    """Measurements without structural faults as arrays: tasks and seeds in registered order."""
    tasks = [measured.tasks[name] for name in criterion.tasks]
    seeds = [seed for seed in criterion.seeds if seed in tasks[0].seeds]
    rows_T = [[task.seeds.index(seed) for seed in seeds] for task in tasks]

    def stack(values_T: list[tuple[float, ...]]) -> Floats:
        return np.array([np.array(v)[row] for v, row in zip(values_T, rows_T, strict=True)], float)

    arms = tuple(stack([task.arms[name] for task in tasks]) for name in tasks[0].arms)
    return Arrays(stack([task.effects for task in tasks]), arms)
