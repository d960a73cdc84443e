"""One judged claim as JSON values: what a card of the page shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kdcheck.claims import Arm, Claim
from kdcheck.evidence.board import row
from kdcheck.evidence.judged import Judged
from kdcheck.report.run_summary import RunSummary
from kdcheck.verdict import Verdict


def claim_entry(judged: Judged, runs: Mapping[str, RunSummary]) -> dict[str, Any]:
    """What the report says of one claim but for its place; ``runs`` has at least its own."""
    claim, verdict = judged.claim, judged.verdict
    own = [runs[digest] for digest in judged.table.digests()]
    return row(judged) | {
        "where": claim.where,
        "paper": in_paper(claim),
        "at_two_classes": claim.at_two_classes if all(run.classes == 2 for run in own) else "",
        "advice": verdict.fault.advice if verdict.fault else "",
        "margin": claim.margin.size,
        "because": claim.because,
        "holds": claim.holds,
        "direction": claim.direction,
        "tasks": _tasks(verdict),
        "more_seeds": verdict.more_seeds,
        "criterion": _criterion(judged),
        "deviations": list(judged.deviations),
        "runs": [_runs_of(arm, judged) for arm in judged.table.runs],
        "seconds": sum(run.cost.get("seconds", 0.0) for run in own),
    }


def in_paper(claim: Claim) -> list[dict[str, Any]]:
    """The contrast on the paper's own tables: per task its value, and the tables it is made from."""
    cells = claim.paper.cells(claim.measures)
    return [
        {
            "task": task,
            "value": value,
            "tables": list(dict.fromkeys(cell.table for cell in cells[task].values())),
        }
        for task, value in claim.in_paper().items()
        if math.isfinite(value)
    ]


def _runs_of(arm: Arm, judged: Judged) -> dict[str, Any]:
    tasks = judged.table.runs[arm].items()
    return {
        "arm": arm.key,
        "label": f"{judged.claim.paper.label(arm)} ({arm.size})",
        "digests": {task: {str(s): seeds[s] for s in sorted(seeds)} for task, seeds in tasks},
    }


def _criterion(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    plan = verdict.criterion.plan
    return {
        "contrast": judged.claim.measures.text,
        "looks": list(plan.looks),
        "rates": {word.value: plan.rate(word) for word in verdict.adjusted_p},
        "adjusted_p": {word.value: p for word, p in verdict.adjusted_p.items()},
        "seeds_used": verdict.seeds_used,
        "family_size": verdict.family_size,
        "digest": verdict.criterion.digest,
    }


def _tasks(verdict: Verdict) -> list[dict[str, Any]]:
    measured = verdict.measured.tasks if verdict.measured else {}
    return [_task(verdict, name) for name in verdict.criterion.tasks if name in measured]


def _task(verdict: Verdict, name: str) -> dict[str, Any]:
    assert verdict.measured is not None
    task = verdict.measured.tasks[name]
    # INVALID evidence is shown seed by seed, without a mean that would lend it weight.
    mean = math.fsum(task.effects) / len(task.effects) if verdict.seeds else None
    return {
        "name": name,
        "effect": mean,
        "interval": list(verdict.interval(task=name)) if verdict.seeds >= 2 else None,
        "per_seed": [
            {"seed": seed, "effect": value if math.isfinite(value) else None}
            for seed, value in sorted(zip(task.seeds, task.effects, strict=True))
        ],
    }
