"""One judged claim as JSON values: what a card of the page shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kdcheck.report.arms import read
from kdcheck.report.runs import Run
from kdcheck.study.record import Judged
from kdcheck.verdict import Verdict


def judgement(judged: Judged, runs: Mapping[str, Run]) -> dict[str, Any]:
    """What the report says of one claim.

    Args:
        judged: the claim with its verdict.
        runs: at least those it rests on.

    Returns:
        JSON values; see ``claims`` in ``schema.json``.

    Source: a card of the report.

    >>> from kdcheck.report.runs import collect
    >>> from kdcheck.study.samples import SampleStore, sample_judged
    >>> shown = judgement(sample_judged(), collect(sample_judged().digests(), SampleStore()))
    >>> shown["word"], round(shown["effect"], 2), shown["seconds"]
    ('SUPPORTED', 0.49, 9.0)
    """
    claim, verdict = judged.claim, judged.verdict
    enough = verdict.seeds >= 2
    binary = all(run.classes == 2 for run in _own(judged, runs))
    return {
        "id": claim.id,
        "says": claim.says,
        "where": claim.where,
        "paper": claim.paper,
        "at_two_classes": claim.at_two_classes if binary else "",
        "word": verdict.word.value,
        "reason": verdict.reason,
        "advice": verdict.fault.advice if verdict.fault else "",
        "effect": verdict.effect,
        "interval": list(verdict.interval()) if enough else None,
        "unit": claim.margin.unit,
        "margin": claim.margin.size,
        "because": claim.because,
        "holds": claim.holds,
        "direction": claim.direction,
        "tasks": _tasks(verdict),
        "tasks_as_claimed": verdict.tasks_as_claimed,
        "seeds": verdict.seeds,
        "more_seeds": verdict.more_seeds,
        "criterion": _criterion(judged),
        "deviations": list(judged.deviations),
        "runs": [_runs_of(arm, judged) for arm in judged.runs.runs],
        "seconds": sum(run.cost.get("seconds", 0.0) for run in _own(judged, runs)),
    }


def _own(judged: Judged, runs: Mapping[str, Run]) -> list[Run]:
    return [runs[digest] for digest in judged.digests()]


def _runs_of(arm: str, judged: Judged) -> dict[str, Any]:
    tasks = judged.runs.runs[arm]
    digests = {task: dict(seeds) for task, seeds in tasks.items()}
    return {"arm": arm, "label": f"{read(arm).label} ({read(arm).size})", "digests": digests}


def _criterion(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    plan = verdict.criterion.plan
    return {
        "contrast": judged.contrast.text,
        "looks": list(plan.looks),
        "rates": {
            "SUPPORTED": plan.supported,
            "REFUTED": plan.refuted,
            "EQUIVALENT": plan.equivalent,
        },
        "adjusted_p": {word.value: p for word, p in verdict.adjusted_p.items()},
        "seeds_used": verdict.seeds_used,
        "family_size": verdict.family_size,
        "digest": verdict.criterion.digest,
    }


def _tasks(verdict: Verdict) -> list[dict[str, Any]]:
    measured = verdict.measured.tasks if verdict.measured else {}
    known = [name for name in verdict.criterion.tasks if name in measured]
    return [_task(verdict, name) for name in known]


def _task(verdict: Verdict, name: str) -> dict[str, Any]:
    assert verdict.measured is not None
    task = verdict.measured.tasks[name]
    # INVALID evidence is shown seed by seed, without a mean that would lend it weight.
    mean = math.fsum(task.effects) / len(task.effects) if verdict.seeds else None
    seeds = sorted(zip(task.seeds, task.effects, strict=True))
    return {
        "name": name,
        "effect": mean,
        "interval": list(verdict.interval(task=name)) if verdict.seeds >= 2 else None,
        "per_seed": [
            {"seed": seed, "effect": value if math.isfinite(value) else None}
            for seed, value in seeds
        ],
    }
