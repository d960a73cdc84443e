"""From evidence to verdicts: what each claim's contrast gives per task and seed, judged as a family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kdcheck.claims import Claim, Contrast
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.judged import RunTable
from kdcheck.metrics import METRICS
from kdcheck.study.graph import Graph
from kdcheck.study.readings import Readings
from kdcheck.study.scale import Scale
from kdcheck.verdict import Criterion, Measured, TaskEffects, Verdict, judge_family
from kdcheck.verdict.guards import CriterionChanged

REGISTERED_SEEDS = tuple(range(10))
"""Seeds in the order in which they count; a study runs the first so many."""


def criterion_of(claim: Claim, scale: Scale) -> Criterion:
    """The criterion that a claim registers at a scale; its digest changes with whatever decides."""
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
        seeds=REGISTERED_SEEDS,
    )


def measure(contrast: Contrast, table: RunTable, readings: Readings) -> Measured:
    """A contrast on every task with every seed, raw readings for the guards, and degenerate runs."""
    return Measured(
        tasks={task: _effects_on(contrast, table, task, readings) for task in table.tasks},
        seeds_expected=len(table.seeds),
    )


def _effects_on(contrast: Contrast, table: RunTable, task: str, readings: Readings) -> TaskEffects:
    effects: list[float] = []
    # A reading that no seed changes would look like a seed that was ignored.
    seeded = [r for r in contrast.readings() if METRICS[r.metric].seeded]
    arms: dict[str, list[float]] = {r.text: [] for r in sorted(seeded, key=lambda r: r.text)}
    degenerate: set[str] = set()
    for seed in table.seeds:
        values = {
            reading: readings.value(reading, table.digest(reading.arm, task, seed))
            for reading in contrast.readings()
        }
        effects.append(float(contrast.value(values.__getitem__)))
        for reading in seeded:
            value = values[reading]
            arms[reading.text].append(float(value.mean() if reading.point == "every" else value))
        degenerate |= {
            f"{arm.key} seed {seed}"
            for arm in contrast.arms()
            if readings.is_degenerate(table.digest(arm, task, seed))
        }
    return TaskEffects(
        seeds=table.seeds,
        effects=tuple(effects),
        arms={name: tuple(values) for name, values in arms.items()},
        degenerate_runs=tuple(sorted(degenerate)),
    )


def judge_all(
    claims: Iterable[Claim],
    graph: Graph,
    get: Callable[..., Evidence],
    *,
    registered: Mapping[str, str] | None = None,
    beside: Sequence[Verdict] = (),
) -> dict[str, Verdict]:
    """Verdicts on all claims of a study, judged as one family.

    Args:
        claims: planned.
        graph: which run is which arm.
        get: evidence by digest; each is asked for once.
        registered: digests of the criteria as stored before the first run, by claim id.
        beside: verdicts on other claims of the same family, as stored: asking for one claim alone
            does not make it easier.

    Returns:
        By claim id, those judged beside it too.
    """
    asked, readings = list(claims), Readings(get)
    measured: dict[str, Measured | None] = {
        claim.id: measure(claim.measures, graph.table(claim.measures), readings) for claim in asked
    }
    criteria = [criterion_of(claim, graph.scale) for claim in asked]
    return judge_family(
        criteria + [verdict.criterion for verdict in beside],
        measured | {verdict.criterion.claim: verdict.measured for verdict in beside},
        registered_digests=dict(registered or {}) | still_changed(beside),
    )


def still_changed(stored: Iterable[Verdict]) -> dict[str, str]:
    """For claims whose criterion was found changed, a digest that it is not.

    What was registered before their first run is not stored with them, only that it was another.
    """
    return {
        verdict.criterion.claim: "another"
        for verdict in stored
        if isinstance(verdict.fault, CriterionChanged)
    }
