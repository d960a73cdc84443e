"""Judging stored claims again: readings from posteriors, verdicts from readings, nothing trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from kdcheck import metrics
from kdcheck.errors import EvidenceError
from kdcheck.evidence.bundle import curves_read
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.judged import Judged
from kdcheck.evidence.source import EvidenceSource
from kdcheck.study.judging import measure
from kdcheck.study.readings import Readings
from kdcheck.verdict import Criterion, Verdict, judge_family

TOLERANCE = 1e-6
"""Between a stored figure and the same from stored float32 logits: sums in another order."""


@dataclass(frozen=True)
class Check:
    """A claim's stored verdict beside the one recomputed from its evidence."""

    paper: str
    scale: str
    stored: Verdict
    again: Verdict

    @property
    def differences(self) -> tuple[str, ...]:
        """What is not as stored: the word, why it is INVALID, or the effect of a task and seed."""
        stored, again = self.stored, self.again
        found = [] if stored.word is again.word else [f"stored as {stored.word}"]
        fault, fault_again = (each.fault and each.fault.kind for each in (stored, again))
        if fault != fault_again:
            found.append(f"stored with {fault}")
        effects, kept = _effects(again), _effects(stored)
        if effects.keys() != kept.keys():
            found.append("stored for other tasks or seeds")
        found += [
            f"effect on {task} with seed {seed} stored as {kept[task, seed]:+.6f}, not {effect:+.6f}"
            for (task, seed), effect in effects.items()
            if not _close(kept.get((task, seed), effect), effect)
        ]
        return tuple(found)

    @property
    def same(self) -> bool:
        """Whether word, fault and every effect agree."""
        return not self.differences


def verify(source: EvidenceSource) -> Iterator[Check]:
    """Recompute every verdict of a store or bundle from its posteriors, family by family.

    Raises:
        EvidenceError: no claim is stored, or evidence is missing, damaged or altered.
    """
    claims = source.claims()
    if not claims:
        raise EvidenceError(
            "verify", "no judged claim", "at least one", "Run pytest claims/ on that store first."
        )
    for (paper, scale), group in groupby(claims, key=lambda each: each.family):
        asked = list(group)
        again = judge_again(asked, source.get)
        for each in asked:
            yield Check(paper, scale, each.verdict, again[each.claim.id])


def judge_again(claims: Iterable[Judged], get: Callable[..., Evidence]) -> dict[str, Verdict]:
    """The verdicts of one family's stored claims, from posteriors that agree with their metrics."""
    asked = list(claims)
    with_curves = curves_read(asked)
    checked: dict[str, Evidence] = {}

    def evidence(digest: str, *, trajectory: bool = False) -> Evidence:
        if digest not in checked:
            checked[digest] = get(digest, trajectory=trajectory or digest in with_curves)
            check_metrics(checked[digest])
        return checked[digest]

    readings = Readings(evidence)
    return judge_family(
        [Criterion.from_dict(each.verdict.criterion.to_dict()) for each in asked],
        {each.claim.id: measure(each.claim.measures, each.table, readings) for each in asked},
    )


def check_metrics(evidence: Evidence) -> None:
    """Refuse evidence with a metric, at any point, that its logits there do not give.

    Raises:
        EvidenceError: one that differs; the message names it.
    """
    for point in evidence.points:
        for split, part in point.predictions.items():
            for name, again in metrics.summary(part.logits_NK, part.labels_N).items():
                stored = point.values.get(f"{split}/{name}", again)
                if not _close(stored, again):
                    raise EvidenceError(
                        f"run {evidence.recipe.digest[:8]}, {split}/{name} at step {point.step}",
                        f"{stored:.6f} stored and {again:.6f} from the posteriors",
                        "the same",
                        "The evidence was altered after training; train that run again.",
                    )


def _effects(verdict: Verdict) -> dict[tuple[str, int], float]:
    return {
        (name, seed): effect
        for name, task in (verdict.measured.tasks if verdict.measured else {}).items()
        for seed, effect in zip(task.seeds, task.effects, strict=True)
    }


def _close(stored: float, again: float) -> bool:
    return math.isclose(stored, again, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (
        math.isnan(stored) and math.isnan(again)
    )
