"""The record of one run: logits per example at each evaluation point, curves, cost, environment."""

# Shapes: N examples, K classes.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kdcheck.errors import EvidenceError
from kdcheck.metrics import METRICS, Seen
from kdcheck.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Logits of one model on one split, with the ids and labels they belong to."""

    ids: tuple[str, ...]
    """Example ids, unique."""
    labels_N: npt.NDArray[np.int64]
    """Class ids."""
    logits_NK: npt.NDArray[np.float32]
    """float32 logits at temperature 1, dropout off."""

    def __post_init__(self) -> None:
        shapes = (len(self.ids), self.labels_N.shape, self.logits_NK.shape)
        if shapes[1] != (shapes[0],) or self.logits_NK.ndim != 2 or shapes[2][0] != shapes[0]:
            raise EvidenceError(
                "predictions",
                f"{shapes[0]} ids, labels {shapes[1]}, logits {shapes[2]}",
                "N ids, labels (N,) and logits (N, K)",
                "The file is damaged or belongs to another split; run kdcheck verify.",
            )

    def aligned(self, ids: Sequence[str]) -> Predictions:
        """The same predictions in the order of ``ids``, joined by id, never by position."""
        row_of = {example: row for row, example in enumerate(self.ids)}
        missing = [example for example in ids if example not in row_of]
        if missing:
            raise EvidenceError(
                "predictions",
                f"no logits for example {missing[0]!r} ({len(missing)} missing of {len(ids)})",
                "logits for every example asked for",
                "They were made on another cut of the task; train the teacher on this one.",
            )
        rows = np.array([row_of[example] for example in ids], dtype=np.int64)
        return Predictions(
            ids=tuple(ids), labels_N=self.labels_N[rows], logits_NK=self.logits_NK[rows]
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationPoint:
    """One look at the model during training."""

    step: int
    """Optimiser steps taken."""
    epoch: float
    """Passes over the training split taken."""
    predictions: Mapping[str, Predictions]
    """Logits on ``train_sample`` and ``test_sample``; at the end on ``validation`` and ``test`` too."""
    values: Mapping[str, float]
    """Metrics of each, as ``test_sample/mean_entropy_nats``; also ``train/loss_nats``, the mean loss
    of the steps since the point before."""
    weights_digest: str
    """sha256 of the weights, or an empty string between epochs."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a run left behind."""

    recipe: Recipe
    points: tuple[EvaluationPoint, ...]
    """Evaluation points in order of step; the last is the end of training."""
    cost: Mapping[str, float]
    """Seconds, tokens, rows and bytes, by name."""
    environment: Mapping[str, str]
    """Versions, device, threads, settings."""
    notes: tuple[str, ...] = field(default=())
    """What a reader should know: texts cut, memory retries."""
    _figures: dict[str, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def final(self) -> EvaluationPoint:
        """The end of training."""
        return self.points[-1]

    @property
    def test(self) -> Predictions:
        """Logits of the finished model on test text.

        Raises:
            EvidenceError: none were kept, so that nothing can be said of the run.
        """
        found = self.final.predictions.get("test")
        if found is None:
            who, wanted = f"run {self.recipe.short}", "those of the finished model"
            step = "It was altered, or an older version wrote it; train it again."
            raise EvidenceError(who, "no logits on test", wanted, step)
        return found

    def figure(self, metric: str) -> float:
        """A metric of the finished model on test text, from its logits: computed once for all who ask."""
        if metric not in self._figures:
            seen = Seen(logits_NK=self.test.logits_NK, labels_N=self.test.labels_N)
            self._figures[metric] = METRICS[metric].of(seen)
        return self._figures[metric]

    @property
    def weights_digest(self) -> str:
        """sha256 of the final weights."""
        return self.final.weights_digest
