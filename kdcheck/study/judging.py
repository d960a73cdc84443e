"""From evidence to what a verdict is made of: criteria, and each contrast per task and seed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kdcheck.claims import Arm, Claim, Contrast, Reading
from kdcheck.evidence.judged import RunTable
from kdcheck.metrics import METRICS
from kdcheck.study.readings import Readings
from kdcheck.study.scale import Scale
from kdcheck.verdict import Criterion, Measured, Plan, TaskEffects


def criterion_of(claim: Claim, scale: Scale) -> Criterion:
    """The criterion that a claim registers at a scale; its digest changes with whatever decides."""
    plan = Plan.of(scale.seeds)
    return Criterion(
        claim=claim.id,
        tasks=scale.tasks,
        margin=claim.margin.size,
        because=claim.because,
        unit=claim.margin.unit,
        contrast=claim.measures.text,
        direction=claim.direction,
        says=claim.says,
        holds=claim.holds,
        rests_on=claim.rests_on,
        paper=claim.paper.name,
        scale=scale.name,
        seeds=tuple(range(scale.first_seed, scale.first_seed + plan.looks[-1])),
        plan=plan,
    )


def measure(
    contrast: Contrast,
    table: RunTable,
    readings: Readings,
    may_collapse: Collection[str] = (),
) -> Measured:
    """A contrast on every task with every seed, and all that the guards look at.

    Args:
        contrast: of a claim.
        table: which run is which arm, and which could not be trained.
        readings: of those runs.
        may_collapse: methods that are bad on purpose: that their runs, and their students', are no
            classifiers is what was measured and no fault.
    """
    return Measured(
        tasks={
            task: _effects_on(contrast, table, task, readings, may_collapse) for task in table.tasks
        },
        seeds_expected=len(table.seeds),
        contrast=contrast,
    )


def _effects_on(
    contrast: Contrast,
    table: RunTable,
    task: str,
    readings: Readings,
    may_collapse: Collection[str],
) -> TaskEffects:
    arms = contrast.arms()
    seeds = tuple(s for s in table.seeds if all(table.has(arm, task, s) for arm in arms))
    values = {
        reading: [readings.value(reading, table.digest(reading.arm, task, seed)) for seed in seeds]
        for reading in sorted(contrast.readings(), key=lambda reading: reading.text)
    }
    by_seed = [{r: seen[at] for r, seen in values.items()} for at in range(len(seeds))]
    effects = [contrast.value(at_seed.__getitem__) for at_seed in by_seed]
    # A reading that no seed changes would look like a seed that was ignored.
    seeded = {r: values[r] for r in values if METRICS[r.metric].seeded}
    runs = {arm.key: tuple(table.digest(arm, task, seed) for seed in seeds) for arm in arms}
    some_run = next((digest for digests in runs.values() for digest in digests), "")
    return TaskEffects(
        seeds=seeds,
        effects=tuple(map(float, effects)),
        arms={r.text: tuple(map(_number, seen)) for r, seen in seeded.items()},
        curves={
            r.text: tuple(tuple(map(float, curve)) for curve in seen)
            for r, seen in values.items()
            if r.point == "every"
        },
        constants={
            r.text: tuple(map(float, seen))
            for r, seen in values.items()
            if r not in seeded and r.point != "every"
        },
        limits={r.text: _limits(r, readings.classes(some_run)) for r in seeded if some_run},
        runs=runs,
        data=readings.data(some_run) if some_run else "",
        degenerate_runs=_degenerate(contrast, table, task, readings, may_collapse),
        failed_runs=tuple(
            str(each) for each in table.missing if each.task == task and each.arm in arms
        ),
    )


def _number(value: Any) -> float:
    """A reading as a number: of a curve its mean."""
    return float(value.mean()) if getattr(value, "ndim", 0) else float(value)


def _limits(reading: Reading, classes: int) -> tuple[float, float]:
    metric = METRICS[reading.metric]
    return float(metric.low), float(metric.high(classes))


def _degenerate(
    contrast: Contrast,
    table: RunTable,
    task: str,
    readings: Readings,
    may_collapse: Collection[str],
) -> tuple[str, ...]:
    return tuple(
        sorted(
            f"{arm.key} seed {seed}"
            for arm in contrast.arms()
            if not _may_collapse(arm, may_collapse)
            for seed in table.seeds
            if table.has(arm, task, seed)
            if readings.is_degenerate(table.digest(arm, task, seed))
        )
    )


def _may_collapse(arm: Arm, methods: Collection[str]) -> bool:
    """Whether an arm, or whoever it learns from, is bad on purpose."""
    return any(each.method in methods for each in arm.lineage())
