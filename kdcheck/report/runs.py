"""What the report keeps of each run: curves, final metrics, settings and cost, no posteriors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
class Run:
    """A run without its posteriors.

    Source: none.

    >>> Run.__dataclass_fields__["points"].type
    'tuple[tuple[float, Mapping[str, float]], ...]'
    """

    recipe: Recipe
    classes: int
    """K of its task."""
    points: tuple[tuple[float, Mapping[str, float]], ...]
    """Epoch and metrics at each evaluation point; the last is the finished model."""
    cost: Mapping[str, float]
    environment: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def final(self) -> Mapping[str, float]:
        """Metrics of the finished model."""
        return self.points[-1][1]

    @property
    def settings(self) -> dict[str, Any]:
        """What a reader wants to know of its recipe; the digest stands for the rest."""
        values = self.recipe.to_dict()
        chosen = {name: values[name] for name in SETTINGS if values.get(name) is not None}
        return chosen | {"objective": self.recipe.objective.as_dict()}


def collect(digests: Iterable[str], source: EvidenceSource) -> dict[str, Run]:
    """The runs of these digests, and their teachers as far as the source has them.

    Args:
        digests: of recipes.
        source: a store or a bundle; each run is read once.

    Returns:
        By digest.

    Raises:
        EvidenceError: a run is missing or damaged.

    Source: none.

    >>> from kdcheck.study.samples import SampleStore, sample_graph
    >>> digest = sample_graph().digest("ls/smaller", "invented", 0)
    >>> collect([digest], SampleStore())[digest].settings["objective"]
    {'name': 'ls', 'alpha': 0.3}
    """
    held = cache(source.digests)  # all teachers are nearly always among those asked for
    runs: dict[str, Run] = {}
    waiting = sorted(set(digests))
    while waiting:
        digest = waiting.pop()
        if digest in runs:
            continue
        runs[digest] = _run(source.get(digest))
        teacher = runs[digest].recipe.teacher
        if teacher is not None and teacher.digest not in runs and teacher.digest in held():
            waiting.append(teacher.digest)
    return runs


def _run(evidence: Evidence) -> Run:
    return Run(
        recipe=evidence.recipe,
        classes=evidence.final.predictions["test"].logits_NK.shape[1],
        points=tuple((point.epoch, dict(point.values)) for point in evidence.points),
        cost=dict(evidence.cost),
        environment=dict(evidence.environment),
        notes=evidence.notes,
    )
