"""What the report keeps of each run: curves, final metrics, settings and cost, no posteriors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.source import EvidenceSource
from kdcheck.recipe import Recipe

SETTINGS = (
    *("encoder", "learning_rate", "epochs", "batch_size", "max_length", "schedule"),
    *("precision", "train_rows", "test_rows"),
)


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run without its posteriors."""

    recipe: Recipe
    classes: int
    """K of its task."""
    test_rows: int
    """How many test examples it was judged on."""
    final: Mapping[str, float]
    """Metrics that the page shows of the finished model on test text, from its logits, by name."""
    points: tuple[tuple[float, Mapping[str, float]], ...]
    """Epoch and metrics at each evaluation point, as ``test_sample/accuracy``."""
    cost: Mapping[str, float]
    environment: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """What a reader wants to know of its recipe; the digest stands for the rest."""
        values = self.recipe.to_dict()
        chosen = {name: values[name] for name in SETTINGS if values.get(name) is not None}
        return chosen | {"objective": self.recipe.objective.as_dict()}


def collect(
    digests: Iterable[str], source: EvidenceSource, metrics: Sequence[str]
) -> dict[str, RunSummary]:
    """The runs of these digests, by digest, and their teachers as far as the source has them."""
    held = cache(source.digests)  # all teachers are nearly always among those asked for
    runs: dict[str, RunSummary] = {}
    known = set(digests)
    waiting = sorted(known)
    while waiting:
        digest = waiting.pop()
        runs[digest] = _summary_of(source.get(digest), metrics)
        teacher = runs[digest].recipe.teacher
        if teacher is not None and teacher.digest not in known and teacher.digest in held():
            known.add(teacher.digest)
            waiting.append(teacher.digest)
    return runs


def _summary_of(evidence: Evidence, metrics: Sequence[str]) -> RunSummary:
    test = evidence.test
    return RunSummary(
        recipe=evidence.recipe,
        classes=test.logits_NK.shape[1],
        test_rows=test.logits_NK.shape[0],
        final={name: evidence.figure(name) for name in metrics},
        points=tuple((point.epoch, dict(point.values)) for point in evidence.points),
        cost=dict(evidence.cost),
        environment=dict(evidence.environment),
        notes=evidence.notes,
    )
