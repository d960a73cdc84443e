"""Readings of runs: statistics computed from stored logits, each once, and never taken as stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdcheck.claims import Reading
from kdcheck.errors import EvidenceError
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.metrics import METRICS, Seen
from kdcheck.study.lock import labels_digest

DEGENERATE_SHARE = 0.995
"""A run that puts this share of test examples in one class tells nothing of its method."""


class Readings:
    """What claims read off the runs of a store or bundle.

    Args:
        get: evidence by digest, as :meth:`kdcheck.evidence.source.EvidenceSource.get`.
    """

    def __init__(self, get: Callable[..., Evidence]) -> None:
        self._get = get
        self._runs: dict[tuple[str, bool], Evidence] = {}
        self._data: dict[str, str] = {}
        self._degenerate: dict[str, bool] = {}
        self._values: dict[tuple[str, str, str, float, str], Any] = {}

    def value(self, reading: Reading, digest: str) -> Any:
        """A reading of the run with that digest: a number, or an array over evaluation points.

        Raises:
            EvidenceError: the run is missing, or has no logits of that split and point.
        """
        what = (digest, reading.metric, reading.split, reading.temperature, reading.point)
        if what not in self._values:
            self._values[what] = self._computed(reading, digest)
        return self._values[what]

    def is_degenerate(self, digest: str) -> bool:
        """Whether the finished model is no classifier.

        It puts (almost) every test example in one class, or is right less often than by guessing.
        """
        if digest not in self._degenerate:
            self._degenerate[digest] = _tells_nothing(self._run(digest).test)
        return self._degenerate[digest]

    def truncated(self, digest: str) -> int:
        """How many texts of a run were longer than it reads; 0 where that was not kept."""
        return int(self._run(digest).cost.get("truncated_texts", 0))

    def max_length(self, digest: str) -> int:
        """The most tokens that a run reads of a text."""
        return self._run(digest).recipe.max_length

    def classes(self, digest: str) -> int:
        """K, of the task that a run was trained on."""
        return int(self._run(digest).test.logits_NK.shape[1])

    def data(self, digest: str) -> str:
        """Digest of the ids and labels that a run was tested on."""
        if digest not in self._data:
            test = self._run(digest).test
            self._data[digest] = labels_digest(test.ids, test.labels_N.tolist())
        return self._data[digest]

    def _run(self, digest: str, *, trajectory: bool = False) -> Evidence:
        if (digest, trajectory) not in self._runs:
            self._runs[digest, trajectory] = self._get(digest, trajectory=trajectory)
        return self._runs[digest, trajectory]

    def _computed(self, reading: Reading, digest: str) -> Any:
        if reading.point == "last":
            return self._at(reading, self._run(digest), -1)
        evidence = self._run(digest, trajectory=True)
        if reading.point == "first":
            return self._at(reading, evidence, 0)
        return np.array([self._at(reading, evidence, at) for at in range(len(evidence.points))])

    def _at(self, reading: Reading, evidence: Evidence, index: int) -> float:
        metric, recipe = METRICS[reading.metric], evidence.recipe
        part = _predictions(evidence, evidence.points[index], reading.split)
        if _is_figure(reading):
            return evidence.figure(reading.metric)
        teacher_logits_NK = None
        if metric.needs == "teacher":
            assert recipe.teacher is not None, "a reading of it was refused when it was planned"
            taught_by = self._run(recipe.teacher.digest)
            taught = _predictions(taught_by, taught_by.final, reading.split).aligned(part.ids)
            # As soft as the student was shown it; of a shuffled teacher its own opinion, which the
            # student was not shown, is what a control compares with.
            teacher_logits_NK = taught.logits_NK / np.float64(recipe.teacher_temperature)
        alpha = recipe.objective.as_dict().get("alpha") if metric.needs == "smoothing" else None
        return metric.of(
            Seen(
                logits_NK=part.logits_NK,
                labels_N=part.labels_N,
                teacher_logits_NK=teacher_logits_NK,
                alpha=None if alpha is None else float(alpha),
                temperature=reading.temperature,
            )
        )


def _is_figure(reading: Reading) -> bool:
    """Whether a reading, which on test text is of the end, is one that the page may show of every run."""
    is_plain = (reading.split, reading.temperature) == ("test", 1.0)
    return is_plain and METRICS[reading.metric].at_each_look


def _tells_nothing(test: Predictions) -> bool:
    predicted_N = test.logits_NK.argmax(axis=1)
    examples, classes = test.logits_NK.shape
    one_class = np.bincount(predicted_N).max() >= DEGENERATE_SHARE * examples
    return bool(one_class or (predicted_N == test.labels_N).mean() < 1 / classes)


def _predictions(evidence: Evidence, point: EvaluationPoint, split: str) -> Predictions:
    found = point.predictions.get(split)
    if found is None:
        raise EvidenceError(
            f"run {evidence.recipe.short}, step {point.step}",
            f"no logits on {split}",
            "those that the claim reads",
            "An older version did not keep them; run pytest claims/ into a new store.",
        )
    return found
