"""Whether what a run left fits itself, what the lock knows of its task, and the runs beside it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping

from kdcheck import metrics
from kdcheck.errors import EvidenceError, InputError
from kdcheck.evidence.evidence import Evidence, Predictions
from kdcheck.recipe import Recipe
from kdcheck.study.lock import Section, labels_digest
from kdcheck.study.slots import what_it_becomes

TOLERANCE = 1e-6
"""Between a stored figure and the same from stored float32 logits: sums in another order."""


def close(stored: float, again: float, tolerance: float = TOLERANCE) -> bool:
    """Whether a stored figure is the one that was found again."""
    return math.isclose(stored, again, rel_tol=tolerance, abs_tol=tolerance) or (
        math.isnan(stored) and math.isnan(again)
    )


def check_metrics(evidence: Evidence) -> None:
    """Refuse evidence with a metric, at any point, that its logits there do not give.

    Raises:
        EvidenceError: one that differs, or logits or labels that are none; the message names it.
    """
    for point in evidence.points:
        for split, part in point.predictions.items():
            for name, again in _summary(evidence, split, part).items():
                stored = point.values.get(f"{split}/{name}", again)
                if not close(stored, again):
                    raise EvidenceError(
                        f"run {evidence.recipe.digest[:8]}, {split}/{name} at step {point.step}",
                        f"{stored:.6f} stored and {again:.6f} from the posteriors",
                        "the same",
                        "The evidence was altered after training; train that run again.",
                    )


def _summary(evidence: Evidence, split: str, part: Predictions) -> Mapping[str, float]:
    try:
        return metrics.summary(part.logits_NK, part.labels_N)
    except InputError as error:
        who = f"run {evidence.recipe.digest[:8]}, {split}, {error.who}"
        raise EvidenceError(who, error.got, error.wanted, error.next_step) from error


class Examiner:
    """Looks at runs one after the other and remembers what the next must agree with.

    Args:
        section: what is registered of their tasks, if anything.
    """

    def __init__(self, section: Section | None) -> None:
        self._section = section
        self._labels: dict[tuple[str, str], tuple[int, str]] = {}
        self._fitting: set[tuple[str, str, tuple[str, ...], bytes]] = set()
        self._models: dict[str, tuple[str, str]] = {}

    def faults(self, evidence: Evidence) -> tuple[str, ...]:
        """What does not fit, a sentence's part each."""
        recipe = evidence.recipe
        found = [
            fault
            for point in evidence.points
            for split, part in point.predictions.items()
            for fault in self._mislabelled(recipe, split, part)
        ]
        if (twin := self._twin(evidence)) is not None:
            found.append(f"the logits of the run {twin}, and another recipe")
        return tuple(f"the run {recipe.short} has {fault}" for fault in dict.fromkeys(found))

    def _mislabelled(self, recipe: Recipe, split: str, part: Predictions) -> Iterator[str]:
        """Labels that are not those of the lock, or not those of another run, look or split."""
        # Nearly all runs of a task have the same: asked once.
        key = (recipe.task_digest, split, part.ids, part.labels_N.tobytes())
        if key in self._fitting:
            return
        fault = self._unregistered(recipe, split, part) or self._contradicted(recipe, split, part)
        if fault is None:
            self._fitting.add(key)
        else:
            yield fault

    def _unregistered(self, recipe: Recipe, split: str, part: Predictions) -> str | None:
        facts = self._section.tasks.get(recipe.task) if self._section else None
        if facts is None or facts.digest != recipe.task_digest:
            return None
        if (classes := part.logits_NK.shape[1]) != facts.classes:
            return f"logits of {classes} classes on {split} of {recipe.task}, not {facts.classes}"
        wanted = facts.labels.get(split)
        is_whole = split != "train" or recipe.train_rows is None
        if wanted and is_whole and labels_digest(part.ids, part.labels_N) != wanted:
            return f"other labels on {split} of {recipe.task} than the lock registers"
        return None

    def _contradicted(self, recipe: Recipe, split: str, part: Predictions) -> str | None:
        for example, label in zip(part.ids, part.labels_N.tolist(), strict=True):
            place = (recipe.task_digest, example)
            known, run = self._labels.setdefault(place, (label, recipe.short))
            if known != label:
                return (
                    f"the label {label} for {example} on {split}, which is {known} in the run {run}"
                )
        return None

    def _twin(self, evidence: Evidence) -> str | None:
        """Another run with the very logits of this one, though it is no run of the same model."""
        if "test" not in evidence.final.predictions:
            return None
        recipe = evidence.recipe
        content = _fingerprint(evidence.final.predictions["test"])
        model, twin = self._models.setdefault(
            f"{recipe.task_digest} {content}", (what_it_becomes(recipe), recipe.short)
        )
        return None if model == what_it_becomes(recipe) else twin


def _fingerprint(part: Predictions) -> str:
    """Digest of logits by example, in whatever order they come."""
    in_order = part.aligned(sorted(part.ids))
    return hashlib.sha256(in_order.logits_NK.tobytes()).hexdigest()
