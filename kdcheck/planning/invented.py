"""Evidence of the size that a run leaves, every logit of it drawn at random."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kdcheck.engine.predict import TEST_SAMPLE, TRAIN_SAMPLE
from kdcheck.engine.schedule import Schedule
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.recipe import Recipe
from kdcheck.tasks import Split, Task


def invented(recipe: Recipe, task: Task, whole_train: bool) -> Evidence:
    """Evidence of the size that a run leaves, every logit of it drawn at random."""
    rng = np.random.default_rng(recipe.seed)
    sizes = {"train": recipe.train_rows, "validation": recipe.validation_rows}
    sizes |= {"test": recipe.test_rows}
    names = {TRAIN_SAMPLE: "train", TEST_SAMPLE: "test"}

    def seen(names: Mapping[str, str], most: int | None = None) -> dict[str, Predictions]:
        return {
            name: _predictions(task.split(split), task.num_classes, rng, most or sizes[split])
            for name, split in names.items()
        }

    schedule = Schedule(recipe, recipe.train_rows or len(task.train))
    points = []
    for step in sorted(schedule.evaluation_steps):
        predictions = seen(names, recipe.curve_rows)
        if step == schedule.total_steps:
            predictions |= seen(_same("validation", "test"))
            predictions |= seen(_same("train")) if whole_train else {}
        point = EvaluationPoint(
            step=step,
            epoch=step / schedule.steps_per_epoch,
            predictions=predictions,
            values={"train/loss_nats": 1.0},
            weights_digest="0" * 64,
        )
        points.append(point)
    cost = {"seconds": 1.0, "evaluation_seconds": 0.5, "steps": float(schedule.total_steps)}
    environment = {"device": "none", "torch": "none"}
    return Evidence(recipe=recipe, points=tuple(points), cost=cost, environment=environment)


def _same(*splits: str) -> dict[str, str]:
    return {split: split for split in splits}


def _predictions(
    split: Split, classes: int, rng: np.random.Generator, rows: int | None
) -> Predictions:
    ids, labels = split.ids[:rows], split.labels[:rows]
    labels_N = np.asarray(labels, dtype=np.int64)
    # Mostly right, as of a classifier: what is none is INVALID, and costs less to judge.
    logits_NK = rng.normal(size=(len(ids), classes)) + 3 * np.eye(classes)[labels_N]
    return Predictions(ids=ids, labels_N=labels_N, logits_NK=logits_NK.astype(np.float32))
